"""Commands that certify: certify and evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from asymcert._checks import check_count, refuse
from asymcert.certify import CERTIFIERS, Certifier, certifier_for, default_method
from asymcert.cli import show
from asymcert.cli.options import OF_METHOD, with_fields_of
from asymcert.cli.parameters import (
    Box,
    DataDir,
    Edits,
    Json,
    Limit,
    MaxBytes,
    MethodName,
    Norms,
    Quiet,
    RunPath,
    SplitName,
    ThreatFiles,
)
from asymcert.cli.steps import (
    certify_points,
    certify_run,
    certify_table,
    check_inside,
    chosen_split,
    output_file,
    score_file,
    threats_for,
)
from asymcert.cli.summaries import certified_rows, detection_rows, part_rows, room_rows, summary_rows, unit_rows
from asymcert.datasets.binary import Split
from asymcert.datasets.table_batches import read_batches
from asymcert.evaluate import floor_significant
from asymcert.evaluate.evasion import explain_columns
from asymcert.evaluate.explain import explain
from asymcert.evaluate.judged import Judged, judge_run
from asymcert.evaluate.labels import method_labels, threat_labels
from asymcert.models.base import BinaryClassifier
from asymcert.runs.rows import options_text
from asymcert.runs.run import Run
from asymcert.threats.model import ThreatModel

WITHOUT_VERDICT = 3  # exit code
MOST_ALERTS = 8  # that an error message offers
SCHEMA = {"schema": "asymcert.evaluate", "version": 1}  # of each line of evaluate --json; docs/reference/files.md


@with_fields_of(*CERTIFIERS, panel=OF_METHOD)
def certify(
    run: RunPath,
    norm: Norms = None,
    edits: Edits = None,
    threat: ThreatFiles = None,
    method: MethodName = None,
    split: SplitName = "test",
    limit: Limit = None,
    box: Box = True,
    proof: Annotated[
        Path | None,
        typer.Option(help="Folder to write proofs into, for `python -m asymcert.proofs.checker`.", show_default=False),
    ] = None,
    explain_index: Annotated[
        int | None,
        typer.Option("--explain", help="Table: one alert of the split, column by column.", show_default=False),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            help="File of other rows, without labels, to certify: CSV, Parquet, Arrow and the like.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="With --table: CSV file for a verdict and radii of each row; texts like formulas get an apostrophe.",
            show_default=False,
        ),
    ] = None,
    evasions: Annotated[
        bool,
        typer.Option("--evasions", help="With --table and --norm columns: values of few columns that undo each alert."),
    ] = False,
    max_bytes: MaxBytes = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    overrides: dict[str, Any],
) -> None:
    """Certify every sample of a split; an interrupted certification continues.

    With --table, certify the rows of a file instead; exit code 3 says that some have no verdict, but a `problem`.

    Examples: asymcert certify runs/a --norm 1 --norm inf · asymcert certify runs/a --threat spammer.toml --method
    tangent · asymcert certify runs/a --threat spammer.toml --method tangent --explain 7 · asymcert certify runs/a
    --table new.csv --out radii.csv · asymcert certify runs/a --norm columns
    """
    opened = Run(run, data_dir)
    model = opened.model
    threats = threats_for(model, norm, threat, box, edits)
    certifier = certifier_for(method or default_method(model, threats), **overrides)
    if evasions or any(option is not None for option in (table, out, max_bytes)):
        if any(option is not None for option in (proof, limit, explain_index)):
            raise refuse("--table", "used without --proof, --limit and --explain", "one of them")
        if table is None or out is None:
            raise refuse("--table", "given together with --out", "one of them", "Example: --out radii.csv")
        output_file("--out", out, [table, *(threat or []), *opened.folder.own_files])
        plan = model.scaling.plan if model.scaling else None
        batches = read_batches(table, plan, max_bytes)
        counts = score_file(model, batches, out, threats, certifier, quiet, evasions)
        show.result(counts, as_json)
        if counts["problems"]:
            what = f"{counts['problems']} of {counts['rows']} rows have no verdict; the column 'problem' says why"
            show.console.print(what, soft_wrap=True)
            raise typer.Exit(WITHOUT_VERDICT)
        return
    if explain_index is not None:
        if proof is not None or limit is not None:
            raise refuse("explain", "used without --proof and --limit", "both", "It certifies one sample only.")
        _print_explanation(opened, split, explain_index, threats, certifier, as_json)
        return
    rows = certify_run(opened, threats, certifier, split, limit, quiet, proof)
    _print_summary(opened, rows, f"Certificates, {split} data", as_json)


@with_fields_of(*CERTIFIERS, panel=OF_METHOD)
def evaluate(
    run: RunPath,
    method: MethodName = None,
    split: SplitName = "test",
    table: Annotated[
        Path | None,
        typer.Option(help="Tables: file of labelled rows, such as a later month's; kept nowhere.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    overrides: dict[str, Any],
) -> None:
    """Accuracies and radii in l1, l2 and l_inf, for tables also in columns, and a detector's figures, also certified.

    What is not certified yet is, also at the thresholds of 1 % and of 0.1 % false alarms on the split. With --table the
    rows of a file are judged instead, without those that the model was trained on.

    Examples: asymcert evaluate runs/a --json · asymcert evaluate runs/a --table july.csv
    """
    opened = Run(run, data_dir)
    certifier = certifier_for(method or default_method(opened.model), **overrides)
    threats = threats_for(opened.model)
    if certifier.counts and opened.model.scaling is not None and opened.model.scaling.windows is None:
        threats = threats_for(opened.model, ["0"]) + threats
    if table is None:
        rows, name = certify_run(opened, threats, certifier, split, quiet=quiet), opened.data.name
        certify_points(opened, threats, certifier, split, quiet)
    elif split != "test":
        raise refuse("--split", "left out where --table is given", split)
    else:
        rows, name, split = certify_table(opened, table, threats, certifier, quiet), table.name, "all"
    judged = judge_run(opened.folder, rows)
    title = f"{name}: {opened.model.sensitive} against {opened.model.other}, {split} data"
    _print_summary(opened, rows, title, as_json, judged, SCHEMA, threats)
    if judged and not as_json:
        show.table("As a detector (95 % intervals)", detection_rows(judged), as_json)
        title = "As a detector, all sensitive samples changed by any size up to"
        show.table(title, certified_rows(judged), as_json)


def _print_summary(
    run: Run,
    rows: Any,
    title: str,
    as_json: bool,
    judged: Sequence[Judged] = (),
    schema: dict[str, Any] | None = None,
    threats: Sequence[ThreatModel] = (),
) -> None:
    """Accuracies and radii; for a table, the radii in its columns' units too; in JSON a detector's figures."""
    lines, units = summary_rows(rows, as_json), unit_rows(run, rows, threats, as_json)
    if as_json:
        for position, line in enumerate(lines if units else []):
            line["median_radius_in_units"] = {row["column"]: list(row.values())[1 + position] for row in units}
        lines = [
            (schema or {}) | line | (judged[position].to_dict() if judged else {})
            for position, line in enumerate(lines)
        ]
    show.table(title, lines, as_json)
    if units and not as_json:
        show.table("How far one column alone may move at the median radius, in its own units", units, as_json)


def _check_alert(model: BinaryClassifier, split: Split, name: str, index: int) -> None:
    """Refuse a sample that is not called sensitive, and name some that are."""
    if not bool(model.predict(split.x[index][None])):
        alerts = model.predict(split.x).nonzero().flatten().tolist()
        first = ", ".join(map(str, alerts[:MOST_ALERTS])) or "none"
        more = f" and {len(alerts) - MOST_ALERTS} more" if len(alerts) > MOST_ALERTS else ""
        got = f"{index}, which is called {model.other!r}"
        raise refuse("explain", f"a sample of the {name} split called {model.sensitive!r}: {first}{more}", got)


def _print_explanation(
    run: Run, name: str, index: int, threats: list[ThreatModel], certifier: Certifier, as_json: bool
) -> None:
    check_count("explain", index, 0)
    split = chosen_split(run.data, name)
    if index >= len(split):
        raise refuse("explain", f"at most {len(split) - 1}, the last sample of the {name} split", index)
    model, results = run.model, []
    _check_alert(model, split, name, index)
    check_inside(model, threats, split.x[index][None])
    label = method_labels([(certifier.method, options_text(certifier))])[0]
    for threat in threats:
        if threat.norm == 0:
            radius, parts = explain_columns(model, split.x[index], threat, certifier)
            rows = part_rows(parts, as_json)
        else:
            radius, rooms = explain(model, split.x[index], threat, certifier)
            rows = room_rows(rooms, as_json)
        if as_json:
            results.append({"threat": threat.describe(), "method": label, "radius": radius, "columns": rows})
        else:
            size, adversary = floor_significant(radius, 4), threat_labels([threat.describe()])[0]
            show.table(f"{name} sample {index}{_row(split, index)}, {adversary}, {label}: radius {size}", rows, as_json)
    if as_json:
        show.table("", results, as_json)


def _row(split: Split, index: int) -> str:
    """Where a sample stands in its file."""
    return "" if split.rows is None else f" (row {int(split.rows[index])} of the file, from 0)"
