"""The application: commands, and one line of error for a user's mistake."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import typer
from rich.markup import escape
from safetensors import SafetensorError

from asymcert.cli.overview import COMMANDS, GROUPS, LOOKS, docstring, options
from asymcert.cli.show import console
from asymcert.errors import AsymcertError

INTERRUPTED = 130  # what Typer makes of Ctrl-C
SYSTEM_REMEDY = "Check the path, its permissions and the space that is left."

app = typer.Typer(**LOOKS)
for name, file in COMMANDS.items():
    app.command(name)(getattr(import_module(f"asymcert.cli.{file}"), name))
for name, file in GROUPS.items():
    app.add_typer(import_module(f"asymcert.cli.{file}").app, name=name, help=docstring(file))
app.callback()(options)


def main() -> None:
    """Run the command line; exit codes are those of `front.main`."""
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
