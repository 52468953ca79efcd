"""Certificates and evaluation rows as parts of your own figures: functions that draw on matplotlib axes.

Each takes ``ax``, draws there and returns it; without one it opens a figure of its own. None shows a figure, and none
touches matplotlib's global style. Colours are told apart under every common colour blindness, as in reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import polars as pl

from asymcert._checks import check_count, refuse
from asymcert.certify import Certificate
from asymcert.compare.front_plots import draw_panel, front_panel
from asymcert.compare.front_records import recorded_panel
from asymcert.compare.fronts import Point
from asymcert.evaluate.formatting import ceil_significant, floor_significant, printable
from asymcert.evaluate.surface import Surface
from asymcert.report.axes import last_size
from asymcert.report.detector import ALERTS, most_fragile
from asymcert.report.given import panel_of, rows_of
from asymcert.report.libraries import optional
from asymcert.report.pictures import PANEL, add_colours, draw_curves, draw_surface, dress, plain_label
from asymcert.report.series import COLOURS, GREY, Series, unit_of

__all__ = ["alerts", "curve", "front", "surface"]

ACROSS = "Size of the change, "  # then the unit
LONGEST = 30  # characters of a name beside a bar


def curve(given: pl.DataFrame | Certificate, ax: Any = None, label: str | None = None) -> Any:
    """Certified accuracy against the size of a change, with 95 % bands.

    Of a certificate, which knows no labels, the share of alerts that no change of that size undoes. Curves that are
    drawn on the same axes get other colours.

    Parameters
    ----------
    given
        Evaluation rows of any number of curves, radii in one unit; or a certificate.
    ax
        Matplotlib axes.
    label
        Name of the only curve in the legend, by default its method and threat model.

    Returns
    -------
    matplotlib.axes.Axes
        Sizes in the unit of ``ThreatModel.size`` across, percent up.

    Raises
    ------
    InputError
        `given` is something else, without sensitive samples, or of several units; several curves get one label.
    DependencyError
        Matplotlib is not installed.
    """
    panel = panel_of(rows_of(given))
    if label is not None and (len(panel) > 1 or not isinstance(label, str)):
        raise refuse("label", "a text, and left out for several curves", repr(label), "Draw them one after another.")
    axes, unit = _axes(ax), f"{ACROSS}{panel[0].unit}"
    if axes.get_xlabel().startswith(ACROSS) and axes.get_xlabel() != unit:
        raise refuse("ax", f"axes of {unit!r}", f"some of {axes.get_xlabel()!r}", "Draw each unit on axes of its own.")
    drawn, end = len(axes.lines), last_size(panel)
    draw_curves(axes, [_named(each, label, drawn) for each in panel], max(end, axes.get_xlim()[1]) if drawn else end)
    axes.set_xlabel(unit, fontsize=9)
    axes.set_ylabel("Alerts that hold, %" if isinstance(given, Certificate) else "Certified accuracy, %", fontsize=9)
    if len(axes.lines) > 1:
        axes.legend(fontsize=7.5, frameon=False)
    return axes


def surface(given: pl.DataFrame | Surface, ax: Any = None, colours: bool = True) -> Any:
    """Certified accuracy over threshold and size of a change; dashed where both classes are recognised equally often.

    Parameters
    ----------
    given
        Closed-form evaluation rows of one model, split and threat model, or what `asymcert.evaluate.surface` made.
    ax
        Matplotlib axes.
    colours
        Whether a colour bar is put beside the axes.

    Returns
    -------
    matplotlib.axes.Axes
        Thresholds relative to the model's own across, sizes up.

    Raises
    ------
    InputError
        `given` is something else, of several curves, of another method, or without one of the classes.
    DependencyError
        Matplotlib is not installed.
    """
    values, unit = (given, "") if isinstance(given, Surface) else _surface_of(given)
    axes = _axes(ax)
    image = draw_surface(axes, values, unit)
    if not unit:
        axes.set_ylabel("Size of the change", fontsize=9)
    if colours:
        add_colours(axes.figure, image, axes)
    return axes


def front(given: str | Path | Sequence[Point], ax: Any = None, norm: float | None = None) -> Any:
    """Every method's front: the median radius that it reaches at a balanced accuracy.

    Parameters
    ----------
    given
        Path of a ``comparison.json`` that `asymcert compare --points` wrote, whose first seed is drawn; or points.
    ax
        Matplotlib axes.
    norm
        That radii are measured in; needed where there are several.

    Returns
    -------
    matplotlib.axes.Axes
        Balanced accuracy in percent across, median radius of the sensitive class up.

    Raises
    ------
    InputError
        There are no such points, or of several norms and none is named.
    DependencyError
        Matplotlib is not installed.
    """
    if isinstance(given, str | Path):
        panel = recorded_panel(given, norm)
    else:
        if not isinstance(given, Sequence) or not all(isinstance(point, Point) for point in given):
            raise refuse("given", "a path, or points of a comparison", type(given).__name__)
        points = [point for point in given if norm is None or point.norm == norm]
        norms = sorted({point.norm for point in points})
        if len(norms) != 1:
            raise refuse("norm", f"one of {sorted({point.norm for point in given})}", norm)
        panel = front_panel(norms[0], points)
    axes = _axes(ax)
    draw_panel(axes, panel)
    axes.set_title(panel.title, fontsize=9)
    axes.legend(fontsize=7.5, frameon=False)
    return axes


def alerts(
    given: pl.DataFrame | Certificate, ax: Any = None, count: int = ALERTS, names: Sequence[str] | None = None
) -> Any:
    """The alerts with the least positive radii, the most fragile on top; pale as far as a known change that undoes one.

    The title counts the alerts of radius 0.

    Parameters
    ----------
    given
        Evaluation rows of one curve, or a certificate.
    ax
        Matplotlib axes.
    count
        Alerts that are listed, at most.
    names
        What each sample is called, by its position in the split or batch; by default ``sample 17``.

    Returns
    -------
    matplotlib.axes.Axes
        Radii, rounded down where they are written, across; one bar for each alert.

    Raises
    ------
    InputError
        `given` is something else, of several curves, or names fewer samples.
    DependencyError
        Matplotlib is not installed.
    """
    check_count("count", count)
    rows, names = rows_of(given), None if names is None else list(names)
    if rows.n_unique(["model_digest", "split", "method", "options", "threat"]) > 1:
        raise refuse("given", "of one model, split, method and threat model", "several", "Filter the rows.")
    found = most_fragile(rows.filter(pl.col("radius").is_finite()), count)
    if names is not None and len(found) and len(names) <= max(found["index"]):
        raise refuse("names", f"of {max(found['index']) + 1} samples or more", len(names))
    axes = _axes(ax)
    _bars(axes, found, [f"sample {index}" if names is None else str(names[index]) for index in found["index"]])
    unit = unit_of(rows["threat"][0], rows["norm"][0]) if len(rows) else ""
    axes.set_xlabel(f"Certified radius, {unit}".rstrip(", "), fontsize=9)
    if nothing := len(rows.filter("prediction", pl.col("radius") == 0)):
        axes.set_title(f"Besides: {nothing} alerts of radius 0, without a promise", fontsize=9)
    return axes


def _axes(given: Any) -> Any:
    """The user's axes as they are, or new ones in the report's style."""
    if given is None:
        axes = optional("matplotlib.pyplot").subplots(figsize=PANEL, layout="constrained")[1]
        dress(axes)
        return axes
    if not isinstance(given, optional("matplotlib.axes").Axes):
        raise refuse("ax", "matplotlib axes", type(given).__name__, "Of several, pass one: ax=axes[0].")
    return given


def _named(series: Series, label: str | None, drawn: int) -> Series:
    """A series under a label, in a colour that the axes' first `drawn` lines do not have."""
    colour = COLOURS[(COLOURS.index(series.colour) + drawn) % len(COLOURS)]
    return replace(series, label=series.label if label is None else label, colour=colour)


