"""The report: one self-contained HTML page and pictures, written from a run folder's rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from asymcert._files import replacing
from asymcert.evaluate.formatting import floor_percent, floor_significant
from asymcert.report.gallery import data_uri
from asymcert.report.libraries import optional
from asymcert.report.pictures import write_pictures
from asymcert.report.plots import Plot
from asymcert.report.sections import content, plots_of
from asymcert.report.series import norm_symbol, read_report_data
from asymcert.runs.folder import RunFolder

TEMPLATES = Path(__file__).parent / "templates"
FILTERS = (data_uri, floor_percent, floor_significant, norm_symbol)


def write_report(run: RunFolder, overlay: Mapping[str, pl.DataFrame] | None = None) -> Path:
    """Write ``report/index.html`` and PNG pictures into a run folder; the model is not run.

    Parameters
    ----------
    run
        A run folder with certificates.
    overlay
        Further curves, such as published ones, by name: frames with the columns ``norm``, ``radius`` and
        ``accuracy`` (fractions).

    Returns
    -------
    Path
        The page: one file without any link to another.

    Raises
    ------
    RunError
        The folder holds no certificates, or is damaged.
    InputError
        A frame of `overlay` lacks a column.
    DependencyError
        jinja2, plotly or matplotlib is not installed.
    """
    data = read_report_data(run, overlay)
    folder = run.path / "report"
    folder.mkdir(exist_ok=True)
    write_pictures(data, folder)
    return write_page(folder / "index.html", TEMPLATES / "report.html", plots_of(data), **content(data))


def write_page(target: Path, template: Path, plots: Mapping[str, Sequence[Plot]], **content: Any) -> Path:
    """Write one self-contained page, replacing the file in one step; returns its path.

    Parameters
    ----------
    target
        File to write.
    template
        One that extends ``base.html``.
    plots
        Interactive plots by the name that the template has for them.
    content
        What else the template shows.
    """
    figures = {
        f"{name}-{position}": json.loads(plot.figure.to_json())
        for name, group in plots.items()
        for position, plot in enumerate(group)
        if plot.figure is not None
    }
    library = optional("plotly.offline").get_plotlyjs()
    page = environment(template.parent).get_template(template.name)
    with replacing(target) as partial:
        text = page.render(library=library, figures=figures, plots=plots, **content)
        partial.write_text(text, encoding="utf-8")
    return target


def environment(folder: Path, **options: Any) -> Any:
    """Templates of a folder, and the shared ones: all values are escaped, and one that is not given is an error.

    `options` are jinja2's, for what is not HTML.
    """
    jinja2 = optional("jinja2")
    loader = jinja2.FileSystemLoader([folder, TEMPLATES])
    strict = {"autoescape": True, "undefined": jinja2.StrictUndefined} | options
    made = jinja2.Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, **strict)
    made.filters.update({function.__name__: function for function in FILTERS})
    made.policies["json.dumps_kwargs"] = {"allow_nan": False}
    return made
