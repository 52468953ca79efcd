"""Rows of a unit, so many at a time, whatever the size of its file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import polars as pl

from asymcert.datasets.parquet_files import readable
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.table_files import read_table
from asymcert.errors import DataError
from asymcert.lake.units import Unit

READ_VALUES = 2**22  # held at a time: 32 MB of numbers
MOST_ROWS = 2**24  # of a unit, whose output is held in memory


def batches(
    path: Path, unit: Unit, scaling: TableScaling, keep: Collection[str], size: int
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Rows of a unit in batches of `size`, the last one shorter, with the number of its first row in the file.

    Parameters
    ----------
    path
        The file, on this machine.
    unit
        Which part of it.
    scaling
        Says which columns are needed; a Parquet file's others are not read.
    keep
        Further ones.

    Raises
    ------
    DataError
        The file cannot be read, or a part of it has more than 2^24 rows.
    """
    if path.name.lower().endswith(".parquet"):
        yield from _of_parquet(path, unit, scaling, keep, size)
        return
    frame = read_table(path, texts=scaling.plan.texts if scaling.plan else ())
    _check_rows(unit, frame.height)
    for start in range(0, frame.height, size):
        yield start, frame.slice(start, size)


def _of_parquet(
    path: Path, unit: Unit, scaling: TableScaling, keep: Collection[str], size: int
) -> Iterator[tuple[int, pl.DataFrame]]:
    with readable(path):
        table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        names = _named(table.collect_schema().names(), scaling, keep)
        start, stop = unit.span(table.select(pl.len()).collect().item())
        _check_rows(unit, stop - start)
        table = table.select(pl.col(name).alias(new) for name, new in names.items())
        reach = max(1, READ_VALUES // max(1, len(names)) // size) * size
        for first in range(start, stop, reach):
            frame = table.slice(first, min(reach, stop - first)).collect()
            for offset in range(0, frame.height, size):
                yield first + offset, frame.slice(offset, size)


def _named(names: list[str], scaling: TableScaling, keep: Collection[str]) -> dict[str, str]:
    """Columns to read, by their names in the file: those wanted have blanks around them at most."""
    plan = [column.name for column in (scaling.plan or scaling).columns]
    wanted = {*plan, *keep}
    chosen = {name: name if name in wanted else name.strip() for name in names if {name, name.strip()} & wanted}
    if len(set(chosen.values())) < len(chosen):
        raise DataError(f"Several columns have one name but for blanks: {sorted(chosen)}. Rename them.")
    return chosen


def _check_rows(unit: Unit, rows: int) -> None:
    if rows > MOST_ROWS:
        raise DataError(f"{unit.path}: {rows} rows in {unit.size} bytes are over {MOST_ROWS}. Write smaller files.")
