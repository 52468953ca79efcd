"""What a report says of a detector: ROC, precision and recall, calibration, alerts by radius."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from asymcert.evaluate.curves import certified_accuracy, summary
from asymcert.evaluate.detection import TITLES, figure_text
from asymcert.evaluate.formatting import floor_significant
from asymcert.evaluate.judged import Judged
from asymcert.evaluate.robust import attacked_margins
from asymcert.report.plots import Plot, new_figure, plain, style
from asymcert.report.series import COLOURS, DASHES, GREY, LONGEST_CURVE, Series
from asymcert.report.tables import Table
from asymcert.report.texts import shortened
from asymcert.runs.facts import RunFacts

ATTACKED = 3  # sizes of changes that a curve is drawn for
ALERTS = 10  # listed
Labelled = tuple[NDArray[np.bool_], NDArray[np.float64]]


def figures_table(judged: Judged, facts: RunFacts) -> Table:
    """The detector's figures on unchanged samples, and counts by class and verdict."""
    counts = judged.confusion
    rows = [(TITLES[name], figure_text(name, each)) for name, each in judged.detection.items()]
    for name, caught in ((facts.sensitive, ("caught", "missed")), (facts.other, ("false_alarms", "passed"))):
        alarms, passed = (counts[verdict] for verdict in caught)
        rows.append((f"samples of class {name}", f"{alarms} alarms, {passed} passed"))
    return Table(("Figure", "Value (95 % interval)"), tuple(rows), 1)


def at_rates(series: Series, judged: Judged) -> list[Series]:
    """The curve's like at the thresholds of rates of false alarms."""
    found = []
    for point, dash in zip(judged.points, DASHES, strict=False):
        label = " · ".join(filter(None, (series.label, f"{100 * point.max_fpr:g} % false alarms")))
        curve, line = certified_accuracy(point.rows), summary(point.rows).row(0, named=True)
        found.append(replace(series, label=label, rows=point.rows, curve=curve, summary=line, dash=dash))
    return found


def ranking_plots(series: Series, judged: Judged) -> list[Plot]:
    """ROC, and precision against recall: of unchanged samples, and under any change up to some sizes."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    roc, precision = new_figure(), new_figure()
    least = 50.0 / series.summary["n_other"]  # half of one false alarm, in percent: where none at all is drawn
    for name, (label, margin), line in _attacked(series, judged):
        false, caught, _ = roc_curve(label, margin)
        _add(roc, np.maximum(100 * false, least), 100 * caught, name, line)
        precise, recall, _ = precision_recall_curve(label, margin, drop_intermediate=True)
        _add(precision, 100 * recall, 100 * precise, name, line | {"shape": "hv"})
    style(roc, "False alarms, % (logarithmic; 0 at the left end)", "Caught, %")
    roc.update_xaxes(type="log", range=[np.log10(least), 2]).update_yaxes(range=[0, 101])
    style(precision, "Recall, %", "Precision, %")
    precision.update_xaxes(range=[0, 101]).update_yaxes(range=[0, 101])
    name = f"{series.adversary} · {series.method}"
    name = name if sizes_shown(judged) else "unchanged samples"
    titles = {"ROC": roc, "Precision and recall": precision}
    plots = [Plot(f"{title}, {name}", f"{title} of {name}", figure) for title, figure in titles.items()]
    for plot in plots:
        plot.figure.update_layout(hovermode="closest")
    return plots


def sizes_shown(judged: Judged) -> list[float]:
    """Sizes of changes that the detector is drawn under: none where certificates hold at one threshold alone."""
    return judged.sizes[1 : 1 + ATTACKED] if judged.certified else []


def calibration_plot(judged: Judged) -> Plot | None:
    """Shares of sensitive samples against the probability that the margin stands for; None where it is none."""
    if judged.calibration is None:
        return None
    bins = 100 * judged.calibration.drop("count")
    figure = new_figure()
    dotted = {"color": GREY, "width": 1.5, "dash": "dot"}
    figure.add_scatter(x=[0, 100], y=[0, 100], mode="lines", name="as it should be", line=dotted)
    figure.add_scatter(
        x=bins["predicted"].to_numpy(),
        y=bins["observed"].to_numpy(),
        error_y={
            "array": (bins["upper"] - bins["observed"]).to_numpy(),
            "arrayminus": (bins["observed"] - bins["lower"]).to_numpy(),
            "thickness": 1,
            "width": 3,
        },
        mode="lines+markers",
        name="observed, with 95 % intervals",
        line={"color": COLOURS[0], "width": 2},
    )
    style(figure, "Probability that the margin stands for, %", "Share that is sensitive, %")
    figure.update_xaxes(range=[-1, 101]).update_yaxes(range=[-1, 101]).update_layout(hovermode="closest")
    return Plot("Calibration", "Observed share against predicted probability", figure)


def most_fragile(rows: pl.DataFrame, count: int = ALERTS) -> pl.DataFrame:
    """Evaluation rows of the alerts with the least positive radii, the most fragile first."""
    return rows.filter(pl.col("prediction"), pl.col("radius") > 0).sort("radius", "index").head(count)


def unpromised_note(series: Series) -> str:
    """How many alerts of a series have radius 0 and are not among those of `most_fragile`; empty where none has."""
    alerts = series.rows.filter("prediction")
    bare = alerts.filter(pl.col("radius") == 0)
    if bare.is_empty():
        return ""
    least, known = "one change" if series.norm == 0 else "any change, however small,", bare["upper"].is_finite().sum()
    note = f"{len(bare)} of {len(alerts)} alerts carry no promise (radius 0) and are not listed: {least} may undo them."
    return note + (f" For {known} of them a change that does is known." if known else "")


def fragile_alerts(series: Series, facts: RunFacts, texts: pl.DataFrame) -> Table:
    """The alerts with the least positive radii: position in the split, true class, a text itself, margin, radius."""
    alerts = most_fragile(series.rows)
    names, said = {True: facts.sensitive, False: facts.other}, dict(texts["index", "text"].rows())
    rows = [
        (
            str(row["index"]),
            names[row["label"]],
            *([shortened(said.get(row["index"], ""))] if said else []),
            floor_significant(row["margin"]),
            floor_significant(row["radius"]),
        )
        for row in alerts.iter_rows(named=True)
    ]
    place = "Sample" if facts.scaling is None else "Row"
    header = (place, "Class", *(["Text"] if said else []), "Margin", f"Radius, {series.unit}")
    return Table(header, tuple(rows), len(header) - 2)


def _attacked(series: Series, judged: Judged) -> Iterator[tuple[str, Labelled, dict[str, Any]]]:
    """Labels and margins, unchanged and, where the method tells, under changes of some sizes; with name and line."""
    rows = series.rows
    cases: dict[str, Labelled] = {"unchanged": (rows["label"].to_numpy(), rows["margin"].to_numpy())}
    for size in sizes_shown(judged):
        cases[f"any change up to {size:g}"] = attacked_margins(rows, size)
    for (name, case), colour, dash in zip(cases.items(), COLOURS, itertools.cycle(DASHES), strict=False):
        yield name, case, {"color": colour, "width": 2, "dash": dash}


def _add(figure: Any, x: NDArray[np.float64], y: NDArray[np.float64], name: str, line: dict[str, Any]) -> None:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), LONGEST_CURVE)).astype(np.int64))
    shown = "%{x:.3g} %: %{y:.1f} %<extra>%{fullData.name}</extra>"
    figure.add_scatter(x=x[kept], y=y[kept], mode="lines", name=plain(name), line=line, hovertemplate=shown)
