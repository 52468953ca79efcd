"""Interactive plots of the report page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from asymcert.evaluate.surface import Surface
from asymcert.report.libraries import optional
from asymcert.report.series import (
    COLOURS,
    GREY,
    ReportData,
    Series,
    drawn_curve,
    largest_radius,
    norm_symbol,
    overlay_colour,
    radius_bins,
)

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
INK, GRID = "#1f2937", "#e5e7eb"


def curve_figure(norm: float, panel: list[Series], overlay: Mapping[str, pl.DataFrame], many: bool = False) -> Any:
    """Certified accuracy against radius for one norm, with 95 % bands, and the curves laid over it.

    `many` curves are drawn without bands, and named at the right.
    """
    figure = optional("plotly.graph_objects").Figure()
    end = 1.04 * largest_radius(panel)
    for series in panel:
        _add_curve(figure, series, end, not many)
    for position, (name, frame) in enumerate(overlay.items()):
        own = frame.filter(frame["norm"] == norm)
        if not own.is_empty():
            line = {"color": overlay_colour(position, own), "width": 1.5, "dash": "dot"}
            accuracy = 100 * own["accuracy"].to_numpy()
            figure.add_scatter(x=own["radius"].to_numpy(), y=accuracy, mode="lines", name=_label(name), line=line)
    _style(figure, f"Size of the change, {norm_symbol(norm)}", "Certified accuracy, %")
    figure.update_xaxes(range=[0, end]).update_yaxes(range=[0, 101])
    if many:
        aside = {"orientation": "v", "x": 1.02, "y": 1.0, "xanchor": "left", "yanchor": "top"}
        figure.update_layout(legend=aside, hovermode="closest")
    return figure


def radius_figure(norm: float, panel: list[Series]) -> Any:
    """Histogram of the finite radii of the sensitive samples of one norm."""
    figure = optional("plotly.graph_objects").Figure()
    edges = radius_bins(panel)
    for series in panel:
        recognised = series.radii[(series.radii > 0) & np.isfinite(series.radii)]
        counts = np.histogram(recognised, edges)[0]
        figure.add_scatter(
            x=np.append(edges, edges[-1]),
            y=np.concatenate((counts, counts[-1:], [0])),
            name=_label(series.label),
            line={"color": series.colour, "width": 1.5, "shape": "hv", "dash": series.dash},
            fill="tozeroy",
            fillcolor=_transparent(series.colour, 0.25),
            mode="lines",
            hovertemplate="from %{x:.4g}: %{y} samples<extra></extra>",
        )
    _style(figure, f"Certified radius, {norm_symbol(norm)}", "Samples")
    return figure.update_yaxes(rangemode="tozero").update_layout(hovermode="closest")


def surface_figure(norm: float, values: Surface, data: ReportData) -> Any:
    """Certified accuracy over threshold and radius, above the two classes' accuracies at each threshold."""
    make_subplots = optional("plotly.subplots").make_subplots
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.06)
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
    lines = ((data.facts.sensitive, values.accuracy_sensitive), (data.facts.other, values.accuracy_other))
    for (name, accuracy), colour in zip(lines, COLOURS, strict=False):
        line = {"color": colour, "width": 2}
        label = _label(name)
        figure.add_scatter(x=values.thresholds, y=100 * accuracy, mode="lines", name=label, line=line, row=2, col=1)
    _style(figure, "", "")
    figure.update_yaxes(title_text=f"Size, {norm_symbol(norm)}", row=1, col=1)
    figure.update_yaxes(title_text="Accuracy, %", range=[0, 104], row=2, col=1)
    figure.update_xaxes(title_text="Threshold, relative to the model's", row=2, col=1)
    figure.add_vline(x=0, line={"color": "white", "width": 2}, row=1, col=1)
    if values.balanced_threshold is not None:
        figure.add_vline(x=values.balanced_threshold, line={"color": "#D55E00", "width": 2, "dash": "dash"})
    figure.update_layout(hovermode="closest")
    return figure


def training_figures(data: ReportData) -> dict[str, Any]:
    """Loss, accuracies and median radii against the epoch, for what the log holds."""
    figures: dict[str, Any] = {}
    names = {"accuracy_sensitive": data.facts.sensitive, "accuracy_other": data.facts.other}
    accuracies = {label: _logged(data.log, key, 100.0) for key, label in names.items()}
    norms = sorted({norm for record in data.log for norm in record.get("medians") or {}})
    medians = {norm: _logged([record.get("medians") or {} for record in data.log], norm) for norm in norms}
    epochs = [record.get("epoch", position) for position, record in enumerate(data.log)]
    loss = {"loss": _logged(data.log, "loss")}
    for title, axis, lines in (("Loss", "Loss", loss), ("Accuracy", "Accuracy, %", accuracies)):
        figures[title] = _line_figure(epochs, lines, axis)
    for norm, values in medians.items():
        symbol = _norm_symbol(norm)
        figures[f"Median radius, {symbol}"] = _line_figure(epochs, {symbol: values}, f"Median radius, {symbol}")
    return {title: figure for title, figure in figures.items() if figure is not None}


def _line_figure(epochs: list[Any], lines: dict[str, list[float | None]], axis: str) -> Any:
    known = {name: values for name, values in lines.items() if any(value is not None for value in values)}
    if not known:
        return None
    figure = optional("plotly.graph_objects").Figure()
    for (name, values), colour in zip(known.items(), COLOURS, strict=False):
        line = {"color": colour, "width": 2}
        figure.add_scatter(x=epochs, y=values, mode="lines", name=_label(name), line=line)
    return _style(figure, "Epoch", _label(axis))


def _norm_symbol(name: str) -> str:
    """Symbol of a norm that a log names ``l1`` or ``linf``; other names stay."""
    try:
        return norm_symbol(float(name.removeprefix("l")))
    except ValueError:
        return name


def _logged(log: list[dict[str, Any]], key: str, factor: float = 1.0) -> list[float | None]:
    values = [record.get(key) for record in log]
    return [factor * value if isinstance(value, int | float) and math.isfinite(value) else None for value in values]


def _add_curve(figure: Any, series: Series, end: float, bands: bool) -> None:
    curve = drawn_curve(series.curve)
    x = np.append(curve["radius"].to_numpy(), end)
    lower, upper, accuracy = (
        100 * np.append(curve[name].to_numpy(), curve[name][-1]) for name in ("lower", "upper", "accuracy")
    )
    hidden = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip", "showlegend": False}
    if bands:
        figure.add_scatter(x=x, y=lower, legendgroup=series.label, **hidden)
        fill = {"fill": "tonexty", "fillcolor": _transparent(series.colour, 0.18)}
        figure.add_scatter(x=x, y=upper, legendgroup=series.label, **hidden, **fill)
    figure.add_scatter(
        x=x,
        y=accuracy,
        mode="lines",
        name=_label(series.label),
        legendgroup=series.label,
        line={"color": series.colour, "width": 2.2, "shape": "hv", "dash": series.dash},
        hovertemplate="size %{x:.4g}: %{y:.2f} %<extra>%{fullData.name}</extra>",
    )


def _style(figure: Any, x_title: str, y_title: str) -> Any:
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


def _label(text: str) -> str:
    """Text that the plotting library shows as it is: neither markup nor a formula."""
    return html.escape(text).replace("$", "&#36;")


def _transparent(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
