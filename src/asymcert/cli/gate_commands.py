"""Commands before a release: gate and card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from asymcert._checks import check_number, refuse
from asymcert.certify import certifier_for, default_method
from asymcert.cli import show
from asymcert.cli.parameters import DataDir, Json, Norms, Quiet, RunPath, ThreatFiles
from asymcert.cli.steps import output_file, threats_for
from asymcert.errors import RunError
from asymcert.evaluate.formatting import ceil_percent, floor_percent, interval_text
from asymcert.evaluate.gate import ALARMS, MAX_DROP, RESAMPLES, SCHEMA, Drop, drops
from asymcert.evaluate.labels import COLUMNS, threat_labels
from asymcert.evaluate.same_rows import SameRows, certified, same_rows
from asymcert.models.text import TextClassifier
from asymcert.models.zoo import check_own
from asymcert.runs.rows import threat_key
from asymcert.runs.run import Run
from asymcert.runs.tables import CERTIFICATES
from asymcert.threats.model import WORDS, ThreatModel

WEAKER = 1  # exit code


def gate(
    new: RunPath,
    against: Annotated[Path, typer.Option(help="Run folder of the model that is to be replaced.")],
    max_drop: Annotated[
        list[str] | None,
        typer.Option(help=f"Greatest drop that passes, by default {MAX_DROP:g}; or FIGURE=DROP, repeat for more."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="Tables: file of labelled rows, instead of the new run's test rows.", show_default=False),
    ] = None,
    norm: Norms = None,
    threat: ThreatFiles = None,
    radii: Annotated[
        list[float] | None, typer.Option(help="Size of changes for certified figures; repeat for more.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail unless the whole interval of every drop is within what is allowed.")
    ] = False,
    resamples: Annotated[int, typer.Option(help="Of the paired bootstrap.")] = RESAMPLES,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare a new run with the one it is to replace, on the same rows; exit 1 if it is weaker.

    Clean and certified figures of both, with paired 95 % intervals of the difference. See docs/gate.md.

    Examples: asymcert gate runs/new --against runs/old · asymcert gate runs/new --against runs/old --max-drop 0.01
    --max-drop auc=0.002 --max-drop recall@3=0.02 --strict
    """
    most, overrides = _allowed(max_drop or [])
    opened = [Run(new, data_dir), Run(against, data_dir)]
    rows = same_rows(opened[0], opened[1], table)
    threats = [_threats(run, opened, rows, norm, threat) for run in opened]
    names = threat_labels([threat_key(each) for each in threats[0]])
    sides: list[dict[str, pl.DataFrame]] = []
    for run, x, adversaries in zip(opened, (rows.new, rows.old), threats, strict=True):
        with show.progress(f"certify {run.folder.path}", len(x), quiet) as update:
            found = certified(run.model, x, rows.y, adversaries, update)
        sides.append(dict(zip(names, found, strict=True)))
    figures = drops(sides[0], sides[1], most, overrides, radii, strict=strict, resamples=resamples)
    if as_json:
        show.result(_record(opened, rows, figures, strict), as_json)
    else:
        _print(opened, rows, figures)
    raise typer.Exit(WEAKER if any(each.weaker for each in figures) else 0)


def card(
    run: RunPath,
    out: Annotated[Path | None, typer.Option(help="Folder for both files, by default the run's.")] = None,
    as_json: Json = False,
) -> None:
    """Write a robustness card, card.md and card.json, from the rows of a run: what is proved of the model, what is not.

    Run `evaluate`, and `audit` if attacks are to be told, before. See docs/gate.md.

    Example: asymcert card runs/a --out release
    """
    from asymcert.report.card import NAMES, write_card

    opened = Run(run)
    _check_certified(opened)
    if out is not None:
        check_own("--out", out)
    for name in NAMES:
        output_file("--out", (opened.folder.path if out is None else out) / name, opened.folder.own_files)
    page, record = write_card(opened, out)
    show.result({"page": str(page), "record": str(record)}, as_json)


