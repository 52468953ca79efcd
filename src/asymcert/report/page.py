"""The report: one self-contained HTML page and pictures, written from a run folder's rows."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from asymcert._files import replacing
from asymcert.report import sections
from asymcert.report.assets import DRAW, STYLE
from asymcert.report.libraries import optional
from asymcert.report.pictures import write_pictures
from asymcert.report.series import read_report_data
from asymcert.runs.folder import RunFolder

# Nothing may be fetched: not by the page, nor by the plotting library in it.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


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
        plotly or matplotlib is not installed.
    """
    data = read_report_data(run, overlay)
    folder = run.path / "report"
    folder.mkdir(exist_ok=True)
    write_pictures(data, folder)
    return write_page(folder / "index.html", f"{data.facts.name}: certified robustness", *sections.body(data))


def write_page(target: Path, title: str, body: str, figures: Mapping[str, Any]) -> Path:
    """Write one self-contained page, replacing the file in one step; returns its path.

    Parameters
    ----------
    target
        File to write.
    title
        Plain text.
    body
        HTML between header and scripts.
    figures
        Interactive plots by the id of the element that they are drawn in.
    """
    with replacing(target) as partial:
        partial.write_text(_page(title, body, figures), encoding="utf-8")
    return target


def _page(title: str, body: str, figures: Mapping[str, Any]) -> str:
    script = optional("plotly.offline").get_plotlyjs()
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{script}</script>\n"
        f'<script type="application/json" id="figures">{_embedded(figures)}</script>\n'
        f"<script>\n{DRAW}</script>\n</body>\n</html>\n"
    )


def _embedded(figures: Mapping[str, Any]) -> str:
    """Figures as JSON that cannot end the script element it stands in."""
    plain = {name: json.loads(figure.to_json()) for name, figure in figures.items()}
    return json.dumps(plain, allow_nan=False).replace("<", "\\u003c")
