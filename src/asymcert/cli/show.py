"""What the command line prints: progress bars, tables, and JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from asymcert._files import jsonable

console = Console(stderr=True, highlight=False)  # progress and remarks; results go to standard output


def result(facts: dict[str, Any], as_json: bool) -> None:
    """Print the result of a command: one JSON object, or aligned ``name  value`` lines."""
    if as_json:
        print(json.dumps(jsonable(facts)))
        return
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")


def table(title: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows of equal keys as a table, columns with numbers aligned to the right, or as one JSON list."""
    if as_json:
        print(json.dumps(jsonable(rows)))
        return
    shown = Table(header_style="bold")
    for index, name in enumerate(rows[0] if rows else []):
        numbers = index > 0 and any(_is_number(row[name]) for row in rows)
        shown.add_column(escape(name.replace("_", " ")), justify="right" if numbers else "left")
    for row in rows:
        shown.add_row(*(escape(str(value)) for value in row.values()))
    output = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 120)
    output.print(
        f"[italic]{escape(title)}[/italic]", shown, sep="\n"
    )  # Table(title=...) would be as narrow as the table


@contextmanager
def progress(what: str, total: int, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error; yields ``update(done, note, total)``."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=quiet, transient=not console.is_terminal) as bars:
        task = bars.add_task(what, total=total, note="")
        yield lambda done, note="", total=total: bars.update(task, completed=done, note=note, total=total)


def epoch_note(record: dict[str, Any]) -> str:
    """One line about an epoch: loss, both accuracies, median radii."""
    parts = [f"loss {record['loss']:.3f}"]
    if "medians" in record:
        parts.append(f"accuracy {record['accuracy_sensitive']:.1%} / {record['accuracy_other']:.1%}")
        parts.append("radius " + " ".join(f"{name} {value:.3g}" for name, value in record["medians"].items()))
    elif "accuracy" in record:
        parts.append(f"accuracy {record['accuracy']:.1%}")
    return ", ".join(parts)


def _is_number(value: object) -> bool:
    """Whether a value is a number or the text of one, such as ``12.5 %`` or ``inf``."""
    if not isinstance(value, str):
        return isinstance(value, int | float)
    try:
        float(value.removesuffix(" %"))
    except ValueError:
        return False
    return True