def _check_certified(run: Run) -> None:
    """Refuse a run without rows, and the zoo, before a folder is made."""
    _ = run.facts  # refuses what is no run
    run.folder.check_own()
    if run.folder.read(CERTIFICATES).filter(run.folder.own).is_empty():
        path = run.folder.path
        raise RunError(f"{path}: holds no certificates of its model and data. Run `asymcert evaluate {path}` first.")


def _allowed(given: Sequence[str]) -> tuple[float, dict[str, float]]:
    """The allowance of all figures, and those of single ones."""
    parts = [text.rpartition("=") for text in given]
    overrides: dict[str, float] = {}
    plain = [MAX_DROP]
    for name, _, text in parts:
        try:
            value = float(text)
        except ValueError:
            raise refuse("--max-drop", "a number, or FIGURE=NUMBER", repr(text), "Example: auc=0.002.") from None
        check_number("--max-drop", value, 0.0, 1.0)
        plain += [] if name else [value]
        overrides |= {name: value} if name else {}
    if len(plain) > 2:
        raise refuse("--max-drop", "one number for all figures", f"{len(plain) - 1}", "Name figures: auc=0.002.")
    return plain[-1], overrides


def _threats(
    run: Run, runs: Sequence[Run], rows: SameRows, norms: list[str] | None, files: list[Path] | None
) -> list[ThreatModel]:
    """Adversaries of one model: those named, else any change of so many columns where both models count them."""
    if not norms and not files and all(_counts(each) for each in runs):
        norms = [WORDS if isinstance(run.model, TextClassifier) else COLUMNS]
    threats = threats_for(run.model, norms, files)
    plain = threats[: len(threats) - len(files or [])]
    if not rows.same_inputs and any(each.norm != 0 for each in plain):
        remedy = "Use --norm columns, or a --threat file with prices in the columns' own units."
        raise refuse("--norm", "columns for runs that scale a table differently", "sizes in different units", remedy)
    return threats


def _counts(run: Run) -> bool:
    """Whether a run is of a table and its model's method counts changed columns."""
    model = run.model
    return model.scaling is not None and certifier_for(default_method(model, [ThreatModel(0)])).counts


def _record(runs: Sequence[Run], rows: SameRows, figures: Sequence[Drop], strict: bool) -> dict[str, Any]:
    """What --json prints; see docs/gate.md."""
    new, old = ({"run": str(run.folder.path), "model_digest": run.digest} for run in runs)
    counts = {"sensitive": int(rows.y.sum()), "other": int((~rows.y).sum()), "left_out": rows.left_out}
    return SCHEMA | {
        "new": new,
        "old": old,
        "rows": counts | {"training_unknown": rows.unknown},
        "strict": strict,
        "passed": not any(each.weaker for each in figures),
        "figures": [each.to_dict() for each in figures],
    }


def _print(runs: Sequence[Run], rows: SameRows, figures: Sequence[Drop]) -> None:
    new, old = (str(run.folder.path) for run in runs)
    model, hostile = runs[0].model, int(rows.y.sum())
    counts = f"{hostile} of class {model.sensitive}, {len(rows.y) - hostile} of class {model.other}"
    show.table(f"{new} against {old}, on the same rows: {counts}", list(map(_line, figures)), as_json=False)
    if rows.left_out:
        show.console.print(f"left out: {rows.left_out} rows that one of the models was trained on", soft_wrap=True)
    if rows.unknown:
        what = "the old run's data are gone or have changed: it may have been trained on some of these rows"
        show.console.print(f"{what}. Rows of --table that it never saw settle it.", soft_wrap=True)
    weak = [each.name for each in figures if each.weaker]
    print(f"weaker: {', '.join(weak)}" if weak else "passed")


def _line(figure: Drop) -> dict[str, str]:
    share = ceil_percent if figure.figure == ALARMS else floor_percent
    return {
        "figure": figure.figure,
        "adversary": figure.adversary or "",
        "old": share(figure.old),
        "new": share(figure.new),
        "drop (95 % interval)": interval_text(figure.drop, ceil_percent),
        "allowed": floor_percent(figure.allowed),
        "verdict": figure.verdict,
    }
