"""Tables with a JSON object on each line, whose keys are columns."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asymcert.datasets.text_files import MOST_COLUMNS
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

SURROGATES = dict.fromkeys(range(55296, 57344), "�")  # halves of characters, which are no text
Scalar = str | int | float | bool | None


def json_frame(path: Path, content: bytes, texts: Collection[str], most_cells: int) -> pl.DataFrame:
    """The objects on the lines of a decoded text; what an object lacks is missing.

    Parameters
    ----------
    path
        For messages.
    content
        UTF-8.
    texts
        Keys whose values are texts even where all are numbers.
    most_cells
        Rows times columns at most.

    Raises
    ------
    DataError
        A line holds no object, or one within another; more columns or cells than may be.
    """
    import polars as pl

    columns: dict[str, list[Scalar]] = {}
    rows = 0
    for number, values in _objects(path, content):
        known = len(columns.keys() | values.keys())
        if known > MOST_COLUMNS or (rows + 1) * known > most_cells:
            raise DataError(f"{path}: its first {rows + 1} lines have {known} different keys. Write fewer columns.")
        for key, value in values.items():
            column = columns.setdefault(key.translate(SURROGATES), [])
            column += [None] * (rows + 1 - len(column))
            column[rows] = _scalar(path, number, key, value)
        rows += 1
    for column in columns.values():
        column += [None] * (rows - len(column))
    return pl.DataFrame([_series(name, values, name in texts) for name, values in columns.items()])


def _objects(path: Path, content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of each line that is not blank."""
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number} is no JSON ({error}). Correct or drop it.") from None
            if not isinstance(values, dict):
                raise DataError(f"{path}: line {number} is no JSON object. Write one with the columns as keys.")
            yield number, values


def _scalar(path: Path, number: int, key: str, value: Any) -> Scalar:
    if isinstance(value, dict | list):
        raise DataError(f"{path}: line {number} has a list or an object as '{key}'. Write numbers or texts.")
    return value.translate(SURROGATES) if isinstance(value, str) and not value.isascii() else value


def _series(name: str, values: list[Scalar], as_text: bool) -> pl.Series:
    """Column of truth values, of numbers, or of texts where values are of several kinds."""
    import polars as pl

    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {bool} and not as_text:
        return pl.Series(name, values, pl.Boolean)
    if kinds and kinds <= {int, float} and not as_text:
        return pl.Series(name, [None if value is None else _number(value) for value in values], pl.Float64)
    return pl.Series(
        name, [value if isinstance(value, str | None) else json.dumps(value) for value in values], pl.String
    )


def _number(value: Any) -> float:
    """Integers beyond the range of numbers are infinite."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
