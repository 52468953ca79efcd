"""What commands there are, and the help that lists them, without loading what they need."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Any

import typer

from asymcert._version import __version__

COMMANDS = {  # in the order of the help, with the file of this folder that each is a function of
    "demo": "train_commands",
    "zoo": "zoo_commands",
    "table": "table_commands",
    "train": "train_commands",
    "certify": "certify_commands",
    "evaluate": "certify_commands",
    "explain": "explain_commands",
    "threshold": "run_commands",
    "union": "union_commands",
    "audit": "run_commands",
    "surface": "run_commands",
    "report": "run_commands",
    "gate": "gate_commands",
    "card": "gate_commands",
    "compare": "compare_commands",
    "separate": "theory_commands",
    "export": "export_commands",
    "serve": "serve_commands",
    "datasets": "train_commands",
    "doctor": "doctor_commands",
}
GROUPS = {"lake": "lake_commands", "study": "study_commands"}  # of commands; the first line of the file says what for
LOOKS: dict[str, Any] = {
    "name": "asymcert",
    "no_args_is_help": True,
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
}


def overview() -> typer.Typer:
    """The application with what its help needs: of the commands, names and docstrings."""
    app = typer.Typer(**LOOKS)
    for name, file in COMMANDS.items():
        app.command(name, help=docstring(file, name))(_nothing)
    for name, file in GROUPS.items():
        app.command(name, help=docstring(file))(_nothing)
    app.callback()(options)
    return app


def docstring(file: str, function: str | None = None) -> str | None:
    """Docstring of a file of this folder, or of a function in it, read without importing the file."""
    tree: Any = ast.parse(Path(__file__).with_name(f"{file}.py").read_text(encoding="utf-8"))
    if function is not None:
        tree = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    return ast.get_docstring(tree)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train classifiers whose sensitive verdict provably holds, certify them, attack them, report on them."""


def _nothing() -> None: ...
