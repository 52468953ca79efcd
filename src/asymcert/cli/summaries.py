"""Results as rows to print: numbers as they are for JSON, rounded outward for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from asymcert.datasets import BinaryData, Split
from asymcert.datasets.columns import CategoryColumn, WordColumn
from asymcert.datasets.table_options import TableOptions
from asymcert.datasets.text_columns import EncodedColumn
from asymcert.evaluate import floor_percent, floor_significant, summary
from asymcert.evaluate.detection import RATES, TITLES, detection, figure_text
from asymcert.evaluate.evasion import ColumnPart
from asymcert.evaluate.explain import ColumnRoom
from asymcert.evaluate.formatting import ceil_percent, ceil_significant, interval_text
from asymcert.evaluate.judged import Judged
from asymcert.evaluate.labels import method_labels, threat_labels
from asymcert.evaluate.units import amount_text, radius_in_units
from asymcert.models.base import BinaryClassifier
from asymcert.runs.rows import threat_key
from asymcert.runs.run import Run
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import is_constant

MOST_LISTED = 12  # columns of a kind


def rounded(row: dict[str, Any], as_json: bool) -> dict[str, Any]:
    """A row as it is for JSON; for people shares in percent and other numbers rounded down, constants and times up."""
    return row if as_json else {name: _shown(name, value) for name, value in row.items()}


def _shown(name: str, value: Any) -> Any:
    if not isinstance(value, float) and value is not None:
        return value
    if "accuracy" in name:
        return floor_percent(value)
    if name == "norm":
        return f"{value:g}"
    upward = name.startswith(("lipschitz", "seconds", "spread"))
    return (ceil_significant if upward else floor_significant)(value, 3)


def summary_rows(rows: pl.DataFrame, as_json: bool) -> list[dict[str, Any]]:
    """Summary of evaluation rows, one for each curve."""
    table = summary(rows).sort("norm", maintain_order=True)
    if as_json:
        return table.to_dicts()
    threats = dict(zip(table["threat"], _labels_of_threats(table), strict=True))
    methods = method_labels(list(table.select("method", "options").iter_rows()))
    with_upper = bool(table["median_upper"].is_finite().any())
    return [
        {
            "threat": threats[row["threat"]],
            "method": method,
            "sensitive accuracy": floor_percent(row["accuracy_sensitive"], 2),
            "other accuracy": floor_percent(row["accuracy_other"], 2),
            "median radius": floor_significant(row["median_radius"], 4),
            **({"at most": ceil_significant(row["median_upper"], 4)} if with_upper else {}),
            "mean radius": floor_significant(row["mean_radius"], 4),
            "samples": row["n_sensitive"] + row["n_other"],
        }
        for row, method in zip(table.to_dicts(), methods, strict=True)
    ]


def unit_rows(run: Run, rows: pl.DataFrame, threats: Sequence[ThreatModel], as_json: bool) -> list[dict[str, Any]]:
    """For a table: how far each column alone may move at the median radius, one row for each column.

    Adversaries are those of the run's folder, and `threats`.

    People are not told where columns are counted: any number of them says that each alone may move by any amount.
    """
    scaling = run.model.scaling
    if scaling is None or scaling.windows:
        return []
    table = summary(rows).sort("norm", maintain_order=True)
    table = table if as_json else table.filter(pl.col("norm") > 0)
    known = run.folder.threats() | {threat_key(threat): threat for threat in threats}
    titles = _curve_titles(table)
    amounts = [
        radius_in_units(scaling, radius or 0.0, known[key]) for key, radius in table["threat", "median_radius"].rows()
    ]
    text = (lambda value: value) if as_json else amount_text
    return [
        {"column": column.name, **{title: text(each[column.name]) for title, each in zip(titles, amounts, strict=True)}}
        for column in (scaling.columns if titles else ())
    ]


def validation_facts(model: BinaryClassifier, split: Split, as_json: bool) -> dict[str, Any]:
    """How the model does on validation data, at its threshold and over all."""
    margin = (model.scores(split.x) - model.threshold).numpy()
    found = detection(split.y.numpy(), margin, RATES[:1])
    names = ("accuracy", "roc_auc", "recall", "false_positive_rate", f"tpr_at_fpr_{RATES[0]:g}")
    chosen = {name: found[name] for name in names}
    if as_json:
        return {"validation": {name: each._asdict() for name, each in chosen.items()}}
    return {f"validation {TITLES[name]}": figure_text(name, each) for name, each in chosen.items()}


def detection_rows(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """A detector's figures without an adversary; those of curves that share them once."""
    first = judged[0]
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in first.confusion.items())
    rows = [{"figure": TITLES[name], "value": figure_text(name, each)} for name, each in first.detection.items()]
    return [*rows, {"figure": "counts", "value": counts}]


