"""Pictures of a report for papers: PNG files, drawn without any global plotting state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from asymcert.evaluate.formatting import floor_significant
from asymcert.evaluate.surface import Surface
from asymcert.report.axes import are_counts, ends, last_size, radius_bins, size_title
from asymcert.report.gallery import Strip, strips
from asymcert.report.libraries import optional
from asymcert.report.series import GREY, ReportData, Series, overlaid

PANEL = (4.2, 3.3)  # inches
DPI = 200
LINE_STYLES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}


def write_pictures(data: ReportData, folder: Path) -> list[Path]:
    """Write ``certified_accuracy.png``, ``radii.png`` and, where the rows allow them, ``surface.png`` and
    ``gallery.png``; returns their paths.
    """  # noqa: D205
    figures = {
        "certified_accuracy": curve_picture(data.panels, data.overlay),
        "radii": _radii(data),
        "surface": _surfaces(data),
        "gallery": _gallery(list(strips(data.gallery))),
    }
    paths = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)
        if figure is not None:
            save_picture(figure, path)
            paths.append(path)
    return paths


def save_picture(figure: Any, path: Path) -> None:
    """Write a PNG that names no machine."""
    figure.savefig(path, dpi=DPI, facecolor="white", metadata={"Software": "asymcert"})


def row_of_axes(count: int, height: float = PANEL[1]) -> tuple[Any, Sequence[Any]]:
    """A figure with `count` axes in a row, in the report's style."""
    figure = optional("matplotlib.figure").Figure(figsize=(PANEL[0] * count, height), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    for axis in axes:
        dress(axis)
    return figure, axes


def dress(axis: Any) -> None:
    """Give axes the report's style."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="#e5e7eb", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8, color=GREY)


def curve_picture(panels: Mapping[str, list[Series]], overlay: Mapping[str, pl.DataFrame], many: bool = False) -> Any:
    """Certified accuracy against radius, one panel for each unit, and the curves laid over them.

    `many` curves are drawn without bands, and named below the panels.
    """
    figure, axes = row_of_axes(len(panels), PANEL[1] + 1.2 * many)
    for axis, panel in zip(axes, panels.values(), strict=True):
        draw_curves(axis, panel, last_size(panel), bands=not many)
        for name, curve, colour in overlaid(overlay, panel[0].norm):
            axis.plot(
                curve["radius"], 100 * curve["accuracy"], ":", color=colour, linewidth=1.2, label=plain_label(name)
            )
        axis.set_xlabel(size_title(panel), fontsize=9)
        if not many and len(axis.lines) > 1:
            axis.legend(fontsize=7.5, frameon=False)
    axes[0].set_ylabel("Certified accuracy, %", fontsize=9)
    if many:
        named = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
        style = {"loc": "outside lower center", "ncols": 5, "fontsize": 7.5, "frameon": False}
        figure.legend(named.values(), named.keys(), **style)
    return figure


def draw_curves(axis: Any, panel: Sequence[Series], end: float, bands: bool = True) -> None:
    """Certified accuracy of series of one unit against radius, up to `end`, with bands of their intervals."""
    for series in panel:
        curve, where = series.steps(end), "mid" if series.whole else "post"
        style = {"color": series.colour, "linestyle": LINE_STYLES[series.dash], "linewidth": 1.6}
        style |= {"marker": "o", "markersize": 4} if series.whole else {}
        axis.step(curve["radius"], curve["accuracy"], where=where, label=plain_label(series.label), **style)
        if bands:
            style = {"step": where, "color": series.colour, "alpha": 0.18, "linewidth": 0}
            axis.fill_between(curve["radius"], curve["lower"], curve["upper"], **style)
    axis.set(xlim=ends(panel, end), ylim=(0, 101))
    if are_counts(panel):
        _whole_ticks(axis)


def _whole_ticks(axis: Any) -> None:
    """Ticks at whole numbers alone."""
    axis.xaxis.set_major_locator(optional("matplotlib.ticker").MaxNLocator(integer=True))


def _radii(data: ReportData) -> Any:
    figure, axes = row_of_axes(len(data.panels))
    for axis, (unit, panel) in zip(axes, data.panels.items(), strict=True):
        edges = radius_bins(panel)
        for series in panel:
            style = {"color": series.colour, "linestyle": LINE_STYLES[series.dash], "linewidth": 1.2}
            counts = series.histogram(edges)
            axis.stairs(counts, edges, label=plain_label(series.label), **style)
            axis.stairs(counts, edges, color=series.colour, alpha=0.25, fill=True)
        axis.set_xlim(0, edges[-1])
        if are_counts(panel):
            _whole_ticks(axis)
        axis.set_xlabel(f"Certified radius, {unit}", fontsize=9)
        if len(panel) > 1:
            axis.legend(fontsize=7.5, frameon=False)
    axes[0].set_ylabel("Samples", fontsize=9)
    return figure


def _surfaces(data: ReportData) -> Any:
    shown = [(series, values) for series in data.series if (values := series.surface()) is not None]
    if not shown:
        return None
    figure, axes = row_of_axes(len(shown))
    image = None
    for axis, (series, values) in zip(axes, shown, strict=True):
        image = draw_surface(axis, values, series.unit)
        axis.set_title(plain_label(series.adversary), fontsize=9)
    add_colours(figure, image, list(axes))
    return figure


def draw_surface(axis: Any, values: Surface, unit: str) -> Any:
    """Certified accuracy over threshold and radius as colours and contours; returns the coloured mesh."""
    axis.grid(visible=False)
    grid = (values.thresholds, values.radii, 100 * values.certified)
    image = axis.pcolormesh(*grid, cmap="cividis", vmin=0, vmax=100, shading="nearest", rasterized=True)
    if min(values.certified.shape) > 1:
        lines = axis.contour(*grid, levels=[10, 30, 50, 70, 90], colors="white", linewidths=0.6)
        axis.clabel(lines, fontsize=7, fmt="%d")
    axis.axvline(0, color="white", linewidth=1.5)
    if values.balanced_threshold is not None:
        axis.axvline(values.balanced_threshold, color="#D55E00", linewidth=1.5, linestyle="--")
    axis.set_xlabel("Threshold, relative to the model's", fontsize=9)
    axis.set_ylabel(f"Size of the change, {unit}", fontsize=9)
    return image


def add_colours(figure: Any, image: Any, axes: Any) -> None:
    """The colour bar of surfaces, beside their axes."""
    colours = figure.colorbar(image, ax=axes, pad=0.01)
    colours.set_label("Certified accuracy, %", fontsize=9)
    colours.ax.tick_params(labelsize=8)


def _gallery(rows: list[Strip]) -> Any:
    if not rows:
        return None
    columns = max(len(strip.images) for strip in rows)
    size = (1.0 * columns + 1.1, 1.2 * len(rows) + 0.1)
    figure = optional("matplotlib.figure").Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, strip in zip(axes, rows, strict=True):
        for axis in line:
            axis.set_axis_off()
        for axis, image, radius in zip(line, strip.images, strip.radii, strict=False):
            axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_title(floor_significant(radius), fontsize=7.5, pad=2)
        label = f"{plain_label(strip.adversary)}\n{strip.method}\n{strip.group} robust"
        line[0].text(-0.15, 0.5, label, transform=line[0].transAxes, ha="right", va="center", fontsize=7.5)
    return figure


def plain_label(text: str) -> str:
    """Text that matplotlib does not take for a formula, nor for a label to hide."""
    return text.replace("$", r"\$").lstrip("_") or "–"
