"""Your own tables: CSV and Parquet files with a label column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from asymcert._checks import check_choice, check_count, option, refuse
from asymcert.datasets.binary import BinaryData, Split
from asymcert.datasets.columns import unnamed, words_of
from asymcert.datasets.scaling import IMPUTATIONS, SCALINGS, TableScaling, clean, running_text
from asymcert.datasets.source import DataSource
from asymcert.datasets.splitting import three_way, two_way
from asymcert.datasets.table_files import check_numbers, read_table, table_name
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

MOST_LISTED = 10


@dataclass(frozen=True)
class TableOptions:
    """What to make of a table's columns; the fields are arguments of `load_table`."""

    label: str = option(MISSING, "Table: name of the label column.")
    drop: Sequence[str] = option((), "Table: column to leave out; repeat for more.")
    impute: str | None = option(None, "Table: fill missing values.", IMPUTATIONS)
    scaling: str = option("quantile", "Table: how numbers become inputs.", SCALINGS)
    text: str | None = option(None, "Table: column of free text, made into hashed word counts.")
    categories: int = option(20, "Table: most values of a text column with an input of their own; the rest share one.")
    words: int = option(1024, "Table: inputs for free text.")

    def __post_init__(self) -> None:
        if isinstance(self.drop, str) or not all(isinstance(name, str) for name in self.drop):
            raise refuse("drop", "a sequence of column names", repr(self.drop), "Write drop=('name',).")
        object.__setattr__(self, "drop", tuple(self.drop))
        check_choice("scaling", self.scaling, SCALINGS)
        check_choice("impute", self.impute or IMPUTATIONS[0], IMPUTATIONS)
        check_count("categories", self.categories)
        check_count("words", self.words)
        if self.label in self.drop:
            raise refuse("drop", "without the label column", repr(self.drop))


def load_table(
    path: str | Path,
    label: str,
    sensitive: object,
    *,
    test: str | Path | None = None,
    drop: Sequence[str] = (),
    impute: str | None = None,
    scaling: str = "quantile",
    text: str | None = None,
    categories: int = 20,
    words: int = 1024,
    seed: int = 0,
    max_bytes: int | None = None,
) -> BinaryData:
    """Load a table, split it by distinct row and scale it to [0, 1].

    Rows with identical features always go into one split. Without `test`, 20 % of the rows are the test split, then
    20 % of the rest the validation split, as nearly as whole groups of identical rows allow, class by class. Test
    rows whose features also occur in training or validation are left out and counted in ``BinaryData.dropped``: with
    `test`, or where imputation made rows equal. Running text is compared by its words, whatever their order.

    Parameters
    ----------
    path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file with a header.
    label
        Column with the class.
    sensitive
        Value of `label` that is sensitive; all other values together are the other class.
    test
        A file with the same columns whose rows are the test split.
    drop
        Columns to leave out.
    impute
        ``"mean"``, ``"median"``, ``"zero"`` or ``"most-frequent"``: see `TableScaling.fit`. None refuses missing
        values.
    scaling
        ``"quantile"`` (training quantiles 1 % and 99 %) or ``"min-max"``; see `TableScaling`.
    text
        Column to be read as running text, by hashed word counts; a single text column is.
    categories
        Most values of a text column that get an input of their own; the rest share one.
    words
        Number of inputs for running text.
    seed
        Of the splits.
    max_bytes
        Most bytes that a packed file may unpack to; by default 256 MiB or 64 times its size, whichever is more.

    Returns
    -------
    BinaryData
        Inputs of shape (d,), with `scaling` and `source` set.

    Raises
    ------
    InputError
        A column, value or option that does not exist, or an unknown file extension.
    DataError
        A file that is missing, empty or damaged, missing or infinite values, or too few rows to split.
    """
    check_count("seed", seed, low=0)
    options = TableOptions(label, drop, impute, scaling, text, categories, words)
    frame = read_table(path, max_bytes)
    test_frame = None if test is None else read_table(test, max_bytes)
    for file, read in ((path, frame), (test, test_frame)):
        if file is not None and read is not None:
            check_numbers(file, read, {label, *options.drop, text or label})
    stored = {
        **asdict(options),
        "drop": list(options.drop),
        "test": None if test is None else str(Path(test).absolute()),
        **({} if max_bytes is None else {"max_bytes": max_bytes}),
    }
    source = DataSource(str(Path(path).absolute()), str(sensitive), seed, stored)
    return split_table(table_name(path), frame, test_frame, sensitive, options, source)