def certified_rows(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """What stays caught under any change, one row for each curve and size."""
    rows = []
    for name, each in zip(threat_labels([each.threat for each in judged]), judged, strict=True):
        for position, size in enumerate(each.sizes):
            row = {"threat": name, "size": f"{size:g}", "caught": interval_text(each.caught[position])}
            row |= {
                TITLES[f"tpr_at_fpr_{point.max_fpr:g}"]: interval_text(point.caught[position]) for point in each.points
            }
            if each.certified:
                row["area under the ROC curve"] = figure_text("roc_auc", each.certified[position]["roc_auc"])
            rows.append(row)
    return rows


def room_rows(rooms: list[ColumnRoom], as_json: bool) -> list[dict[str, Any]]:
    """One certificate, column by column."""
    if as_json:
        return [vars(room) for room in rooms]
    return [
        {
            "column": room.column,
            "value": _value_text(room.value),
            "may fall by": amount_text(room.fall),
            "may rise by": amount_text(room.rise),
        }
        for room in rooms
    ]


def part_rows(parts: list[ColumnPart], as_json: bool) -> list[dict[str, Any]]:
    """What each column carries of one margin, and becomes in a row that undoes the verdict."""
    if as_json:
        return [vars(part) for part in parts]
    return [
        {
            "column": part.column,
            "value": _value_text(part.value),
            "carries of the margin": ceil_percent(part.share),
            "undone with": "" if part.becomes is None else str(part.becomes).removesuffix(".0"),
        }
        for part in parts
    ]


def _value_text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def table_remarks(data: BinaryData) -> list[str]:
    """What was made of files, and of a table: its columns by kind, and rows that were left out."""
    if data.scaling is None:
        return [*data.notes]
    kinds: dict[str, list[str]] = {"numbers": [], "categories": [], "free text": [], "constant, so without effect": []}
    lines: list[str] = []
    for column in data.scaling.columns:
        if isinstance(column, EncodedColumn):
            lines.append(f"text {column.name!r}: {column.encoder.vocabulary.summary}")
        elif isinstance(column, WordColumn):
            kinds["free text"].append(column.name)
        elif isinstance(column, CategoryColumn):
            many = len(column.values) >= TableOptions.categories
            hint = "; --text if these are words, --drop if they name rows" if many else ""
            kinds["categories"].append(f"{column.name} ({len(column.values)} values told apart{hint})")
        else:
            kinds["constant, so without effect" if is_constant(column) else "numbers"].append(column.name)
    lines = [*(f"{kind}: {_listed(names)}" for kind, names in kinds.items() if names), *lines]
    if data.dropped:
        lines.append(f"left out of the test data: {data.dropped} rows that training has too")
    return [*data.notes, *lines]


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def _labels_of_threats(table: pl.DataFrame) -> list[str]:
    distinct = table["threat"].unique(maintain_order=True).to_list()
    labels = dict(zip(distinct, threat_labels(distinct), strict=True))
    return [labels[key] for key in table["threat"]]


def _curve_titles(table: pl.DataFrame) -> list[str]:
    """Threat model, and the method where there are several."""
    methods = method_labels(list(table.select("method", "options").iter_rows()))
    threats = _labels_of_threats(table)
    if len(set(methods)) == 1:
        return threats
    return [f"{threat}, {method}" for threat, method in zip(threats, methods, strict=True)]
