"""The command that makes one detector of several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asymcert._checks import check_number
from asymcert.cli import show
from asymcert.cli.parameters import DataDir, Json
from asymcert.cli.summaries import validation_facts
from asymcert.models.thresholds import BALANCED
from asymcert.runs.folder import RunFolder
from asymcert.runs.run import Run
from asymcert.runs.union import unite_runs


def union(
    runs: Annotated[list[Path], typer.Argument(help="At least two runs on the same data and split.")],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    max_fpr: Annotated[
        float | None,
        typer.Option(
            help="Most false alarms of the union in validation; by default classes balance.", show_default=False
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Unite runs into one detector, which says sensitive if any of them does: its radii are the greatest of theirs.

    Each gets the same number of false alarms on validation data.

    Example: asymcert union runs/l2 runs/linf --out runs/both
    """
    if max_fpr is not None:
        check_number("--max-fpr", max_fpr, 0.0, 1.0)
    opened = [Run(path, data_dir) for path in runs]
    model = unite_runs(opened, RunFolder(out), BALANCED if max_fpr is None else max_fpr)
    facts = {"run": str(out), "model_digest": model.digest, "threshold": model.threshold}
    show.result(facts | validation_facts(model, opened[0].data.val, as_json), as_json)
