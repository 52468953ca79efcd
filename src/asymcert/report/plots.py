"""Interactive plots of the report page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from asymcert.evaluate.surface import Surface
from asymcert.report.axes import MOST_TICKS, are_counts, bin_names, ends, last_size, radius_bins, size_title
from asymcert.report.libraries import optional
from asymcert.report.series import (
    COLOURS,
    GREY,
    ReportData,
    Series,
    norm_symbol,
    overlaid,
    unit_title,
)
from asymcert.report.tables import Table, accuracy_table
from asymcert.runs.facts import RunFacts

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
INK, GRID = "#1f2937", "#e5e7eb"


@dataclass(frozen=True, eq=False)
class Plot:
    """One interactive plot of a page, with what stands under it."""

    title: str
    description: str  # for readers who do not see it
    figure: Any  # None where there is nothing to draw
    table: Table | None = None
    notes: Sequence[str] = ()


def curve_plot(panel: list[Series], overlay: Mapping[str, pl.DataFrame], many: bool = False) -> Plot:
    """Certified accuracy against radius for one unit, with 95 % bands and a table, and the curves laid over it.

    `many` curves are drawn without bands and table, and named at the right.
    """
    figure = new_figure()
    last, unit = last_size(panel), panel[0].unit
    for series in panel:
        _add_curve(figure, series, last, not many)
    for name, curve, colour in overlaid(overlay, panel[0].norm):
        line = {"color": colour, "width": 1.5, "dash": "dot"}
        accuracy = 100 * curve["accuracy"].to_numpy()
        figure.add_scatter(x=curve["radius"].to_numpy(), y=accuracy, mode="lines", name=plain(name), line=line)
    style(figure, size_title(panel), "Certified accuracy, %")
    figure.update_xaxes(range=ends(panel, last), **_ticks(panel, last)).update_yaxes(range=[0, 101])
    description = f"Certified accuracy against size in {unit}"
    if not many:
        return Plot(f"{unit_title(unit)}{_only_threat(panel)}", description, figure, accuracy_table(panel))
    aside = {"orientation": "v", "x": 1.02, "y": 1.0, "xanchor": "left", "yanchor": "top"}
    figure.update_layout(legend=aside, hovermode="closest")
    return Plot(unit_title(unit), description, figure)


def radius_plot(panel: list[Series]) -> Plot:
    """Histogram of the finite radii of the sensitive samples of one unit, and what it leaves out."""
    figure, edges, unit = new_figure(), radius_bins(panel), panel[0].unit
    names = bin_names(panel, edges)
    for series in panel:
        counts = series.histogram(edges)
        figure.add_scatter(
            x=np.concatenate((edges[:1], edges, edges[-1:])),
            y=np.concatenate(([0], counts, counts[-1:], [0])),
            text=[names[0], *names, names[-1], names[-1]],
            name=plain(series.label),
            line={"color": series.colour, "width": 1.5, "shape": "hv", "dash": series.dash},
            fill="tozeroy",
            fillcolor=transparent(series.colour, 0.25),
            mode="lines",
            hovertemplate="%{text}: %{y} samples<extra></extra>",
        )
    style(figure, f"Certified radius, {unit}", "Samples")
    figure.update_xaxes(rangemode="tozero", **_ticks(panel, edges[-1])).update_yaxes(rangemode="tozero")
    figure.update_layout(hovermode="closest")
    notes = [_left_out(series, edges[-1]) for series in panel]
    drawn = figure if any(series.histogram(edges).any() for series in panel) else None
    return Plot(unit_title(unit), f"Histogram of radii in {unit}", drawn, notes=notes)


def surface_plot(series: Series, facts: RunFacts) -> Plot | None:
    """Certified accuracy over threshold and radius, above the two classes' accuracies; None where there is none."""
    values = series.surface()
    if values is None:
        return None
    make_subplots = optional("plotly.subplots").make_subplots
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.06)
    _add_surface(figure, values)
    lines = {facts.sensitive: values.accuracy_sensitive, facts.other: values.accuracy_other}
    _add_lines(figure, {name: (values.thresholds, 100 * line) for name, line in lines.items()}, row=2, col=1)
    style(figure, "", "")
    figure.update_yaxes(title_text=f"Size, {series.unit}", row=1, col=1)
    figure.update_yaxes(title_text="Accuracy, %", range=[0, 104], row=2, col=1)
    figure.update_xaxes(title_text="Threshold, relative to the model's", row=2, col=1)
    figure.add_vline(x=0, line={"color": "white", "width": 2}, row=1, col=1)
    if values.balanced_threshold is not None:
        figure.add_vline(x=values.balanced_threshold, line={"color": "#D55E00", "width": 2, "dash": "dash"})
    figure.update_layout(hovermode="closest")
    description = "Certified accuracy over threshold and size"
    return Plot(f"{series.adversary} · {series.method}", description, figure)


def training_plots(data: ReportData) -> list[Plot]:
    """Loss, accuracies and median radii against the epoch, for what the log holds of two epochs or more."""
    names = {"accuracy_sensitive": data.facts.sensitive, "accuracy_other": data.facts.other}
    accuracies = {label: _logged(data.log, key, factor=100.0) for key, label in names.items()}
    norms = sorted({norm for record in data.log for norm in record.get("medians") or {}})
    medians = {norm: _logged(data.log, "medians", norm) for norm in norms}
    charts = [("Loss", "Loss", {"loss": _logged(data.log, "loss")}), ("Accuracy", "Accuracy, %", accuracies)]
    for norm, values in medians.items():
        symbol = _norm_symbol(norm)
        charts.append((f"Median radius, {symbol}", f"Median radius, {symbol}", {symbol: values}))
    plots = []
    for title, axis, lines in charts:
        drawn = {name: values for name, values in lines.items() if len(values) > 1}
        if drawn:
            figure = new_figure()
            _add_lines(figure, {name: (list(values), list(values.values())) for name, values in drawn.items()})
            plots.append(Plot(title, f"{title} against epoch", style(figure, "Epoch", plain(axis))))
    return plots


