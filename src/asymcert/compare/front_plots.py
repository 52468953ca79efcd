"""Fronts drawn: interactive panels of a page, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asymcert.compare.fronts import Point, by_contender, front
from asymcert.compare.looks import Look, looks
from asymcert.evaluate.detection import Estimate
from asymcert.report.pictures import LINE_STYLES, PANEL, plain_label, row_of_axes
from asymcert.report.plots import Plot, new_figure, plain, style, transparent
from asymcert.report.series import norm_symbol

FAINT = 0.25  # opacity of points that are not on their front
MARGIN = 0.04  # of the range that is shown, on either side
COLUMNS = 5  # of names below a picture


@dataclass(frozen=True, eq=False)
class Marks:
    """Points of one contender in a panel, those that make its front or others, with their figures on both axes."""

    name: str
    points: Sequence[Point]
    look: Look
    x: Sequence[Estimate]
    y: Sequence[Estimate]
    leading: bool = True

    def ends(self, axis: str) -> dict[str, Any]:
        """Whiskers of the intervals on an axis, for plotly."""
        values = np.array(getattr(self, axis), dtype=np.float64).reshape(-1, 3)
        lengths = {"array": values[:, 2] - values[:, 0], "arrayminus": values[:, 0] - values[:, 1]}
        finite = {name: np.nan_to_num(part, posinf=0.0).tolist() for name, part in lengths.items()}
        return {**finite, "symmetric": False, "thickness": 1, "width": 0, "color": transparent(self.look.colour, 0.35)}

    def values(self, axis: str) -> list[float]:
        """The figures on an axis."""
        return [each.value for each in getattr(self, axis)]


@dataclass(frozen=True, eq=False)
class Panel:
    """What a plot and a picture show."""

    title: str
    x: str
    y: str
    marks: Sequence[Marks]
    joined: bool  # whether points are steps of a front

    @property
    def range(self) -> tuple[float, float]:
        """Of the horizontal axis: that of the points that make fronts."""
        values = [value for marks in self.marks if marks.leading for value in marks.values("x")] or [0.0, 100.0]
        margin = MARGIN * (max(values) - min(values)) or 1.0
        return min(values) - margin, max(values) + margin


def front_panel(norm: float, points: Sequence[Point]) -> Panel:
    """Every contender's front in one norm, and behind them the other points."""
    marks, drawn = [], _looks(points)
    for name, own in by_contender(points).items():
        along = front(own)
        for part in ([point for point in own if point not in along], along):
            accuracies = [percent(point.accuracy_estimate) for point in part]
            radii = [point.radius_estimate for point in part]
            marks.append(Marks(name, part, drawn[name], accuracies, radii, part is along))
    return Panel(*front_axes(norm), sorted(marks, key=lambda each: each.leading), True)


def front_axes(norm: float) -> tuple[str, str, str]:
    """Title of a front's panel, and of its axes."""
    symbol = norm_symbol(norm)
    return f"{symbol} norm", "Balanced accuracy, %", f"Median radius, {symbol}"


def alarm_panel(norm: float, points: Sequence[Point], size: float) -> Panel:
    """What is caught at the thresholds of one rate of false alarms: clean against certified at a radius."""
    marks, drawn = [], _looks(points)
    for name, own in by_contender(points).items():
        clean = [percent(point.estimate(point.caught)) for point in own]
        kept = [percent(point.certified_estimate(size)) for point in own]
        marks.append(Marks(name, own, drawn[name], clean, kept))
    title = f"{norm_symbol(norm)}, certified to {size:g}"
    return Panel(title, "Caught, unchanged, %", "Caught, certified, %", marks, False)


def _looks(points: Sequence[Point]) -> dict[str, Look]:
    """By contender: its method's, with open markers for all but the first certifier run on a part of the samples."""
    drawn = looks([point.result.method.name for point in points])
    found: dict[str, Look] = {}
    for name, own in by_contender(points).items():
        look = drawn[own[0].result.method.name]
        found[name] = look._replace(filled=look not in found.values())
    return found


def plot_of(panel: Panel) -> Plot:
    """The interactive panel; traces bear their method's name, by which a page switches them."""
    figure = new_figure()
    for marks in panel.marks:
        figure.add_scatter(**_trace(marks, panel.joined and marks.leading))
    style(figure, panel.x, panel.y)
    figure.update_layout(hovermode="closest", showlegend=False)
    figure.update_xaxes(range=panel.range).update_yaxes(rangemode="tozero", automargin=True)
    return Plot(panel.title, f"{panel.y} against {panel.x}, {panel.title}", figure)


def picture_of(panels: Sequence[Panel]) -> Any:
    """All panels in a row, contenders named below; only what makes fronts."""
    figure, axes = row_of_axes(len(panels), PANEL[1] + 1.0)
    for axis, panel in zip(axes, panels, strict=True):
        draw_panel(axis, panel)
    named = {name: line for axis in axes for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    style = {"loc": "outside lower center", "ncols": COLUMNS, "fontsize": 7.5, "frameon": False}
    figure.legend(named.values(), named.keys(), **style)
    return figure


def draw_panel(axis: Any, panel: Panel) -> None:
    """Draw what makes fronts."""
    for marks in panel.marks:
        if marks.leading:
            shape = {"color": marks.look.colour, "marker": marks.look.drawn, "markersize": 5, "linewidth": 1.2}
            shape |= {} if marks.look.filled else {"markerfacecolor": "white"}
            line = LINE_STYLES[marks.look.dash] if panel.joined else "none"
            joined = {"drawstyle": "steps-pre", "linestyle": line}
            axis.plot(marks.values("x"), marks.values("y"), label=plain_label(marks.name), **shape, **joined)
    axis.set_xlim(panel.range)
    axis.set_ylim(bottom=0)
    axis.set_xlabel(panel.x, fontsize=9)
    axis.set_ylabel(panel.y, fontsize=9)


def threshold_text(point: Point) -> str:
    """How a point's threshold was chosen on validation data."""
    rate = point.result.rate
    return "balanced" if rate is None else f"{100 * rate:.3g} % false alarms"


def percent(share: Estimate) -> Estimate:
    """A share with its interval in percent."""
    return Estimate(*(100 * value for value in share))


def _trace(marks: Marks, joined: bool) -> dict[str, Any]:
    """One contender's trace, with whiskers where its points lead."""
    colour = {"color": marks.look.colour}
    parts = [(point.result.setting.name, point.result.curve.label, threshold_text(point)) for point in marks.points]
    trace = {
        "x": marks.values("x"),
        "y": marks.values("y"),
        "text": [", ".join(each) for each in parts],
        "name": plain(marks.name),
        "meta": marks.points[0].result.method.name if marks.points else "",
        "mode": "lines+markers" if joined else "markers",
        "marker": {
            **colour,
            "symbol": marks.look.marker + ("" if marks.look.filled else "-open"),
            "size": 8 if marks.leading else 5,
        },
        "hovertemplate": "%{x:.1f} %, %{y:.3g}<br>%{text}<extra>%{fullData.name}</extra>",
    }
    if not marks.leading:
        return trace | {"opacity": FAINT}
    return trace | {
        "line": {
            **colour,
            "width": 1.8,
            "shape": "vh",
            "dash": marks.look.dash,
        },  # a front is the radius of the next point on the right
        "error_x": marks.ends("x"),
        "error_y": marks.ends("y"),
    }
