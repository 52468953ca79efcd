"""Files of every format give the same table, and none unpacks to more than it may."""

import gzip
import io

import numpy as np
import polars as pl
import pytest
import zstandard

from asymcert.datasets import load_table
from asymcert.datasets.table_files import read_raw, read_table, table_name
from asymcert.datasets.table_options import TableOptions
from asymcert.errors import DataError, InputError
from contracts.readers import ReaderContract

DRAW = np.random.default_rng(0)
FRAME = pl.DataFrame({"a": DRAW.normal(size=60), "k": ["x", "y", "z"] * 20, "y": ["spam", "ham"] * 30})
ARFF = "@relation t\n@attribute a numeric\n@attribute k {x,y,z}\n@attribute y {spam,ham}\n@data\n"


def save(path):
    text = FRAME.write_csv(separator="\t" if ".tsv" in path.name else ",").encode()
    ending = path.name.partition(".")[2]
    if ending == "parts":
        (path / "year=2026").mkdir(parents=True)
        FRAME[:20].write_parquet(path / "1.parquet")
        FRAME[20:].write_parquet(path / "year=2026" / "2.parquet")
    elif ending == "arff":
        path.write_text(ARFF + FRAME.write_csv(include_header=False))
    elif ending in ("arrow", "feather", "ipc"):
        FRAME.write_ipc(path, compression={"arrow": "zstd", "feather": "lz4", "ipc": "uncompressed"}[ending])
    else:
        pack = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}.get(ending.rpartition(".")[2], bytes)
        path.write_bytes(pack(text))
    return path


ENDINGS = ["csv", "tsv", "txt", "csv.gz", "csv.zst", "tsv.zst", "parts", "arff", "arrow", "feather", "ipc"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_gives_the_same_table(tmp_path, ending):
    data = load_table(save(tmp_path / f"t.{ending}"), "y", "spam")
    assert data.digest == load_table(save(tmp_path / "u.csv"), "y", "spam").digest
    assert ending == "parts" or (table_name(tmp_path / f"t.{ending}"), data.name) == ("t", "t")


def test_formats_that_are_none(tmp_path):
    for name, content, message in [
        ("t.arff", "@relation t\n@attribute a string\n@data\nx\n", "no ARFF file of numbers and nominal values"),
        ("t.arrow", "a,y\n1,0\n", "cannot be read as a table"),
        ("t.csv.zst", "a,y\n1,0\n", "not a whole zstd file"),
    ]:
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / name)
    with pytest.raises(InputError, match=r"got 't\.xlsx'\. Save a spreadsheet as CSV\."):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(InputError, match="It is a folder without Parquet files"):
        read_table(tmp_path)


def test_columns_of_one_name_are_told_apart(tmp_path):
    (tmp_path / "t.csv").write_text(" a,a ,,,y\n1,2,3,4,0\n")
    raw = read_raw(tmp_path / "t.csv")
    assert raw.frame.columns == ["a", "a (2)", "", " (2)", "y"]
    assert raw.doubles == {"a (2)": "a", " (2)": ""}
    with pytest.raises(DataError, match=r"has several columns named ''"):
        read_raw(tmp_path / "t.csv", as_named=True)


@pytest.mark.parametrize("names", [["0", "1", "2"], ["1", "2", "3"], ["a", "1", "b"]])
def test_names_that_are_numbers_may_count_the_columns(tmp_path, names):
    (tmp_path / "t.csv").write_text(",".join(names) + "\n5,6,7\n8,9,10\n")
    assert read_table(tmp_path / "t.csv").columns == names


def test_names_can_be_given(tmp_path):
    (tmp_path / "t.csv").write_text("5,6,7\n8,9,10\n")
    (tmp_path / "names").write_text("a\nb\nc\n")
    for names in ("a,b,c", str(tmp_path / "names")):
        frame = read_raw(tmp_path / "t.csv", names=TableOptions("c", names=names).header).frame
        assert (frame.columns, frame.height) == (["a", "b", "c"], 2)
    with pytest.raises(InputError, match=r"`names` must be 3 names, one for each column of .*, got 2"):
        read_raw(tmp_path / "t.csv", names=["a", "b"])


@pytest.mark.parametrize("quote", ["", '"'])
def test_ragged_lines_across_chunks(tmp_path, monkeypatch, quote):
    monkeypatch.setattr("asymcert.datasets.text_files.CHUNK", 7)
    lines = [f"{quote}x{i}\n,{quote},{i}" if quote else f"x{i},{i}" for i in range(30)]
    lines[12], lines[20] = "1,2,3", "4"
    (tmp_path / "t.csv").write_text("\n".join(["a,b", *lines]))
    raw = read_raw(tmp_path / "t.csv", ragged="skip")
    assert raw.frame.height == 28
    numbers = (26, 41) if quote else (14, 22)
    assert raw.notes == [
        f"left out: 2 lines have not the 2 fields of the header: line {numbers[0]} (3), {numbers[1]} (1)"
    ]


class TestZst(ReaderContract):
    def good(self, folder):
        return save(folder / "t.csv.zst")

    def read(self, path):
        return load_table(path, "y", "spam")

    def hostile(self, folder):
        pack = zstandard.ZstdCompressor().compress
        block = pack(b"0,x,spam\n" * 2**20)
        (folder / "rows.csv.zst").write_bytes(pack(b"a,k,y\n") + block * 200)
        (folder / "one.csv.zst").write_bytes(pack(b"a" * 2**29))
        return {name: folder / f"{name}.csv.zst" for name in ("rows", "one")}


class TestArrow(ReaderContract):
    def good(self, folder):
        return save(folder / "t.arrow")

    def read(self, path):
        return load_table(path, "y", "spam")

    def hostile(self, folder):
        found = {}
        for compression in ("zstd", "lz4"):
            buffer = io.BytesIO()
            pl.DataFrame({"a": ["x" * 2**20] * 300, "y": ["spam", "ham"] * 150}).write_ipc(
                buffer, compression=compression
            )
            found[compression] = folder / f"{compression}.arrow"
            found[compression].write_bytes(buffer.getvalue())
        return found


class TestArff(ReaderContract):
    def good(self, folder):
        return save(folder / "t.arff")

    def read(self, path):
        return load_table(path, "y", "spam")

    def hostile(self, folder):
        (folder / "many.arff").write_text("@relation t\n" + "@attribute a numeric\n" * 1000 + "@data\n1\n")
        (folder / "none.arff").write_text("\n" * 10**6)
        return {"columns of one name": folder / "many.arff", "line feeds": folder / "none.arff"}