def new_figure() -> Any:
    """An empty figure."""
    return optional("plotly.graph_objects").Figure()


def _add_lines(figure: Any, lines: Mapping[str, tuple[Any, Any]], **place: int) -> None:
    for (name, (x, y)), colour in zip(lines.items(), COLOURS, strict=False):
        line = {"color": colour, "width": 2}
        figure.add_scatter(x=x, y=y, mode="lines", name=plain(name), line=line, **place)


def _norm_symbol(name: str) -> str:
    """Symbol of a norm that a log names ``l1`` or ``linf``; other names stay."""
    try:
        return norm_symbol(float(name.removeprefix("l")))
    except ValueError:
        return name


def _logged(log: list[dict[str, Any]], *path: str, factor: float = 1.0) -> dict[int, float]:
    """What records hold under the keys of `path`, by epoch; those that hold nothing leave no gap in a line."""
    values: dict[int, Any] = {record.get("epoch", place): record for place, record in enumerate(log)}
    for key in path:
        values = {epoch: (value or {}).get(key) for epoch, value in values.items()}
    known = {epoch: value for epoch, value in values.items() if isinstance(value, int | float)}
    return {epoch: factor * value for epoch, value in known.items() if math.isfinite(value)}


def _add_surface(figure: Any, values: Surface) -> None:
    figure.add_contour(
        x=values.thresholds,
        y=values.radii,
        z=100 * values.certified,
        colorscale="Cividis",
        zmin=0,
        zmax=100,
        contours={"coloring": "heatmap", "showlabels": True, "start": 10, "end": 90, "size": 20},
        line={"width": 0.7, "color": "white"},
        colorbar={"title": {"text": "%"}, "thickness": 12, "len": 0.68, "y": 1, "yanchor": "top", "outlinewidth": 0},
        hovertemplate="threshold %{x:.4g}<br>size %{y:.4g}<br>certified %{z:.1f} %<extra></extra>",
        row=1,
        col=1,
    )


def _add_curve(figure: Any, series: Series, end: float, bands: bool) -> None:
    curve, shape = series.steps(end), "hvh" if series.whole else "hv"
    hidden = {"mode": "lines", "line": {"width": 0, "shape": shape}, "hoverinfo": "skip", "showlegend": False}
    if bands:
        figure.add_scatter(x=curve["radius"], y=curve["lower"], legendgroup=series.label, **hidden)
        fill = {"fill": "tonexty", "fillcolor": transparent(series.colour, 0.18)}
        figure.add_scatter(x=curve["radius"], y=curve["upper"], legendgroup=series.label, **hidden, **fill)
    figure.add_scatter(
        x=curve["radius"],
        y=curve["accuracy"],
        mode="lines+markers" if series.whole else "lines",
        name=plain(series.label),
        legendgroup=series.label,
        line={"color": series.colour, "width": 2.2, "shape": shape, "dash": series.dash},
        marker={"size": 7},
        hovertemplate="size %{x:.4g}: %{y:.2f} %<extra>%{fullData.name}</extra>",
    )


def _only_threat(panel: list[Series]) -> str:
    threats = {series.adversary for series in panel}
    rest = next(iter(threats)).partition(" ")[2]
    return f", {rest}" if len(threats) == 1 and rest else ""


def _ticks(panel: Sequence[Series], last: float) -> dict[str, Any]:
    """Ticks at whole numbers alone where there are no others; few counts have one each."""
    if not are_counts(panel):
        return {}
    return {"tick0": 0, "dtick": 1} if last <= MOST_TICKS + 1 else {"tickformat": "d"}


def _left_out(series: Series, last: float) -> str:
    infinite = np.isinf(series.radii)
    beyond = {
        f"a radius beyond {np.floor(last):g}": int(((series.radii > last) & ~infinite).sum()),
        "an infinite radius": int(infinite.sum()),
    }
    text = f"{series.label}: {len(series.radii)} samples, {int((series.radii == 0).sum())} with radius 0"
    return text + "".join(f", {count} with {what}" for what, count in beyond.items() if count) + "."


def style(figure: Any, x_title: str, y_title: str) -> Any:
    """The figure, with titles of its axes, in the report's style."""
    axis = {"gridcolor": GRID, "linecolor": GREY, "zeroline": False, "ticks": "outside", "tickcolor": GREY}
    figure.update_xaxes(title_text=x_title, **axis)
    figure.update_yaxes(title_text=y_title, **axis)
    named = sum(1 for trace in figure.data if trace.name)
    return figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        margin={"l": 58, "r": 14, "t": 12, "b": 50},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hovermode="x unified",
        showlegend=named > 1,
        legend={"orientation": "h", "y": 1.02, "x": 0, "yanchor": "bottom"},
    )


def plain(text: str) -> str:
    """Text that the plotting library shows as it is: neither markup nor a formula."""
    return html.escape(text).replace("$", "&#36;")


def transparent(colour: str, opacity: float) -> str:
    """A colour such as ``#0072B2`` as one that lets others through."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
