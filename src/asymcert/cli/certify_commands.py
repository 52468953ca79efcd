"""Commands that certify: certify and evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from asymcert._checks import check_count, refuse
from asymcert.certify import Certifier, certifier_for, default_method
from asymcert.cli import show
from asymcert.cli.parameters import (
    Box,
    Cuts,
    DataDir,
    Json,
    Limit,
    Method,
    Norms,
    Quiet,
    Run,
    Sound,
    SplitName,
    Threats,
    TimeLimit,
    Tolerance,
    Workers,
)
from asymcert.cli.steps import certify_run, check_inside, chosen_split, load_data, output_file, score_file, threats_for
from asymcert.cli.summaries import room_rows, summary_rows, unit_rows
from asymcert.datasets import Split
from asymcert.evaluate import RunFolder, floor_significant
from asymcert.evaluate.explain import explain
from asymcert.evaluate.labels import method_labels
from asymcert.runs.rows import options_text
from asymcert.threats.model import ThreatModel


def certify(
    run: Run,
    norm: Norms = None,
    threat: Threats = None,
    method: Method = None,
    sound: Sound = True,
    cuts: Cuts = None,
    tolerance: Tolerance = None,
    time_limit: TimeLimit = None,
    workers: Workers = None,
    split: SplitName = "test",
    limit: Limit = None,
    box: Box = True,
    proof: Annotated[
        Path | None,
        typer.Option(help="Folder to write proofs into, for `python -m asymcert.proofs.checker`.", show_default=False),
    ] = None,
    explain_index: Annotated[
        int | None,
        typer.Option("--explain", help="Table: one sample of the split, column by column.", show_default=False),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet file of other rows, without labels, to certify.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With --table: CSV file for a verdict and radii of each row.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Certify every sample of a split; an interrupted certification continues.

    With --table, certify the rows of a file instead.

    Examples: asymcert certify runs/a --norm 1 --norm inf · asymcert certify runs/a --threat spammer.toml --method
    tangent · asymcert certify runs/a --threat spammer.toml --method tangent --explain 7 · asymcert certify runs/a
    --table new.csv --out radii.csv
    """
    folder = RunFolder(run)
    given = {"cuts": cuts, "tolerance": tolerance, "time_limit": time_limit, "workers": workers}
    model = folder.load_model()
    certifier = certifier_from(method or default_method(model), sound, given)
    threats = threats_for(model, norm, threat, box)
    if table is not None or out is not None:
        if any(option is not None for option in (proof, limit, explain_index)):
            raise refuse("--table", "used without --proof, --limit and --explain", "one of them")
        if table is None or out is None:
            raise refuse("--table", "given together with --out", "one of them", "Example: --out radii.csv")
        output_file("--out", out, [table, *(threat or []), *folder.own_files])
        show.result(score_file(model, table, out, threats, certifier, quiet), as_json)
        return
    data = load_data(folder, data_dir)
    if explain_index is not None:
        if proof is not None or limit is not None:
            raise refuse("explain", "used without --proof and --limit", "both", "It certifies one sample only.")
        _print_explanation(folder, chosen_split(data, split), split, explain_index, threats, certifier, as_json)
        return
    rows = certify_run(folder, data, threats, certifier, split, limit, quiet, proof)
    _print_summary(folder, rows, f"Certificates, {split} data", as_json)


def evaluate(
    run: Run, split: SplitName = "test", data_dir: DataDir = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Accuracies and radii in l1, l2 and l_inf; certifies what is not certified yet.

    Example: asymcert evaluate runs/a --json
    """
    folder = RunFolder(run)
    data = load_data(folder, data_dir)
    model = folder.load_model()
    certifier = certifier_for(default_method(model))
    rows = certify_run(folder, data, threats_for(model), certifier, split, quiet=quiet)
    _print_summary(folder, rows, f"{data.name}: {data.sensitive} against {data.other}, {split} data", as_json)


def certifier_from(method: str, sound: bool, given: dict[str, Any]) -> Certifier:
    """The certifier that the options of a command name; those not given keep their defaults."""
    return certifier_for(method, sound, **{name: value for name, value in given.items() if value is not None})


def _print_summary(folder: RunFolder, rows: Any, title: str, as_json: bool) -> None:
    """Accuracies and radii; for a table, the radii in its columns' units too."""
    lines, units = summary_rows(rows, as_json), unit_rows(folder, rows, as_json)
    if as_json:
        for position, line in enumerate(lines if units else []):
            line["median_radius_in_units"] = {row["column"]: list(row.values())[1 + position] for row in units}
    show.table(title, lines, as_json)
    if units and not as_json:
        show.table("How far one column alone may move at the median radius, in its own units", units, as_json)


def _print_explanation(
    folder: RunFolder,
    split: Split,
    name: str,
    index: int,
    threats: list[ThreatModel],
    certifier: Certifier,
    as_json: bool,
) -> None:
    check_count("explain", index, 0)
    if index >= len(split):
        raise refuse("explain", f"at most {len(split) - 1}, the last sample of the {name} split", index)
    model, results = folder.load_model(), []
    check_inside(model, threats, split.x[index][None])
    label = method_labels([(certifier.method, options_text(certifier))])[0]
    for threat in threats:
        radius, rooms = explain(model, split.x[index], threat, certifier)
        rows = room_rows(rooms, as_json)
        if as_json:
            results.append({"threat": threat.describe(), "method": label, "radius": radius, "columns": rows})
        else:
            size = floor_significant(radius, 4)
            show.table(f"{name} sample {index}, {threat.describe()}, {label}: radius {size}", rows, as_json)
    if as_json:
        show.table("", results, as_json)