def _surface_of(rows: pl.DataFrame) -> tuple[Surface, str]:
    panel = panel_of(rows_of(rows))
    values = panel[0].surface() if len(panel) == 1 else None
    if values is None:
        remedy = "Filter them, or certify by method closed-form."
        raise refuse("given", "closed-form rows of one curve and both classes", "others", remedy)
    return values, panel[0].unit


def _bars(axes: Any, rows: pl.DataFrame, names: Sequence[str]) -> None:
    """A bar for each row up to its radius, and a pale one up to a change that undoes it, where one is known."""
    if rows.is_empty():
        axes.text(0.5, 0.5, "no alert of a positive, finite radius", ha="center", transform=axes.transAxes, color=GREY)
        return
    places, radii = range(len(rows)), rows["radius"].to_list()
    ends = [upper if isfinite(upper) else radius for radius, upper in rows["radius", "upper"].rows()]
    axes.barh(places, ends, color=GREY, alpha=0.25)
    axes.barh(places, radii, color=COLOURS[0])
    for place, radius, end in zip(places, radii, ends, strict=True):
        text = _written(radius, floor_significant) + (f" to {_written(end, ceil_significant)}" if end > radius else "")
        axes.annotate(text, (end, place), (3, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_yticks(places, [plain_label(_short(name)) for name in names])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.3)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")


def _written(size: float, rounded: Callable[[float], str]) -> str:
    """Counts of columns or words as they are, other sizes rounded."""
    return f"{size:.0f}" if size.is_integer() else rounded(size)


def _short(name: str) -> str:
    return printable(name[:LONGEST]) + ("…" if len(name) > LONGEST else "")
