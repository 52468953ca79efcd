"""The application: commands, and one line of error for a user's mistake."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer
from rich.markup import escape
from safetensors import SafetensorError

from asymcert._version import __version__
from asymcert.cli import (
    certify_commands,
    compare_commands,
    explain_commands,
    export_commands,
    gate_commands,
    lake_commands,
    run_commands,
    study_commands,
    table_commands,
    theory_commands,
    train_commands,
)
from asymcert.cli.show import console
from asymcert.errors import AsymcertError

INTERRUPTED = 130  # what Typer makes of Ctrl-C
SYSTEM_REMEDY = "Check the path, its permissions and the space that is left."

app = typer.Typer(
    name="asymcert",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for command in (
    train_commands.demo,
    table_commands.table,
    train_commands.train,
    certify_commands.certify,
    certify_commands.evaluate,
    explain_commands.explain,
    run_commands.threshold,
    run_commands.audit,
    run_commands.surface,
    run_commands.report,
    gate_commands.gate,
    gate_commands.card,
    compare_commands.compare,
    theory_commands.separate,
    export_commands.export,
    train_commands.datasets,
):
    app.command()(command)
app.add_typer(lake_commands.app, name="lake")
app.add_typer(study_commands.app, name="study")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train classifiers whose sensitive verdict provably holds, certify them, attack them, report on them."""


def main() -> None:
    """Run the command line.

    Exits with 0 on success, 1 on a broken certificate or a weaker model, 2 on a mistake, 130 on an interrupt.
    """
    try:
        app()
    except AsymcertError as error:
        _fail(str(error))
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _fail(f"{what}. {SYSTEM_REMEDY}")
    except SafetensorError as error:  # safetensors wraps the system's errors
        _fail(f"{error}. {SYSTEM_REMEDY}")
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            console.print("interrupted; run the same command again to continue")
        raise


def _fail(message: str) -> NoReturn:
    console.print(f"[red]error:[/red] {escape(message)}", soft_wrap=True)
    sys.exit(2)
