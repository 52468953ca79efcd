"""Commands on a run folder: certify, evaluate, audit, surface, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from asymcert._checks import check_choice
from asymcert.cli import show
from asymcert.cli.options import parse_norm, threats_for
from asymcert.datasets import BinaryData, DataSource, Split
from asymcert.errors import RunError
from asymcert.evaluate import RunFolder, floor_percent, floor_significant, summary
from asymcert.evaluate import evaluate as evaluate_split
from asymcert.evaluate import surface as surface_of
from asymcert.evaluate.audit import audit as audit_rows
from asymcert.evaluate.run_folder import AUDIT, CERTIFICATES
from asymcert.threat import ThreatModel

SPLITS = ("train", "val", "test")

Run = Annotated[Path, typer.Argument(help="Run folder that `asymcert train` made.")]
Norms = Annotated[list[str] | None, typer.Option("--norm", help="1, 2, inf or any p of at least 1; repeat for more.")]
SplitName = Annotated[str, typer.Option("--split", help="train, val or test.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder with the data, where it is not where training found it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
Box = Annotated[bool, typer.Option(help="Keep changed inputs in [0, 1], the range of scaled inputs.")]


def certify(
    run: Run,
    norm: Norms = None,
    method: Annotated[str, typer.Option(help="Kind of certificate.")] = "closed-form",
    split: SplitName = "test",
    box: Box = True,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Certify every sample of a split; an interrupted certification continues.

    Example: asymcert certify runs/a --norm 1 --norm inf
    """
    folder = RunFolder(run)
    threats = threats_for(norm or ["1", "2", "inf"], box)
    rows = certify_run(folder, load_data(folder, data_dir), threats, method, split, quiet)
    show.table(f"Certificates, {split} data", summary_rows(rows, as_json), as_json)


def evaluate(
    run: Run, split: SplitName = "test", data_dir: DataDir = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Accuracies and radii in l1, l2 and l_inf; certifies what is not certified yet.

    Example: asymcert evaluate runs/a --json
    """
    folder = RunFolder(run)
    data = load_data(folder, data_dir)
    rows = certify_run(folder, data, threats_for(["1", "2", "inf"], box=True), "closed-form", split, quiet)
    title = f"{data.name}: {data.sensitive} against {data.other}, {split} data"
    show.table(title, summary_rows(rows, as_json), as_json)


def audit(
    run: Run,
    norm: Norms = None,
    split: SplitName = "test",
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Attack just inside every certified radius; exit 1 if any attack succeeds.

    Example: asymcert audit runs/a --norm 2
    """
    folder = RunFolder(run)
    data = load_data(folder, data_dir)
    successes = audit_run(folder, data, norm or ["1", "2", "inf"], split, quiet)
    attacked = len(folder.read(AUDIT))
    show.result({"attacked": attacked, "successes": successes}, as_json)
    raise typer.Exit(1 if successes else 0)


def surface(
    run: Run,
    norm: Annotated[str, typer.Option(help="1, 2, inf or any p that was certified.")] = "2",
    split: SplitName = "test",
    as_json: Json = False,
) -> None:
    """Certified accuracy over radius and threshold: what a stricter threshold costs and buys.

    Example: asymcert surface runs/a --norm 1
    """
    grid = surface_of(_rows_of(RunFolder(run), parse_norm(norm), split))
    steps = range(0, len(grid.thresholds), 1 if as_json else 10)
    radii = range(0, len(grid.radii), 1 if as_json else 25)
    text = (lambda v: v) if as_json else floor_percent
    rows = [
        {
            "threshold": float(grid.thresholds[t]) if as_json else f"{grid.thresholds[t]:+.3f}",
            "other_accuracy": text(float(grid.accuracy_other[t])),
            **{f"radius_{floor_significant(grid.radii[r])}": text(float(grid.certified[r, t])) for r in radii},
        }
        for t in steps
    ]
    show.table(f"Certified accuracy by threshold shift and l{norm} radius", rows, as_json)


def report(run: Run, as_json: Json = False) -> None:
    """Write one self-contained HTML page and PNGs from the rows of a run.

    Example: asymcert report runs/a
    """
    show.result({"page": str(report_run(RunFolder(run)))}, as_json)


def load_data(run: RunFolder, data_dir: Path | None) -> BinaryData:
    """The data that a run was trained on, checked by its digest."""
    facts = run.facts()
    if facts.source is None:
        raise RunError(f"{run.path}: its data was made by hand. Certify it from Python with asymcert.certify.")
    data = DataSource.from_dict(facts.source).load(data_dir)
    if data.digest != facts.data_digest:
        raise RunError(f"{run.path}: the data is not what the model was trained on. Point --data-dir at the original.")
    return data


def certify_run(
    run: RunFolder, data: BinaryData, threats: list[ThreatModel], method: str, split: str, quiet: bool
) -> pl.DataFrame:
    """Certify a split into the run folder with a progress bar; returns the rows."""
    chosen, model = _split(data, split), run.load_model()
    with show.progress("certify", len(chosen) * len(threats), quiet) as update:
        return evaluate_split(
            model,
            chosen,
            run,
            threats,
            method,
            data_digest=data.digest,
            seed=run.facts().seed,
            split_name=split,
            progress=lambda done, total: update(done),
        )


def audit_run(run: RunFolder, data: BinaryData, norms: list[str], split: str, quiet: bool) -> int:
    """Attack the certified samples of a split, store the rows, and return the number of successes."""
    threats = threats_for(norms, box=True)
    certify_run(run, data, threats, "closed-form", split, quiet=True)
    with show.progress("attack", len(_split(data, split)) * len(threats), quiet) as update:
        rows = audit_rows(
            run.load_model(),
            _split(data, split),
            run,
            threats,
            split_name=split,
            progress=lambda done, total: update(done),
        )
    successes = int(rows["success"].sum())
    if successes:
        show.console.print(f"[bold red]{successes} of {len(rows)} attacks broke a certificate.[/bold red]")
    return successes


def report_run(run: RunFolder) -> Path:
    """Write the report of a run and return the page's path."""
    from asymcert.report import write_report

    return write_report(run)


def summary_rows(rows: pl.DataFrame, as_json: bool) -> list[dict[str, Any]]:
    """Summary of evaluation rows; numbers as they are for JSON, rounded down for people."""
    table = summary(rows)
    if as_json:
        return table.to_dicts()
    return [
        {
            "threat": row["threat"],
            "method": row["method"],
            "sensitive accuracy": floor_percent(row["accuracy_sensitive"], 2),
            "other accuracy": floor_percent(row["accuracy_other"], 2),
            "median radius": floor_significant(row["median_radius"], 4),
            "mean radius": floor_significant(row["mean_radius"], 4),
            "samples": row["n_sensitive"] + row["n_other"],
        }
        for row in table.sort("norm").to_dicts()
    ]


def _split(data: BinaryData, name: str) -> Split:
    check_choice("split", name, SPLITS)
    return {"train": data.train, "val": data.val, "test": data.test}[name]


def _rows_of(run: RunFolder, norm: float, split: str) -> pl.DataFrame:
    """Closed-form rows of one norm and the run's own model."""
    check_choice("split", split, SPLITS)
    model = run.load_model().digest
    same = (pl.col("norm") == norm) & (pl.col("split") == split) & (pl.col("model_digest") == model)
    rows = run.read(CERTIFICATES).filter(same & (pl.col("method") == "closed-form"))
    if rows.is_empty():
        raise RunError(f"{run.path}: no certificates of this norm and split. Run `asymcert certify` first.")
    return rows.filter(pl.col("threat") == rows["threat"][0])
