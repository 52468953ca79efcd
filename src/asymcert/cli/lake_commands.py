"""Certify tables in any number of files, here or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from asymcert.certify import CERTIFIERS
from asymcert.cli import show
from asymcert.cli.options import OF_METHOD, with_fields_of
from asymcert.cli.parameters import Box, Edits, Json, MethodName, Norms, Quiet, RunPath, ThreatFiles
from asymcert.cli.steps import threats_for
from asymcert.lake import Progress, Record, certify, status, verify
from asymcert.runs.run import Run

FAILURES = 1  # exit code
MOST_SHOWN = 20  # failures in a table
Destination = Annotated[str, typer.Argument(help="Place of an earlier `asymcert lake certify --out`.")]

app = typer.Typer(no_args_is_help=True)


@app.command("certify")
@with_fields_of(*CERTIFIERS, panel=OF_METHOD)
def certify_lake(
    run: RunPath,
    source: Annotated[str, typer.Argument(help="Folder, file, glob, or address: file://, s3://, gs://, az://.")],
    out: Annotated[str, typer.Option(help="Folder or address for outputs and records, beside the source.")],
    norm: Norms = None,
    edits: Edits = None,
    threat: ThreatFiles = None,
    method: MethodName = None,
    box: Box = True,
    keep: Annotated[str | None, typer.Option(help="Columns that outputs repeat: id,time.", show_default=False)] = None,
    engine: Annotated[str, typer.Option(help="local (processes here) or ray (tasks of a cluster).")] = "local",
    workers: Annotated[
        int | None,
        typer.Option(help="Processes, by default one a processor; 0 works in this one.", show_default=False),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; without one, Ray starts here.", show_default=False)
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    overrides: dict[str, Any],
) -> None:
    """Certify every row of every table of a lake into Parquet files; what is done is not done again. See docs/lake.md.

    Exits with 1 if files failed, which the others do not wait for.

    Examples: asymcert lake certify runs/a logs --out radii --norm 1 · asymcert lake certify runs/a
    's3://bucket/day=*/*.parquet' --out s3://bucket-of-radii/a --keep id --engine ray --address auto
    """
    model = Run(run).model
    kept = [name for name in (keep or "").split(",") if name]
    with show.progress("certify", 1, quiet) as update:
        found = certify(
            model,
            source,
            out,
            threats_for(model, norm, threat, box, edits),
            method,
            keep=kept,
            engine=engine,
            workers=workers,
            address=address,
            retry_failed=retry_failed,
            progress=lambda state: update(state.done + state.failed, _note(state), state.units),
            waiting=_say_waiting,
            **overrides,
        )
    facts = {"units": found.units, "done": found.done, "failed": found.failed, "rows": found.rows}
    facts |= {"problems": found.problems, "stale": found.stale, "out": out}
    show.result(facts | ({"failures": _shown(found.failures)} if as_json else {}), as_json)
    _print_failures(found.failures, as_json)
    if found.failures:
        raise typer.Exit(FAILURES)


@app.command("status")
def status_of_lake(dest: Destination, as_json: Json = False) -> None:
    """Say how far a lake run is, also while it works.

    Example: asymcert lake status radii
    """
    found = asdict(status(dest))
    failures = [Record(**failure) for failure in found.pop("failures")]
    if as_json:
        show.result(found | {"failures": _shown(failures)}, as_json)
        return
    found["rate"] = f"{found['rate']:,.0f} rows/s"
    found["left"] = "" if found["left"] is None else f"{found['left']:,.0f} s"
    show.result({name: "" if value is None else value for name, value in found.items()}, as_json)
    _print_failures(failures, as_json)


@app.command("verify")
def verify_lake(
    dest: Destination,
    recompute: Annotated[float, typer.Option(help="Share of rows to certify again, from 0 to 1.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the choice of those rows.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read every output again and compare it with its record; exit 1 if anything is changed, missing or strange.

    Example: asymcert lake verify radii --recompute 0.01
    """
    with show.progress("verify", 1, quiet) as update:
        found = verify(dest, recompute, seed, lambda done, total: update(done, total=total))
    facts = {name: getattr(found, name) for name in ("units", "rows", "failed", "recomputed")}
    findings = [asdict(finding) for finding in found.findings]
    show.result(facts | {"findings": findings if as_json else len(findings)}, as_json)
    if findings and not as_json:
        show.table(f"Findings{_more(findings)}", findings[:MOST_SHOWN], as_json)
    if findings:
        raise typer.Exit(FAILURES)


def _say_waiting(other: dict[str, Any]) -> None:
    what = f"process {other['pid']} on {other['host']} works on this destination; waiting until it has ended"
    show.console.print(what, soft_wrap=True, markup=False)


def _note(state: Progress) -> str:
    return f"{state.rows:,} rows, {state.rate:,.0f} rows/s"


def _shown(failures: list[Record]) -> list[dict[str, Any]]:
    return [{"path": each.path, "part": each.part, "tries": each.tries, "error": each.error} for each in failures]


def _print_failures(failures: list[Record], as_json: bool) -> None:
    if failures and not as_json:
        title = f"Failed{_more(failures)} (again with --retry-failed)"
        show.table(title, _shown(failures[:MOST_SHOWN]), as_json)


def _more(lines: Sequence[object]) -> str:
    return "" if len(lines) <= MOST_SHOWN else f", the first {MOST_SHOWN} of {len(lines)}"
