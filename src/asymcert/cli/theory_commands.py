"""Commands of the theory: separate."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from asymcert import datasets
from asymcert._checks import check_number
from asymcert.cli import show
from asymcert.cli.options import parse_norm
from asymcert.cli.parameters import Json, PublishedData, Quiet
from asymcert.cli.steps import output_file
from asymcert.evaluate import floor_significant
from asymcert.evaluate.formatting import ceil_significant
from asymcert.theory.separability import separate as separate_classes
from asymcert.theory.separability import summarise

Splits = Annotated[list[str] | None, typer.Option("--split", help="train (with val) or test; both by default.")]
HullNorms = Annotated[list[str] | None, typer.Option("--norm", help="1, 2 or inf; repeat for more; 2 by default.")]


def separate(
    data: Annotated[str, typer.Argument(help="Name of a data set (see `asymcert datasets`).")],
    norm: HullNorms = None,
    sensitive: Annotated[str | None, typer.Option(help="The class that is to be separated from the other.")] = None,
    split: Splits = None,
    both: Annotated[bool, typer.Option(help="Also the other class against the sensitive one's hull.")] = True,
    limit: Annotated[int | None, typer.Option(help="Only the first points of each class and split.")] = None,
    gap: Annotated[float, typer.Option(help="Gap between the bounds at which a point is done.")] = 1e-3,
    iterations: Annotated[int, typer.Option(help="The most for a point.")] = 1000,
    out: Annotated[Path | None, typer.Option(help="Parquet file for the rows of all points.")] = None,
    seed: Annotated[int, typer.Option(help="Of the splits of data without a test set.")] = 0,
    data_dir: PublishedData = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Distances to the other class's convex hull: the most that any input-convex classifier can certify.

    The hull is that of the training points. Example: asymcert separate mnist-3-8 --split test --norm 2
    """
    check_number("--gap", gap, 0.0, open_low=True)
    loaded = datasets.load(data, data_dir, sensitive, seed)
    norms = [parse_norm(text) for text in norm or ["2"]]
    target = None if out is None else output_file("--out", out)
    start = time.perf_counter()
    with show.progress("hulls", 1, quiet) as update:
        rows = separate_classes(
            loaded,
            norms,
            splits=split or ["train", "test"],
            both=both,
            limit=limit,
            tolerance=gap,
            iterations=iterations,
            progress=lambda done, total: update(done, total=total),
        )
    if target is not None:
        rows.write_parquet(target)
    title = f"{loaded.name}: distance to the other class's training hull, {time.perf_counter() - start:.0f} s"
    found = [row | {"separable": _separable(row, limit)} for row in summarise(rows).iter_rows(named=True)]
    show.table(title, [_line(row, as_json) for row in found], as_json)


def _separable(row: dict[str, Any], limit: int | None) -> bool | None:
    """Whether all points of the class are proven outside; None where only the first were looked at, all outside."""
    return None if row["separable"] and row["points"] == limit else row["separable"]


def _line(row: dict[str, Any], as_json: bool) -> dict[str, Any]:
    """A row of the summary: as it is for JSON; rounded outward, medians named as such, for people."""
    if as_json:
        return row
    shown = {name: row[name] for name in ("split", "class", "norm", "points", "outside")}
    return {
        **shown,
        "norm": f"{row['norm']:g}",
        "separable": {True: "yes", False: "not proven", None: "so far"}[row["separable"]],
        "median_at_least": floor_significant(row["lower"], 4),
        "median_at_most": ceil_significant(row["upper"], 4),
        "greatest_gap": ceil_significant(row["gap"], 2),
    }
