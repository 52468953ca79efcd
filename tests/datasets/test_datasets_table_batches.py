"""Tables read in pieces: the same rows as at once, whatever the file holds; what cannot be divided is one piece."""

import numpy as np
import polars as pl
import pytest

from asymcert.datasets import parquet_files
from asymcert.datasets.column_plan import ColumnPlan
from asymcert.datasets.plan import Plan
from asymcert.datasets.table_batches import read_batches
from asymcert.datasets.table_files import read_table
from asymcert.errors import DataError

PLAN = Plan((ColumnPlan("a", "number"), ColumnPlan("b", "number"), ColumnPlan("kind", "category")))


def rows(n):
    values = np.random.default_rng(n).normal(size=(n, 2))
    return pl.DataFrame({" a ": values[:, 0], "b": values[:, 1], "kind": ["x", "y"] * (n // 2) + ["x"] * (n % 2)})


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(parquet_files, "PIECE", 30)  # ten rows of three columns


@pytest.mark.parametrize("n", [1, 9, 10, 11, 57])
def test_pieces_are_the_table(tmp_path, n):
    rows(n).write_parquet(tmp_path / "t.parquet", row_group_size=7)
    batches = read_batches(tmp_path / "t.parquet", PLAN)
    frames = list(batches.frames)
    assert batches.rows == n
    assert [len(frame) for frame in frames] == [10] * (n // 10) + [n % 10] * (n % 10 > 0)
    assert pl.concat(frames).equals(read_table(tmp_path / "t.parquet"))


def test_other_files_and_tables_without_a_plan_are_one_piece(tmp_path):
    rows(25).write_parquet(tmp_path / "t.parquet")
    rows(25).write_csv(tmp_path / "t.csv")
    for path, plan in ((tmp_path / "t.csv", PLAN), (tmp_path / "t.parquet", None)):
        batches = read_batches(path, plan)
        assert [len(frame) for frame in batches.frames] == [25] == [batches.rows]


def test_numbers_in_texts_are_read_from_all_rows_together(tmp_path):
    texts = ["1.500"] * 20 + ["1,5"] * 5  # the last rows say what the first ones mean
    rows(25).with_columns(b=pl.Series(texts)).write_parquet(tmp_path / "t.parquet")
    assert len(list(read_batches(tmp_path / "t.parquet", PLAN).frames)) == 1


def test_a_piece_that_unpacks_to_too_much_is_refused(tmp_path):
    rows(40).with_columns(kind=pl.lit("x" * 100)).write_parquet(tmp_path / "t.parquet")
    batches = read_batches(tmp_path / "t.parquet", PLAN, max_bytes=2000)
    next(batches.frames)
    with pytest.raises(DataError, match="unpacks to over 2000 bytes"):
        list(batches.frames)
    with pytest.raises(DataError, match="unpacks to over 900 bytes"):
        read_batches(tmp_path / "t.parquet", PLAN, max_bytes=900)


def test_damage_found_in_a_later_piece_is_an_error_of_the_file(tmp_path):
    rows(1000).write_parquet(tmp_path / "t.parquet", row_group_size=100, compression="uncompressed")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = b"\xff" * 400
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as a table|unpacks to over"):
        list(read_batches(tmp_path / "t.parquet", PLAN).frames)
