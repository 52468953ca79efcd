"""Your own tables: files with a label column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from asymcert._checks import check_count, check_known, several
from asymcert.datasets.binary import BinaryData, Split
from asymcert.datasets.clean_tables import CleanTable, clean_table, read_for
from asymcert.datasets.labels import Classes
from asymcert.datasets.same_rows import same_rows, sorted_words, words_by
from asymcert.datasets.scaling import TableScaling, running_text
from asymcert.datasets.separation import suspects
from asymcert.datasets.source import DataSource
from asymcert.datasets.splitting import Rows, mixed, three_way, two_way
from asymcert.datasets.table_files import RawTable, table_name
from asymcert.datasets.table_options import TableOptions
from asymcert.errors import DataError
from asymcert.texts.codes import check_room

if TYPE_CHECKING:
    import polars as pl

Part: TypeAlias = "tuple[pl.DataFrame, NDArray[np.bool_], Rows]"  # features, labels, and the rows of the file


def load_table(
    path: str | Path,
    label: str,
    sensitive: object = None,
    *,
    test: str | Path | None = None,
    seed: int = 0,
    max_bytes: int | None = None,
    **options: Any,
) -> BinaryData:
    """Load a table, find out what its columns are, split it by distinct row and scale it to [0, 1].

    Rows with identical features always go into one split. Without `test`, 20 % of the rows are the test split, then
    20 % of the rest the validation split, as nearly as whole groups of identical rows allow, class by class. Test
    rows whose features also occur in training or validation are left out and counted in ``BinaryData.dropped``: with
    `test`, or where imputation made rows equal. Running text is compared by the words of its canonical form. Each split
    is in a random order of which every beginning has the classes' shares.

    Parameters
    ----------
    path
        A file that `read_raw` reads: CSV and the like, Parquet, Arrow, ARFF.
    label
        Column with the class.
    sensitive
        Value of `label` that is sensitive, or a sequence of them; all others together are the other class. None where
        `harmless` classes are named.
    test
        A file with the same columns whose rows are the test split.
    seed
        Of the splits.
    max_bytes
        Most bytes that a packed file may unpack to; by default 256 MiB or 64 times its size, whichever is more.
    drop, category, keep_column
        Columns to leave out, to take for categories though they are numbers, and to keep though they look like
        identifiers.
    harmless, label_map
        Labels of the other class; and ``FROM=TO``, spellings of labels and what they stand for. Spellings that differ
        by case and blanks are one label.
    missing, infinite, impute
        Words for missing values beyond `asymcert.datasets.parse.MISSING`. What infinite numbers become: ``"clip"``
        (the default: the greatest finite one), ``"missing"``, ``"refuse"``. Missing values become, by default where
        there are some, the median or most frequent value; with ``"mean"``, ``"median"``, ``"zero"`` or
        ``"most-frequent"`` in all columns, see `TableScaling.fit`; ``"refuse"`` refuses them.
    scaling
        ``"quantile"`` (training quantiles 1 % and 99 %) or ``"min-max"``; see `TableScaling`.
    text
        Column to be read as running text, or several; a single text column is. Where it is the only column, inputs are
        lists of the features of its windows, see `WindowsColumn`; else each of its features is an input, see
        `TextColumn`.
    windows, decoded, word_counts, word_pairs, word_parts, fold_digits, fold_spacing, fold_repeats, vocabulary, \
