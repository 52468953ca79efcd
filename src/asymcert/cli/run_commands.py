"""Commands on a certified run: audit, surface, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from asymcert._checks import check_choice, check_number, refuse
from asymcert.certify import CERTIFIERS, ClosedForm, certifier_for, default_method
from asymcert.cli import show
from asymcert.cli.junit import write_junit
from asymcert.cli.options import OF_METHOD, parse_norm, with_fields_of
from asymcert.cli.parameters import Box, DataDir, Edits, Json, Norms, Quiet, RunPath, SplitName, ThreatFiles
from asymcert.cli.steps import (
    SPLITS,
    audit_run,
    certify_run,
    chosen_split,
    output_file,
    own_rows,
    report_run,
    threats_for,
    uncertified,
)
from asymcert.cli.summaries import validation_facts
from asymcert.errors import RunError
from asymcert.evaluate import floor_percent, floor_significant, threat_key
from asymcert.evaluate import surface as surface_of
from asymcert.evaluate.surface import columns_surface
from asymcert.evaluate.text_audit import summary_of
from asymcert.models.thresholds import BALANCED
from asymcert.runs.rows import TEXT_SCHEMA
from asymcert.runs.run import Run
from asymcert.runs.threshold import move_threshold
from asymcert.threats.file import read_threat


@with_fields_of(*CERTIFIERS, panel=OF_METHOD)
def audit(
    run: RunPath,
    norm: Norms = None,
    edits: Edits = None,
    threat: ThreatFiles = None,
    method: Annotated[str | None, typer.Option(help="Certify by this method first, if that was not done.")] = None,
    split: SplitName = "test",
    box: Box = True,
    junit: Annotated[
        Path | None, typer.Option(help="File for JUnit XML, which CI systems show.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    overrides: dict[str, Any],
) -> None:
    """Attack just inside every certified radius, by whatever method; exit 1 if any attack succeeds.

    What has no certificate yet is certified first. Examples: asymcert audit runs/a --norm 2 · asymcert audit runs/a
    --method tangent --threat spammer.toml · asymcert audit runs/a --norm 2 --junit audit.xml
    """
    opened = Run(run, data_dir)
    opened.folder.check_own()
    threats = threats_for(opened.model, norm, threat, box, edits)
    certifier = certifier_for(method or default_method(opened.model, threats), **overrides)
    if junit is not None:
        output_file("--junit", junit, [*opened.folder.own_files, *(threat or [])])
    missing = uncertified(opened, threats, split, certifier if method or overrides else None)
    if missing:
        certify_run(opened, missing, certifier, split, quiet=quiet)
    rows = audit_run(opened, threats, split, quiet)
    successes = int(rows["success"].sum())
    if junit is not None:
        write_junit(rows, junit)
    facts: dict[str, Any] = {"attacked": len(rows), "successes": successes}
    if rows.schema == TEXT_SCHEMA:
        facts |= {"texts": int(rows["attempts"].sum())}
        summary = summary_of(rows).to_dicts()
        facts |= {"attacks": summary} if as_json else {}
        if not as_json:
            shown = [{name: "" if value is None else value for name, value in row.items()} for row in summary]
            show.table("Attacks tried, and what became of them", shown, as_json)
    show.result(facts, as_json)
    raise typer.Exit(1 if successes else 0)


def threshold(
    run: RunPath,
    max_fpr: Annotated[
        float | None, typer.Option(help="Most false alarms in validation, a share.", show_default=False)
    ] = None,
    balanced: Annotated[bool, typer.Option("--balanced", help="Recognise both classes equally often.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Move a trained run's threshold, without training, to where --max-fpr would have put it.

    Certificates and figures are of the threshold before: `asymcert evaluate RUN` makes those of the new one.

    Examples: asymcert threshold runs/a --max-fpr 0.001 · asymcert threshold runs/a --balanced
    """
    if balanced == (max_fpr is not None):
        raise refuse("--max-fpr", "given, or else --balanced", "both" if balanced else "neither", "Example: 0.001.")
    if max_fpr is not None:
        check_number("--max-fpr", max_fpr, 0.0, 1.0)
    opened = Run(run, data_dir)
    opened.folder.check_own()
    moved = move_threshold(opened.folder, opened.data, BALANCED if max_fpr is None else max_fpr)
    facts = {"run": str(run), "model_digest": moved.digest, "threshold": moved.threshold}
    show.result(facts | validation_facts(moved, opened.data.val, as_json), as_json)
    show.console.print(f"Figures before are of the other threshold. Next: asymcert evaluate {run}", soft_wrap=True)


