"""Parquet files of a table: one, or a folder of them; whole, or in pieces of bounded memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from asymcert.datasets.columns import unnamed
from asymcert.datasets.files import MOST_BYTES
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

RATIO = 64  # times its size: what a large packed table may unpack to, unless told otherwise
CELL = 8  # bytes of a number or of where a text begins
PIECE = 2**21  # values read at a time


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """A block that reads a table's file: what goes wrong in it is a `DataError`."""
    import polars as pl

    try:
        yield
    except (OSError, csv.Error, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).partition("\n")[0]  # what follows is advice on polars' own options
        raise DataError(f"{path}: cannot be read as a table: {reason}. Check the file, or write it again.") from error


def check_size(path: Path, size: int, limit: int) -> None:
    """Refuse (`DataError`) what takes more bytes than the limit."""
    if size > limit:
        raise DataError(f"{path}: unpacks to over {limit} bytes. If you trust it, raise `max_bytes` (--max-bytes).")


def most_bytes(path: Path) -> int:
    """What a table's file may unpack to."""
    return max(MOST_BYTES, RATIO * sum(part.stat().st_size for part in (parquet_files(path) or [path])))


def parquet_files(path: Path) -> list[Path]:
    """Parquet files of a folder, by name; none for a file."""
    return sorted(part for part in path.rglob("*.parquet") if part.is_file()) if path.is_dir() else []


def read_folder(path: Path, limit: int) -> pl.DataFrame:
    """The rows of all Parquet files of a folder."""
    import polars as pl

    frames, left = [], limit
    for part in parquet_files(path):
        frames.append(read_parquet(part, left))
        left -= frames[-1].height * frames[-1].width * CELL
    return pl.concat(frames, how="vertical_relaxed")


def read_parquet(path: Path, limit: int) -> pl.DataFrame:
    """A few bytes of Parquet may stand for any number of equal values: what it says of its size is read first."""
    import polars as pl

    count_rows(path, limit)
    frame = pl.read_parquet(path, glob=False)
    check_size(path, _text_bytes(frame), limit)
    return frame


def count_rows(path: Path, limit: int) -> int:
    """Rows of a Parquet file, none of whose columns is read; their size is checked."""
    import polars as pl

    rows = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    check_size(path, rows * len(pl.read_parquet_schema(path)) * CELL, limit)
    return rows


def read_pieces(path: Path, rows: int, limit: int) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file some at a time, about `PIECE` values; their texts together are checked."""
    import polars as pl

    table, texts = pl.scan_parquet(path, glob=False), 0
    step = max(1, PIECE // len(pl.read_parquet_schema(path)))
    for start in range(0, rows, step):
        piece = table.slice(start, step).collect()
        texts += _text_bytes(piece)
        check_size(path, texts, limit)
        yield piece


def text_columns(path: Path) -> set[str]:
    """Names of a Parquet file's columns of texts, without blanks around them."""
    import polars as pl

    kinds = (pl.String, pl.Categorical, pl.Enum)
    return {name.strip() for name, kind in pl.read_parquet_schema(path).items() if kind in kinds}


def _text_bytes(frame: pl.DataFrame) -> int:
    import polars as pl

    kinds = (pl.String, pl.Categorical, pl.Enum)
    texts = [unnamed(values.cast(pl.String)) for values in frame.get_columns() if values.dtype in kinds]
    return sum(int(text.str.len_bytes().cast(pl.Int64).sum()) for text in texts)
