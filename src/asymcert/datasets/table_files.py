"""Reading a table's file; what would silently be read as something else is refused."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from asymcert._checks import refuse
from asymcert.datasets.files import read_gzip
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

EXTENSIONS = (".csv", ".csv.gz", ".parquet")
MISSING = ("", "nan", "na", "n/a", "#n/a", "null", "none", "?", "-")  # spellings of a missing number, in lower case
MOSTLY = 0.9  # a column with this share of numbers was meant to hold numbers
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def table_name(path: str | Path) -> str:
    """File name without its extension."""
    name = Path(path).name
    extension = next((e for e in EXTENSIONS if name.lower().endswith(e)), "")
    return name[: len(name) - len(extension)]


def is_table_file(path: str | Path) -> bool:
    """Whether a path ends as `read_table` wants it."""
    return Path(path).name.lower().endswith(EXTENSIONS)


def read_table(path: str | Path) -> pl.DataFrame:
    """Read a CSV or Parquet file.

    A column of a CSV file with numbers and some of `MISSING` holds numbers with missing values.

    Parameters
    ----------
    path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file with a header; a CSV file is UTF-8 text with commas.

    Raises
    ------
    InputError
        Another extension.
    DataError
        A file that is missing, damaged or without rows; a CSV file in another encoding, with other separators or with
        columns of one name.
    """
    import polars as pl

    path = Path(path)
    if not is_table_file(path):
        raise refuse("path", f"a file ending in {', '.join(EXTENSIONS)}", repr(path.name), "Convert it first.")
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the path.")
    try:
        if path.name.lower().endswith(".parquet"):
            frame = pl.read_parquet(io.BytesIO(path.read_bytes()))
        else:
            frame = _read_csv(path)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).partition("\n")[0]  # what follows is advice on polars' own options
        raise DataError(f"{path}: cannot be read as a table: {reason}. Check the file, or write it again.") from error
    if frame.height == 0:
        raise DataError(f"{path}: has no rows. Provide a table with rows below its header.")
    return frame


def _read_csv(path: Path) -> pl.DataFrame:
    import polars as pl

    content = read_gzip(path) if path.name.lower().endswith(".gz") else path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        message = f"{path}: cannot be read as a table: byte {error.start} is no UTF-8 text. Save it in UTF-8."
        raise DataError(message) from None
    header = pl.read_csv(io.BytesIO(content), has_header=False, n_rows=1, infer_schema=False).row(0)
    _check_header(path, header)
    frame = pl.read_csv(io.BytesIO(content), infer_schema_length=None)
    return frame.select(_numbers(values) for values in frame.get_columns())


def _check_header(path: Path, names: tuple[str | None, ...]) -> None:
    """Polars would rename columns of one name, and take other separators for parts of a name."""
    twice = sorted({name for name in names if name is not None and names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: has several columns named {', '.join(map(repr, twice))}. Rename them.")
    for mark, word in SEPARATORS.items():
        if len(names) == 1 and mark in (names[0] or ""):
            raise DataError(f"{path}: its columns are separated by {word}. Save it with commas.")


def check_numbers(path: str | Path, frame: pl.DataFrame, not_features: Collection[str]) -> None:
    """Refuse features that hold numbers, but for a few texts, which would make categories of all of them.

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
        if 0 < len(words) <= (1 - MOSTLY) * (len(values) - values.null_count()):
            raise DataError(
                f"{path}: column '{values.name}' holds numbers, but in {len(words)} of {len(values)} rows text such as "
                f"{words[0]!r}. Correct these, leave them empty, or drop the column."
            )


def _numbers(values: pl.Series) -> pl.Series:
    """A column of texts that are numbers, but for missing ones, as numbers; others as they are."""
    import polars as pl

    if values.dtype != pl.String:
        return values
    numbers = _parsed(values)
    only_missing = numbers.null_count() == len(numbers)
    return values if only_missing or not (numbers.is_not_null() | _absent(values)).all() else numbers


def _parsed(values: pl.Series) -> pl.Series:
    import polars as pl

    return values.str.strip_chars().cast(pl.Float64, strict=False).fill_nan(None)


def _absent(values: pl.Series) -> pl.Series:
    return values.is_null() | values.str.strip_chars().str.to_lowercase().is_in(MISSING)
