"""Reading a table's file; what would silently be read as something else is refused."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asymcert._checks import check_count, refuse
from asymcert._files import replacing
from asymcert.datasets.columns import unnamed
from asymcert.datasets.files import MOST_BYTES, open_gzip
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

EXTENSIONS = (".csv", ".csv.gz", ".parquet")
MISSING = ("", "nan", "na", "n/a", "#n/a", "null", "none", "?", "-")  # spellings of a missing number, in lower case
RATIO = 64  # times its size: what a large packed table may unpack to, unless told otherwise
CELL = 8  # bytes of a number or of where a text begins
MOST_COLUMNS = 2**17  # each takes time, however short its name
LONGEST_HEADER = 2**24  # bytes
MOSTLY = 0.9  # a column with this share of numbers was meant to hold numbers
COMMA = r"^\s*[-+]?[\d.]*,\d[\d.,]*([eE][-+]?\d+)?\s*$"  # a number with a decimal comma, or one that parts thousands
FORMULA = r"^([=+\-@\t\r])"  # what a spreadsheet would take for one
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def table_name(path: str | Path) -> str:
    """File name without its extension."""
    name = Path(path).name
    extension = next((e for e in EXTENSIONS if name.lower().endswith(e)), "")
    return name[: len(name) - len(extension)]


def is_table_file(path: str | Path) -> bool:
    """Whether a path ends as `read_table` wants it."""
    return Path(path).name.lower().endswith(EXTENSIONS)


def read_table(path: str | Path, max_bytes: int | None = None) -> pl.DataFrame:
    """Read a CSV or Parquet file.

    A column of a CSV file with numbers and some of `MISSING` holds numbers with missing values.

    Parameters
    ----------
    path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file with a header; a CSV file is UTF-8 text with commas.
    max_bytes
        Most bytes that a packed file (``.csv.gz``, ``.parquet``) or lines that are too short may unpack to; by default
        2^28 (256 MiB) or 64 times the file's size, whichever is more.

    Raises
    ------
    InputError
        Another extension.
    DataError
        A file that is missing, damaged, without rows or unpacks to more than `max_bytes`; a CSV file in another
        encoding, with other separators, with columns of one name or several without, or with more than 2^17 columns.
    """
    import polars as pl

    path = Path(path)
    if not is_table_file(path):
        raise refuse("path", f"a file ending in {', '.join(EXTENSIONS)}", repr(path.name), "Convert it first.")
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the path.")
    if max_bytes is not None:
        check_count("max_bytes", max_bytes)
    try:
        limit = max(MOST_BYTES, RATIO * path.stat().st_size) if max_bytes is None else max_bytes
        frame = (_read_parquet if path.name.lower().endswith(".parquet") else _read_csv)(path, limit)
    except (OSError, csv.Error, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).partition("\n")[0]  # what follows is advice on polars' own options
        raise DataError(f"{path}: cannot be read as a table: {reason}. Check the file, or write it again.") from error
    if frame.height == 0:
        raise DataError(f"{path}: has no rows. Provide a table with rows below its header.")
    return frame


def write_table(path: Path, frame: pl.DataFrame) -> None:
    """Write a CSV file; texts and names that a spreadsheet would take for a formula get an apostrophe before them."""
    import polars as pl

    safe = frame.with_columns(pl.col(pl.String).str.replace(FORMULA, "'${1}"))
    safe.columns = [re.sub(FORMULA, r"'\1", name) for name in frame.columns]
    with replacing(path) as partial:
        safe.write_csv(partial)


def _read_parquet(path: Path, limit: int) -> pl.DataFrame:
    """A few bytes of Parquet may stand for any number of equal values: what it says of its size is read first."""
    import polars as pl

    content = io.BytesIO(path.read_bytes())
    rows, columns = pl.scan_parquet(content).select(pl.len()).collect().item(), len(pl.read_parquet_schema(content))
    _check_size(path, rows * columns * CELL, limit)
    frame = pl.read_parquet(content)
    texts = [unnamed(v.cast(pl.String)) for v in frame.get_columns() if v.dtype in (pl.String, pl.Categorical, pl.Enum)]
    _check_size(path, sum(int(text.str.len_bytes().cast(pl.Int64).sum()) for text in texts), limit)
    return frame


def _read_csv(path: Path, limit: int) -> pl.DataFrame:
    import polars as pl

    content = _csv_text(path, limit)
    with io.TextIOWrapper(io.BytesIO(content[:LONGEST_HEADER]), "utf-8-sig", "replace", "") as lines:
        names = next(csv.reader(lines), [])
    _check_header(path, names)
    cells = (content.count(b"\n") + 1) * len(names)  # polars fills short lines, of which each costs a byte only
    _check_size(path, 2 * CELL * cells, max(limit, 2 * CELL * len(content)))
    frame = pl.read_csv(io.BytesIO(content), infer_schema_length=None)
    frame.columns = names  # polars keeps doubled quotes
    return pl.DataFrame({values.name: _numbers(values) for values in frame.get_columns()})


def _csv_text(path: Path, limit: int) -> bytes:
    """What is in a CSV file, unpacked: UTF-8 text, its lines separated by line feeds."""
    if path.name.lower().endswith(".gz"):
        with open_gzip(path) as stream:
            size = stream.seek(limit + 1)  # unpacks to the limit or the file's end, and keeps nothing
            _check_size(path, size, limit)
            stream.seek(0)
            content = stream.read(size)
    else:
        content = path.read_bytes()
    try:
        content.decode()
        wrong = content.find(b"\0")
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong >= 0:
        raise DataError(f"{path}: cannot be read as a table: byte {wrong} is no UTF-8 text. Save it in UTF-8.")
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def _check_size(path: Path, size: int, limit: int) -> None:
    if size > limit:
        raise DataError(f"{path}: unpacks to over {limit} bytes. If you trust it, raise `max_bytes` (--max-bytes).")


def _check_header(path: Path, names: Sequence[str]) -> None:
    """Polars would rename columns of one name, take other separators for parts of a name, and any number of columns."""
    if len(names) > MOST_COLUMNS:
        raise DataError(f"{path}: has {len(names)} columns, at most {MOST_COLUMNS} can be read. Leave some out.")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        listed = ", ".join(repr(name) if name else "nothing" for name in twice)
        raise DataError(f"{path}: has several columns named {listed}. Rename them.")
    for mark, word in SEPARATORS.items():
        if len(names) == 1 and mark in names[0]:
            raise DataError(f"{path}: its columns are separated by {word}. Save it with commas.")


def check_numbers(path: str | Path, frame: pl.DataFrame, not_features: Collection[str]) -> None:
    """Refuse features that hold numbers, but for a few texts or with commas, which would make categories of all.

    Raises
    ------
    DataError
        There is such a column, except among `not_features`.
    """
    import polars as pl

    for values in frame.get_columns():
        if values.dtype != pl.String or values.name in not_features:
            continue
        words = values.filter(_parsed(values).is_null() & ~_absent(values))
        commas = words.filter(unnamed(words).str.contains(COMMA))
        if len(words) == 0 or len(words) - len(commas) > (1 - MOSTLY) * (len(values) - values.null_count()):
            continue
        shown, what, remedy = words, "text", "Correct these, leave them empty"
        if len(commas):
            shown, what, remedy = commas, "with a comma", "Write a point for decimals and nothing between thousands"
        raise DataError(
            f"{path}: column '{values.name}' holds numbers, but in {len(shown)} of {len(values)} rows {what} such as "
            f"{shown[0]!r}. {remedy}, or drop the column."
        )


def _numbers(values: pl.Series) -> pl.Series:
    """A column of texts that are numbers, but for missing ones, as numbers; others as they are."""
    import polars as pl

    if values.dtype != pl.String or values.null_count() == len(values):
        return values
    numbers = _parsed(values)
    only_missing = numbers.null_count() == len(numbers)
    return values if only_missing or not (numbers.is_not_null() | _absent(values)).all() else numbers


def _parsed(values: pl.Series) -> pl.Series:
    import polars as pl

    return unnamed(values).str.strip_chars().cast(pl.Float64, strict=False).fill_nan(None)


def _absent(values: pl.Series) -> pl.Series:
    values = unnamed(values)
    return values.is_null() | values.str.strip_chars().str.to_lowercase().is_in(MISSING)