def split_table(
    name: str,
    frame: pl.DataFrame,
    test_frame: pl.DataFrame | None,
    sensitive: object,
    options: TableOptions,
    source: DataSource,
) -> BinaryData:
    """Split and scale a table that is in memory; see `load_table`."""
    frames = [_features(f, options) for f in (frame, test_frame) if f is not None]
    labels = [f[options.label] for f in (frame, test_frame) if f is not None]
    chosen, other, y = _sensitive_rows(labels, sensitive)
    groups = _same_rows(frames, options)
    if test_frame is None:
        train, val, test = three_way(y[0], groups[0], source.seed, name)
        parts = [(frames[0][rows], y[0][rows]) for rows in (train, val, test)]
    else:
        train, val = two_way(y[0], groups[0], source.seed, name)
        parts = [*((frames[0][rows], y[0][rows]) for rows in (train, val)), (frames[1], y[1])]
    scaling = TableScaling.fit(
        parts[0][0],
        options.scaling,
        impute=options.impute,
        text=options.text,
        categories=options.categories,
        words=options.words,
    )
    return _assemble(name, parts, scaling, (chosen, other), options, source)


def _assemble(
    name: str,
    parts: list[tuple[pl.DataFrame, NDArray[np.bool_]]],
    scaling: TableScaling,
    classes: tuple[str, str],
    options: TableOptions,
    source: DataSource,
) -> BinaryData:
    """Scale the parts, leaving out rows that an earlier part has too."""
    frames = [scaling.impute(frame) for frame, _ in parts]
    seen: NDArray[np.int64] = np.empty(0, np.int64)
    splits, dropped = [], 0
    for (_, y), frame, groups in zip(parts, frames, _same_rows(frames, options), strict=True):
        new = np.flatnonzero(~np.isin(groups, seen))
        dropped += len(groups) - len(new)
        seen = np.union1d(seen, groups)
        if len(new) == 0:
            raise DataError(f"{name}: every row of a split also occurs in training. Provide other rows.")
        splits.append(Split(scaling.transform(frame[new]), torch.from_numpy(y[new])))
    sensitive, other = classes
    return BinaryData(name, *splits, sensitive=sensitive, other=other, scaling=scaling, source=source, dropped=dropped)


def _features(frame: pl.DataFrame, options: TableOptions) -> pl.DataFrame:
    """Clean feature columns."""
    check_choice("label", options.label, frame.columns)
    names = dict.fromkeys(frame.columns)
    for name in options.drop:
        check_choice("drop", name, names)
    left_out = {options.label, *options.drop}
    kept = [name for name in names if name not in left_out]
    if not kept:
        raise refuse("drop", "such that a feature column is left", repr(options.drop))
    if options.text is not None:
        check_choice("text", options.text, kept)
    return clean(frame[kept])


def _same_rows(frames: Sequence[pl.DataFrame], options: TableOptions) -> list[NDArray[np.int64]]:
    """A number for each row, the same for rows with the same features."""
    numbers: dict[tuple[object, ...], int] = {}
    columns = frames[0].columns
    text = options.text or running_text(frames[0])
    place = None if text is None else columns.index(text)
    result = []
    for frame in frames:
        absent = sorted(set(columns) - set(frame.columns))
        if absent:
            raise DataError(f"The test file lacks the columns {absent}. Provide the columns that the first file has.")
        keys = (_key(row, place) for row in frame[columns].iter_rows())
        result.append(np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64))
    return result


def _key(row: tuple[object, ...], place: int | None) -> tuple[object, ...]:
    if place is None or not isinstance(row[place], str):
        return row
    return (*row[:place], tuple(sorted(words_of(str(row[place])))), *row[place + 1 :])


def _sensitive_rows(labels: list[pl.Series], sensitive: object) -> tuple[str, str, list[NDArray[np.bool_]]]:
    """Names of the sensitive class and of the rest, and which rows are sensitive in each file."""
    missing = sum(values.null_count() for values in labels)
    if missing:
        raise DataError(f"Label column '{labels[0].name}' has {missing} missing values. Drop these rows.")
    values = unnamed(labels[0]).unique().sort().to_list()
    chosen = [value for value in values if _is_same(value, sensitive)]
    if not chosen:
        listed = ", ".join(map(str, values[:MOST_LISTED])) + (", ..." if len(values) > MOST_LISTED else "")
        raise refuse("sensitive", f"a value of column '{labels[0].name}' ({listed})", repr(sensitive))
    if len(values) == 1:
        raise DataError(
            f"Label column '{labels[0].name}' has one value only, {values[0]}. Provide rows of two classes."
        )
    known = [value for part in labels for value in unnamed(part).unique().to_list()]
    rest = {str(value) for value in known if not _is_same(value, sensitive)}
    other = rest.pop() if len(rest) == 1 else f"not {chosen[0]}"
    y = [np.array([_is_same(value, sensitive) for value in part.to_list()]) for part in labels]
    return str(chosen[0]), other, y


def _is_same(value: object, wanted: object) -> bool:
    """Whether a label is the one wanted, which may come as text from a command line."""
    if str(value) == str(wanted):
        return True
    if isinstance(value, bool) or isinstance(wanted, bool):
        return str(value).lower() == str(wanted).lower()
    try:
        return not isinstance(value, str) and float(str(value)) == float(str(wanted))
    except ValueError:
        return False