def surface(
    run: RunPath,
    norm: Annotated[str, typer.Option(help="1, 2, inf or any p that was certified; columns.")] = "2",
    threat: Annotated[Path | None, typer.Option(help="File with the threat model, instead of a norm.")] = None,
    split: SplitName = "test",
    as_json: Json = False,
) -> None:
    """Certified accuracy over radius and threshold: what a stricter threshold costs and buys.

    Example: asymcert surface runs/a --norm 1
    """
    opened = Run(run)
    adversary = threats_for(opened.model, None if threat else [norm], [threat] if threat else None)[0]
    if adversary.norm == 0:
        grid = columns_surface(opened.model, chosen_split(opened.data, split), adversary)
        about = adversary.describe()
    else:
        certificates = _rows_of(opened, norm, threat, split)
        grid, about = surface_of(certificates), certificates["threat"][0]
    steps = range(0, len(grid.thresholds), 1 if as_json else max(1, len(grid.thresholds) // 10))
    radii = range(0, len(grid.radii), 1 if as_json or adversary.norm == 0 else 25)
    text = (lambda v: v) if as_json else floor_percent
    rows = [
        {
            "threshold": float(grid.thresholds[t]) if as_json else f"{grid.thresholds[t]:+.3f}",
            "other_accuracy": text(float(grid.accuracy_other[t])),
            **{f"radius_{floor_significant(grid.radii[r])}": text(float(grid.certified[r, t])) for r in radii},
        }
        for t in steps
    ]
    show.table(f"Certified accuracy by threshold shift and radius, {about}", rows, as_json)


def report(
    run: RunPath,
    hulls: Annotated[
        Path | None, typer.Option(help="Rows of `asymcert separate --out`: draws what convexity limits.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page and PNGs from the rows of a run.

    Examples: asymcert report runs/a · asymcert report runs/a --hulls hulls.parquet
    """
    opened = Run(run)
    opened.folder.check_own()
    show.result({"page": str(report_run(opened, hulls))}, as_json)


def _rows_of(run: Run, norm: str, threat: Path | None, split: str) -> pl.DataFrame:
    """Closed-form rows of the run's own model and one threat model, sound ones if there are any."""
    check_choice("split", split, SPLITS)
    if not isinstance(run.model, ClosedForm.kind):
        kinds = f"a {type(run.model).__name__}, which has no closed-form certificates"
        raise refuse("run", "of a feature-convex classifier for this command", kinds)
    if threat is None:
        wanted = pl.col("norm") == parse_norm(norm)
    else:
        wanted = pl.col("threat") == threat_key(read_threat(threat, run.model))
    rows = own_rows(run, split).filter(wanted, pl.col("method") == ClosedForm.method)
    if rows.is_empty():
        run.folder.check_own()
        wanted_by = f"--norm {norm}" if threat is None else f"--threat {threat}"
        command = f"asymcert certify {run.folder.path} {wanted_by} --method {ClosedForm.method} --split {split}"
        raise RunError(f"{run.folder.path}: no closed-form certificates. Run `{command}` first.")
    rows = rows.filter(pl.col("threat") == rows["threat"][0])
    return rows.filter(pl.col("options") == rows["options"].max())  # sound=True comes after sound=False
