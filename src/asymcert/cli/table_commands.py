"""A look at a table before training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from asymcert._files import replacing
from asymcert.cli import show
from asymcert.cli.options import with_fields_of
from asymcert.cli.parameters import Json, MaxBytes
from asymcert.cli.steps import output_file
from asymcert.datasets.look import Look, look_at
from asymcert.datasets.table_options import TableOptions
from asymcert.errors import AsymcertError
from asymcert.report.page import environment

TEMPLATE = Path(__file__).parent / "templates" / "table.html"
UNDECIDED = 3  # exit code


@with_fields_of(TableOptions, panel="Of a table", into="options")
def table(
    file: Annotated[Path, typer.Argument(help="A table's file.")],
    sensitive: Annotated[list[str] | None, typer.Option(help="Sensitive class; repeat for more.")] = None,
    max_bytes: MaxBytes = None,
    html: Annotated[Path | None, typer.Option(help="Page to write, with histograms.", show_default=False)] = None,
    as_json: Json = False,
    *,
    options: dict[str, Any],
) -> None:
    """Look at a table before training: what each column becomes, what is wrong, the command to run.

    Exit code 3 says that there is something to decide.

    Examples: asymcert table mail.csv · asymcert table mail.csv --label class --sensitive spam --html mail.html
    """
    look = look_at(file, TableOptions(**options), sensitive or [], max_bytes)
    if html is not None:
        write_look(look, file.name, output_file("--html", html, [file]))
    if as_json:
        show.result(asdict(look), as_json)
    else:
        _print(look, file)
    raise typer.Exit(UNDECIDED if look.problems else 0)


def write_look(look: Look, name: str, target: Path) -> None:
    """Write the page."""
    text = environment(TEMPLATE.parent).get_template(TEMPLATE.name).render(look=look, name=name)
    with replacing(target) as partial:
        partial.write_text(text, encoding="utf-8")


def _print(look: Look, file: Path) -> None:
    classes = "; ".join(f"{name}: {count}" for name, count in look.classes.items())
    rows = [
        {
            "column": column.name,
            "kind": column.kind,
            "what": column.what,
            "missing": column.missing or "",
            "separates alone": "" if column.separates is None else f"{column.separates:.3f}",
        }
        for column in look.columns
    ]
    show.table(f"{file.name}: {look.rows} rows{'; ' if classes else ''}{classes}", rows, as_json=False)
    titles = {"decided": look.notes, "may be the label": look.labels, "suspicious": look.suspects}
    for title, lines in {**titles, "to decide": look.problems, "command": [look.command]}.items():
        for line in lines:
            print(f"{title}: {AsymcertError(line)}")
