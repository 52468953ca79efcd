"""The rows of a table's file some at a time, so that memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asymcert._checks import check_count
from asymcert.datasets.parquet_files import count_rows, most_bytes, read_pieces, readable, text_columns
from asymcert.datasets.plan import Plan
from asymcert.datasets.table_files import named, read_table

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Batches:
    """How many rows a table has, and frames that hold them in order, to be read once."""

    rows: int
    frames: Iterator[pl.DataFrame]


def read_batches(path: str | Path, plan: Plan | None = None, max_bytes: int | None = None) -> Batches:
    """The rows of a table's file: a Parquet file's in pieces of bounded memory, another's as one.

    A Parquet file is one piece too where a column of numbers is stored as text: how those are written is found from
    all of them.

    Parameters
    ----------
    path, max_bytes
        As in `read_raw`.
    plan
        What each column is taken for; without it every file is one piece.

    Raises
    ------
    InputError, DataError, DependencyError
        As in `read_raw`; what is wrong with a piece, when it is read.
    """
    path = Path(path)
    if plan is not None and path.suffix.lower() == ".parquet" and path.is_file():
        with readable(path):
            if not (text_columns(path) & _numbers(plan)) and (rows := count_rows(path, _limit(path, max_bytes))):
                return Batches(rows, _pieces(path, rows, _limit(path, max_bytes)))
    frame = read_table(path, max_bytes, plan.texts if plan else ())
    return Batches(len(frame), iter([frame]))


def _pieces(path: Path, rows: int, limit: int) -> Iterator[pl.DataFrame]:
    with readable(path):
        for piece in read_pieces(path, rows, limit):
            yield named(path, piece, as_named=False).frame


def _numbers(plan: Plan) -> set[str]:
    return {column.name.strip() for column in plan.used if column.kind == "number"}


def _limit(path: Path, max_bytes: int | None) -> int:
    if max_bytes is not None:
        check_count("max_bytes", max_bytes)
    return most_bytes(path) if max_bytes is None else max_bytes
