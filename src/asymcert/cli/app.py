"""The application: commands, and one line of error for a user's mistake."""

from __future__ import annotations

import sys

import typer
from rich.markup import escape

from asymcert.cli import run_commands, train_commands
from asymcert.cli.show import console
from asymcert.errors import AsymcertError

app = typer.Typer(
    name="asymcert",
    help="Train classifiers whose sensitive verdict provably holds, certify them, attack them, report on them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for command in (
    train_commands.demo,
    train_commands.train,
    run_commands.certify,
    run_commands.evaluate,
    run_commands.audit,
    run_commands.surface,
    run_commands.report,
    train_commands.datasets,
):
    app.command()(command)


def main() -> None:
    """Run the command line; exit 0 on success, 1 on a broken certificate, 2 on a mistake, 130 on an interrupt."""
    try:
        app()
    except AsymcertError as error:
        console.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("interrupted; run the same command again to continue")
        sys.exit(130)
