"""A look at a table before training: what each column becomes, what is wrong, what gives the classes away."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asymcert._checks import several
from asymcert.datasets.clean_tables import classes_for, read_for
from asymcert.datasets.column_plan import ColumnPlan
from asymcert.datasets.labels import class_counts, label_texts
from asymcert.datasets.plan import Plan
from asymcert.datasets.problems import Problem, counted
from asymcert.datasets.recognise import recognise
from asymcert.datasets.separation import bins_of, by_class, said, separation
from asymcert.datasets.table_options import TableOptions
from asymcert.errors import DataError, InputError

if TYPE_CHECKING:
    import polars as pl

MOST_SHOWN = 5  # values of a category
FEW_LABELS = 20  # values that a label column may have
AFFIRMED = ("1", "1.0", "true", "yes")  # labels of the sensitive class where the other one is their opposite


@dataclass(frozen=True)
class ColumnLook:
    """One column.

    Parameters
    ----------
    name, kind
        Of the column, as in its plan.
    what
        Its range or most frequent values, or why it is left out.
    missing
        Number of rows without a value.
    separates
        Area under the curve of the best rule on this column alone, over 20 bins or values; None without classes.
    histogram
        Shares of the rows of each class in 20 bins, or in the most frequent values; empty without classes.
    """

    name: str
    kind: str
    what: str
    missing: int
    separates: float | None = None
    histogram: Mapping[str, list[float]] | None = None


@dataclass(frozen=True)
class Look:
    """What `look_at` found.

    Parameters
    ----------
    rows
        Number of rows.
    columns
        In the order of the file, without the label.
    classes
        Rows of each class by its name; empty without a label.
    notes
        What was decided.
    problems
        What the user must decide, each with its remedy.
    suspects
        What may give the classes away in training, but not later.
    labels
        Where no label was named: columns that could be it, with their values.
    command
        What to run.
    """

    rows: int
    columns: list[ColumnLook]
    classes: dict[str, int]
    notes: list[str]
    problems: list[str]
    suspects: list[str]
    labels: list[str]
    command: str


def look_at(
    path: str | Path, options: TableOptions, sensitive: Sequence[str] = (), max_bytes: int | None = None
) -> Look:
    """Look at a table's file as `load_table` would take it.

    Parameters
    ----------
    path
        The file.
    options
        As for `load_table`, but the label may be missing.
    sensitive
        Sensitive labels; where neither these nor harmless ones are named, that which says yes, or the rarest.
    max_bytes
        As for `load_table`.

    Raises
    ------
    InputError
        An option names what the table does not have.
    DataError
        The file cannot be read at all.
    """
    raw = read_for(path, options, max_bytes)
    found = recognise(raw, options, None if options.columns is None else Plan.from_toml(options.columns))
    classes, chosen, problems = None, list(several(sensitive)), list(found.problems)
    try:
        if options.label in raw.frame.columns:
            chosen = chosen or ([] if options.harmless else _likely_sensitive(raw.frame.get_column(options.label)))
            classes = classes_for([raw], chosen, options)
    except (DataError, InputError) as error:
        problems.append(Problem.of(error))
    y = classes.y[0] if classes else None
    columns = [_column(column, raw.frame.get_column(column.name), y) for column in found.columns]
    return Look(
        rows=raw.frame.height,
        columns=columns,
        classes={} if classes is None else classes.sizes,
        notes=[*found.notes, *(classes.notes if classes else [])],
        problems=[str(problem) for problem in problems],
        suspects=said({each.name: each.separates or 0.0 for each in columns}, raw.frame.height),
        labels=[] if options.label is not None else _label_candidates(raw.frame),
        command=_command(path, options, chosen, problems),
    )


def _likely_sensitive(labels: pl.Series) -> list[object]:
    """The label that says yes, where the two say yes and no; else the rarest."""
    counts = class_counts([label_texts(labels)])
    yes: list[object] = [label for label in counts if label.lower() in AFFIRMED] if len(counts) == 2 else []
    return yes[:1] or [*sorted(counts, key=counts.__getitem__)[:1]]


def _label_candidates(frame: pl.DataFrame) -> list[str]:
    """Columns of few values, the last first."""
    names = [values.name for values in frame.get_columns() if 2 <= values.drop_nulls().n_unique() <= FEW_LABELS]
    return [
        f"{name}: {counted(class_counts([label_texts(frame.get_column(name))]).items(), MOST_SHOWN)}"
        for name in reversed(names)
    ]


def _column(plan: ColumnPlan, values: pl.Series, y: NDArray[np.bool_] | None) -> ColumnLook:
    if plan.kind == "dropped":
        return ColumnLook(plan.name, plan.kind, plan.why, values.null_count())
    clean = plan.read(values)[0]
    missing, what = clean[0].null_count(), _what(plan, clean)
    if y is None or plan.kind == "text":
        return ColumnLook(plan.name, plan.kind, what, missing)
    separates = max(separation(part, y) for part in clean)
    drawn = by_class(bins_of(clean[0], even=True), y)
    shares = (drawn / np.maximum(drawn.sum(1, keepdims=True), 1)).tolist()
    return ColumnLook(plan.name, plan.kind, what, missing, separates, {"sensitive": shares[0], "other": shares[1]})


def _what(plan: ColumnPlan, clean: Sequence[pl.Series]) -> str:
    values = clean[0].drop_nulls()
    if plan.kind == "number" and len(values):
        unit = f" {plan.unit}" if plan.unit else ""
        return f"{values.min():g} to {values.max():g}{unit}, median {values.median():g}"
    if plan.kind == "category":
        counts = values.alias("value").value_counts(name="rows", sort=True)
        return f"{len(counts)} values: {counted(counts.head(MOST_SHOWN).rows())}"
    if plan.kind == "text":
        return f"running text, such as {values[0][:60]!r}" if len(values) else "running text"
    return f"becomes {', '.join(plan.parts)}"


def _command(path: str | Path, options: TableOptions, sensitive: Sequence[object], problems: Sequence[Problem]) -> str:
    """The command that trains on the table, with the options that settle its problems."""
    given = [f"--label={'LABEL' if options.label is None else options.label}"]
    given += [f"--sensitive={label}" for label in sensitive]
    for item in fields(TableOptions):
        value, flag = getattr(options, item.name), f"--{item.name.replace('_', '-')}"
        if item.name == "label" or value == item.default:
            continue
        if isinstance(value, bool):
            given.append(flag if value else f"--no-{flag[2:]}")
        else:
            given += [f"{flag}={each}" for each in (value if isinstance(value, tuple) else (value,))]
    settled = dict.fromkeys(pair for problem in problems for pair in problem.flags)
    run = Path("runs") / Path(path).name.split(".")[0]
    return shlex.join(["asymcert", "train", str(path), *given, *settled, "--out", str(run)])