least_texts
        How text becomes features, see `TextOptions`.
    words
        Hashed counts of words instead, in so many inputs.
    categories
        Most values of a text column that get an input of their own; the rest share one.
    names, ragged
        Names of the columns (``"a,b,c"`` or a file), if the file has none. Lines of too few or too many fields are
        refused, or with ``"skip"`` left out.
    columns
        A file that says what columns are, see `Plan.to_toml`; others are recognised.
    limit
        Use only so many rows, drawn at random with the classes' shares.
    validation
        Share of the rows that are not test rows by which thresholds, and where it is asked for epochs, are chosen.
    clean
        False takes columns as they are, numbers or text: nothing is recognised or left out.

    Returns
    -------
    BinaryData
        Inputs of shape (d,), with `scaling`, `source` and `notes` set.

    Raises
    ------
    InputError
        A column, value or option that does not exist, or an unknown file extension.
    DataError
        A file that is missing, empty or damaged, or has too few rows to split; all other problems of a file at once.
    """
    check_count("seed", seed, low=0)
    check_known(options, {item.name for item in fields(TableOptions)} - {"label"}, "a table")
    chosen = TableOptions(label, **options)
    raws = [read_for(file, chosen, max_bytes) for file in (path, test) if file is not None]
    stored = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(chosen).items()}
    stored |= {"test": _absolute(test), "columns": _absolute(chosen.columns)}
    stored |= {} if max_bytes is None else {"max_bytes": max_bytes}
    names = [str(each) for each in several(sensitive)]
    source = DataSource(str(Path(path).absolute()), names[0] if len(names) == 1 else names or None, seed, stored)
    return _split(str(path), raws, sensitive, chosen, source)


def split_table(
    name: str,
    frame: pl.DataFrame,
    test_frame: pl.DataFrame | None,
    sensitive: object,
    options: TableOptions,
    source: DataSource,
) -> BinaryData:
    """Split and scale a table that is in memory; see `load_table`."""
    raws = [RawTable(each) for each in (frame, test_frame) if each is not None]
    return _split(name, raws, sensitive, options, source)


def _absolute(path: str | Path | None) -> str | None:
    return None if path is None else str(Path(path).absolute())


def _split(path: str, raws: list[RawTable], sensitive: object, options: TableOptions, source: DataSource) -> BinaryData:
    """Split and scale what was read, of which nothing is kept: large tables are here in few copies at a time."""
    table, name = clean_table(path, raws, sensitive, options), table_name(path)
    raws.clear()
    texts, classes, found = _texts(table, options), table.classes, table.found
    files = [(frame, y, np.arange(len(y))) for frame, y in zip(table.frames, table.classes.y, strict=True)]
    if options.limit is not None and options.limit < len(files[0][1]):
        files[0] = _taken(files[0], np.sort(mixed(files[0][1], source.seed)[: options.limit]))
    comparable = words_by(options) if options.words is None else sorted_words
    groups = same_rows([frame for frame, _, _ in files], texts, comparable)[0]
    chosen = (three_way if len(files) == 1 else two_way)(files[0][1], groups, source.seed, name, options.validation)
    gaps = _gaps(files[0][0]) if options.clean and options.impute is None else {}
    parts = [*(_taken(files[0], rows) for rows in chosen), *files[1:]]
    doubts = suspects(parts[0][0], parts[0][1], found.plan, texts) if options.clean else []
    del table, files
    fits = {"impute": options.impute, "categories": options.categories, "words": options.words, "gaps": gaps}
    alone = list(texts) == parts[0][0].columns
    scaling = TableScaling.fit(parts[0][0], options.scaling, text=texts, texts=options, windows=alone, **fits)
    parts = [(scaling.impute(frame), y, rows) for frame, y, rows in parts]
    same = same_rows([frame for frame, _, _ in parts], texts, comparable)
    parts, dropped = _without_doubles(name, parts, same)
    splits, scaling = _encoded(parts, scaling)
    del parts
    if not options.clean:
        return _data(name, splits, classes, source, scaling=scaling, dropped=dropped)
    splits = [split.chosen(torch.from_numpy(mixed(split.y.numpy(), source.seed))) for split in splits]
    notes = [*found.notes, *_gap_notes(gaps, scaling), *classes.notes, *(f"suspicious: {each}" for each in doubts)]
    whole = replace(scaling, plan=found.plan)
    return _data(name, splits, classes, source, scaling=whole, dropped=dropped, notes=tuple(notes))


def _taken(part: Part, rows: Rows) -> Part:
    frame, y, numbers = part
    return frame[rows], y[rows], numbers[rows]


def _data(name: str, splits: list[Split], classes: Classes, source: DataSource, **facts: Any) -> BinaryData:
    train, val, test = splits
    names = {"sensitive": classes.sensitive, "other": classes.other}
    return BinaryData(name, train, val, test, source=source, **names, **facts)


def _texts(table: CleanTable, options: TableOptions) -> tuple[str, ...]:
    """The columns of running text."""
    found = [column.name for column in table.found.plan.used if column.kind == "text" and options.clean]
    known = {*found, *options.text} or running_text(table.frames[0])
    return tuple(name for name in table.frames[0].columns if name in known)


def _gaps(frame: pl.DataFrame) -> dict[str, int]:
    """How many values are missing in each column where any is."""
    counts = {values.name: values.null_count() for values in frame.get_columns()}
    return {name: count for name, count in counts.items() if count}


def _gap_notes(gaps: dict[str, int], scaling: TableScaling) -> list[str]:
    fills = {column.name: column.fill for column in scaling.columns}
    return [f"missing: {count} values of '{name}', filled by {fills[name]!r}" for name, count in gaps.items()]


def _without_doubles(name: str, parts: Sequence[Part], groups: Sequence[NDArray[np.int64]]) -> tuple[list[Part], int]:
    """The parts without rows that an earlier one has too, and how many those are."""
    seen: NDArray[np.int64] = np.empty(0, np.int64)
    left, dropped = [], 0
    for part, same in zip(parts, groups, strict=True):
        new = np.flatnonzero(~np.isin(same, seen))
        dropped += len(same) - len(new)
        seen = np.union1d(seen, same)
        if len(new) == 0:
            raise DataError(f"{name}: every row of a split also occurs in training. Provide other rows.")
        left.append(part if len(new) == len(same) else _taken(part, new))
    return left, dropped


def _encoded(parts: Sequence[Part], scaling: TableScaling) -> tuple[list[Split], TableScaling]:
    """Splits of clean frames; rows of windows become equally long, and the texts are kept."""
    x = [scaling.encode(frame) for frame, _, _ in parts]
    facts: list[dict[str, Any]] = [{"y": torch.from_numpy(y), "rows": torch.from_numpy(rows)} for _, y, rows in parts]
    if scaling.windows is None:
        return [Split(own, **known) for own, known in zip(x, facts, strict=True)], scaling
    width = max(rows.shape[1] for rows in x)
    check_room(sum(map(len, x)), width)
    padded = [functional.pad(rows, (0, width - rows.shape[1])) for rows in x]
    texts = [tuple(frame.to_series().to_list()) for frame, _, _ in parts]
    splits = [Split(own, texts=said, **known) for own, said, known in zip(padded, texts, facts, strict=True)]
    return splits, replace(scaling, columns=(replace(scaling.windows, width=width),))
