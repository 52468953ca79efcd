"""A table as it is understood: clean features and classes, or all that must be decided first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asymcert._checks import refuse, several
from asymcert.datasets.labels import Classes, classes_of
from asymcert.datasets.plan import Plan, check_readable
from asymcert.datasets.problems import Problem, refuse_problems
from asymcert.datasets.recognise import Found, recognise
from asymcert.datasets.table_files import RawTable, read_raw
from asymcert.datasets.table_options import TableOptions
from asymcert.errors import DataError, InputError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class CleanTable:
    """Tables as they are understood: clean features, classes, and how that came about.

    Parameters
    ----------
    frames
        Clean features of the table and, if there is one, of the test file.
    classes
        Which rows of them are sensitive.
    found
        What the columns are.
    """

    frames: list[pl.DataFrame]
    classes: Classes
    found: Found


def read_for(path: str | Path, options: TableOptions, max_bytes: int | None = None) -> RawTable:
    """A table's file, read by the user's options."""
    texts = {*options.category, *options.text}
    if options.columns is not None:
        texts |= Plan.from_toml(options.columns).texts
    given = {"names": options.header, "ragged": options.ragged, "texts": texts, "as_named": not options.clean}
    return read_raw(path, max_bytes, **given)


def clean_table(path: str, raws: Sequence[RawTable], sensitive: object, options: TableOptions) -> CleanTable:
    """Understand a table and its test file.

    Raises
    ------
    InputError
        A column, value or option that does not exist.
    DataError
        All that a user must decide, at once.
    """
    given = None if options.columns is None else Plan.from_toml(options.columns)
    found = recognise(raws[0], options, given)
    if not found.plan.used:
        refuse_problems(path, found.problems)
        remedy = f"Left out so far: {'; '.join(found.notes)}." if found.notes else ""
        raise refuse("drop", "such that a feature column is left", repr(options.drop), remedy)
    classes, problems = None, [*found.problems, *(problem for raw in raws[1:] for problem in raw.problems)]
    if options.label is None or options.label in raws[0].frame.columns:
        try:
            classes = classes_for(raws, sensitive, options)
        except (InputError, DataError) as error:
            problems.append(Problem.of(error))
    refuse_problems(path, problems)
    assert classes is not None  # else there is a problem
    frames = [_read(found.plan, raw.frame, "test file" if place else "table") for place, raw in enumerate(raws)]
    return CleanTable(frames, classes, found)


def classes_for(raws: Sequence[RawTable], sensitive: object, options: TableOptions) -> Classes:
    """The classes of a table and its test file; see `classes_of` for what is refused."""
    if options.label is None:
        raise refuse("label", "the name of a column", "none", "Name the column that holds the classes.")
    if not several(sensitive) and not options.harmless:
        raise refuse("sensitive", "a class of the table, or several", "none", "Or name what is `harmless`.")
    if not all(options.label in raw.frame.columns for raw in raws):
        what = "file" if len(raws) == 1 else "test file"
        raise DataError(f"The {what} lacks the label column '{options.label}'. Provide it.")
    labels = [raw.frame.get_column(options.label) for raw in raws]
    mapped = dict(pair.split("=", 1) for pair in options.label_map)
    return classes_of(labels, several(sensitive), options.harmless, mapped, options.clean)


def _read(plan: Plan, frame: pl.DataFrame, what: str) -> pl.DataFrame:
    try:
        clean, reasons = plan.read(frame)
    except DataError as error:
        raise DataError(str(error).replace("The table", f"The {what}")) from None
    check_readable(reasons, what)
    return clean
