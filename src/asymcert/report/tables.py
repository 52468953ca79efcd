"""Tables of a report, as text that is rounded outward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from asymcert.datasets.scaling import TableScaling
from asymcert.errors import RunError
from asymcert.evaluate.curves import certified_accuracy_at
from asymcert.evaluate.formatting import MISSING, ceil_significant, floor_percent, floor_significant, interval_text
from asymcert.evaluate.labels import method_labels
from asymcert.evaluate.units import amount_text, radius_in_units
from asymcert.report.series import Series, listed_sizes, norm_symbol
from asymcert.runs.facts import RunFacts

LONGEST_SCALING = 200  # columns listed


@dataclass(frozen=True)
class Table:
    """Text cells under a header; the columns from `numbers` on hold numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int = 1


def summary_table(series: tuple[Series, ...], facts: RunFacts) -> Table:
    """One row a series: sizes, accuracies of both classes, radii, time."""
    upper = any(np.isfinite(item.summary["median_upper"]) for item in series)
    rows = []
    for item in series:
        line = item.summary
        row = {
            "Adversary": item.adversary,
            "Method": item.method,
            f"{facts.sensitive}: recognised": f"{floor_percent(line['accuracy_sensitive'])} of {line['n_sensitive']}",
            f"{facts.other}: recognised": f"{floor_percent(line['accuracy_other'])} of {line['n_other']}",
            "Balanced accuracy": floor_percent(line["accuracy_balanced"]),
            "Median radius": floor_significant(line["median_radius"]),
            "Median radius at most": ceil_significant(line["median_upper"]),
            "Mean radius": floor_significant(line["mean_radius"]),
            "Seconds per sample": ceil_significant(line["seconds"], 2),
        }
        rows.append(row if upper else {name: cell for name, cell in row.items() if name != "Median radius at most"})
    return Table(tuple(rows[0]), tuple(tuple(row.values()) for row in rows), 2)


def accuracy_table(panel: list[Series]) -> Table:
    """Certified accuracy of one norm's series at round sizes, with the intervals."""
    sizes = listed_sizes(panel)
    points = [certified_accuracy_at(series.rows, sizes) for series in panel]
    rows = []
    for position, size in enumerate(sizes):
        rows.append((f"{size:g}", *(interval_text(frame.row(position)[1:]) for frame in points)))
    return Table(("Size of change", *(series.label for series in panel)), tuple(rows), 0)


def audit_table(audit: pl.DataFrame) -> tuple[Table, int, int]:
    """The audit by attack, norm and method, the number of attacks that broke a certificate, and the number tried.

    Raises
    ------
    RunError
        The table lacks the boolean column ``success``.
    """
    if audit.schema.get("success") != pl.Boolean:
        raise RunError("The table 'audit' lacks the boolean column 'success'. Run `asymcert audit` again.")
    keys = [name for name in ("attack", "norm", "method", "options") if name in audit.columns]
    tried = pl.col("n").sum() if "n" in audit.columns else pl.len()
    grouped = audit.group_by(keys or pl.lit("all").alias("attack"), maintain_order=True)
    counts = grouped.agg(tried=tried, broken=pl.col("success").sum())
    methods = method_labels([(row.get("method", MISSING), row.get("options", "")) for row in counts.to_dicts()])
    rows = []
    for line, method in zip(counts.iter_rows(named=True), methods, strict=True):
        norm = norm_symbol(line["norm"]) if "norm" in keys else MISSING
        names = (str(line.get("attack", MISSING)), norm, method)
        rows.append((*names, str(line["tried"]), str(line["broken"])))
    header = ("Attack", "Norm", "Method", "Samples attacked", "Certificates broken")
    return Table(header, tuple(rows), 3), int(counts["broken"].sum()), int(counts["tried"].sum())


def units_table(series: tuple[Series, ...], facts: RunFacts) -> Table | None:
    """How far each column of a table may move at each series' median radius; None where columns have no units."""
    if facts.scaling is None:
        return None
    scaling = TableScaling.from_dict(facts.scaling)
    if scaling.windows is not None:
        return None  # its radii are in words already
    known = [(item, item.threat) for item in series if item.threat is not None]
    amounts = [radius_in_units(scaling, item.summary["median_radius"], threat) for item, threat in known]
    names = [column.name for column in scaling.columns][:LONGEST_SCALING]
    header = ("Column", *(f"{item.adversary}, {item.method}" for item, _ in known))
    return Table(header, tuple((name, *(amount_text(each[name]) for each in amounts)) for name in names))
