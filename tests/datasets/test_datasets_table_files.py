"""Tables as people save them: what would be read as something else is refused, by column and with a remedy."""

import dataclasses
import gzip

import numpy as np
import polars as pl
import pytest

from asymcert.datasets import DataSource, load_source, load_table
from asymcert.datasets.columns import NumericColumn
from asymcert.datasets.parse import MISSING
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.table_files import read_raw, read_table, write_table
from asymcert.errors import DataError, InputError
from contracts.readers import stopped_after


def saved(path, values, label=("x", "y")):
    lines = [f"{value},{label[i % 2]}" for i, value in enumerate(values)]
    path.write_text("\n".join(["size,class", *lines]) + "\n", encoding="utf-8")
    return path


NUMBERS = [f"{i / 7:.3f}" for i in range(60)]


@pytest.mark.parametrize("word", [*MISSING, "NaN", "N/A"])
def test_a_spelling_of_missing_leaves_a_column_of_numbers(tmp_path, word):
    path = saved(tmp_path / "t.csv", [*NUMBERS, word, f" {word} "])
    with pytest.raises(DataError, match=r"Column .size. has \d missing values\. Name an imputation"):
        load_table(path, "class", "x", impute="refuse")
    data = load_table(path, "class", "x")
    assert data.input_shape == (1,)
    assert f"missing: 2 values of 'size', filled by {data.scaling.columns[0].fill}" in data.notes
    assert load_table(path, "class", "x", clean=False, impute="median").input_shape == (1,)


def test_a_few_texts_among_numbers_are_refused_by_name(tmp_path):
    path = saved(tmp_path / "t.csv", [*NUMBERS, "12 kB", "twelve"])
    with pytest.raises(DataError, match=r"Column 'size' holds numbers, but in 2 of 62 rows '1.*'twelve' \(1\)"):
        load_table(path, "class", "x")


@pytest.mark.parametrize("values", [["a", "b", "c"] * 20, ["80", "443", "http", "dns"] * 15])
def test_categories_stay_text(tmp_path, values):
    path = tmp_path / "t.csv"
    pl.DataFrame({"kind": values, "n": NUMBERS, "class": ["x", "y"] * 30}).write_csv(path)
    kind = load_table(path, "class", "x").scaling.columns[0]
    assert set(kind.values) == set(values)


def test_labels_and_dropped_columns_may_hold_a_few_texts(tmp_path):
    labels = ["attack" if i % 25 == 0 else "0" for i in range(100)]
    lines = [f"{i * i},{'?!' if i == 3 else i},{label}" for i, label in enumerate(labels)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["size,code,class", *lines]))
    data = load_table(path, "class", "attack", drop=("code",))
    assert (data.sensitive, data.other) == ("attack", "0")


def test_a_label_that_is_nan_is_a_missing_one(tmp_path):
    path = saved(tmp_path / "t.csv", [*NUMBERS, "1"], label=("0", "1"))
    path.write_text(path.read_text() + "1,nan\n")
    with pytest.raises(DataError, match="Label column 'class' has 1 missing values"):
        load_table(path, "class", 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,y\n1,0\n\0,1\n", r"byte 8 is no text"),
        ("a,y\n1,0\n".encode("utf-16-le"), r"byte 1 is no text"),
        (b"\x81,y\n1,0\n", r"byte 0 is no text"),
        (
            b"a,y\n1,0\n1,2,3,4\n2,1\n",
            r"1 lines have not the 2 fields of the header: line 3 \(4\)\. Mend .*skip",
        ),
        (b"1.5,0\n2.5,1\n", r"its first line looks like values \(1.5, 0\).*--names a,b,c"),
    ],
)
def test_files_that_polars_would_read_otherwise(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_table(path, "y", 0)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = saved(tmp_path / "t.csv", NUMBERS)
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert read_table(path).columns == ["size", "class"]


def test_names_are_what_the_header_says(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('"a ""raw""","b, scaled",,*,^a$,é,a b\n1,2,3,4,5,6,7\n', encoding="utf-8")
    frame = read_table(path)
    assert frame.columns == ['a "raw"', "b, scaled", "", "*", "^a$", "é", "a b"]
    assert frame.row(0) == (1, 2, 3, 4, 5, 6, 7)


@pytest.mark.parametrize("drop", [(), ("^a.*$",), ("*",), ("a", "*")])
def test_no_name_is_taken_as_a_pattern(tmp_path, drop):
    draw = np.random.default_rng(0)
    columns = {name: [*draw.random(79), None] for name in ("*", "^a.*$", "a", "ab")}
    columns |= {"^k$": ["b", "c", "b", None] * 20, "^n$": ["1", "-", "2", "3"] * 20}
    pl.DataFrame({**columns, "^y$": ["u", "v"] * 40}).write_csv(tmp_path / "t.csv")
    data = load_table(tmp_path / "t.csv", "^y$", "u", drop=drop, scaling="min-max", impute="most-frequent")
    plain = pl.read_csv(tmp_path / "t.csv", has_header=False, skip_rows=1)
    plain.columns = [f"p{i}" for i in range(7)]
    plain.write_csv(tmp_path / "plain.csv")
    left_out = [f"p{list(columns).index(name)}" for name in drop]
    same = load_table(tmp_path / "plain.csv", "p6", "u", drop=left_out, scaling="min-max", impute="most-frequent")
    assert data.digest == same.digest
    assert [column.name for column in data.scaling.columns] == [name for name in columns if name not in drop]


def test_texts_of_several_lines_are_read_and_short_lines_filled_if_told(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'"a\nb",y,z\n"first\n""second"", third",0\n,1,2\n')
    with pytest.raises(DataError, match=r"line 3 \(2\)"):
        read_table(path)
    frame = read_raw(path, ragged="fill").frame
    assert frame.columns == ["a\nb", "y", "z"]
    assert frame.rows() == [('first\n"second", third', 0, None), (None, 1, 2)]


def test_lines_and_columns_without_values_are_limited(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(",".join(f"c{i}" for i in range(1000)) + "\n1" * 20_000)
    with pytest.raises(DataError, match="unpacks to over 268435456 bytes"):
        read_table(path)
    path.write_text(",".join(f"c{i}" for i in range(2**17 + 1)) + "\n1")
    with pytest.raises(DataError, match="has 131073 columns, at most 131072 can be read"):
        read_table(path)


def test_lines_may_end_with_carriage_returns_alone(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,y\r1,0\r2,1\r")
    assert read_table(path).rows() == [(1, 0), (2, 1)]
    path.write_bytes(b"a,y\r\n1,0\r\n\r\n2,1\r\n\r\n")
    assert read_table(path).rows() == [(1, 0), (2, 1)]


def test_a_packed_table_unpacks_to_as_much_as_the_option_says(tmp_path):
    text = "a,y\n" + "1,0\n2,1\n" * 50
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    read_table(tmp_path / "t.csv.gz").write_parquet(tmp_path / "t.parquet")
    pl.DataFrame({"a": ["long " * 30] * 20}).write_parquet(tmp_path / "texts.parquet")
    for name, size in (("t.csv.gz", len(text)), ("t.parquet", 100 * 2 * 8), ("texts.parquet", 150 * 20)):
        assert read_table(tmp_path / name, size).height in (100, 20)
        with pytest.raises(DataError, match=rf"unpacks to over {size - 1} bytes\. If you trust it, raise `max"):
            read_table(tmp_path / name, size - 1)
    with pytest.raises(InputError, match="`max_bytes` must be an integer of at least 1"):
        read_table(tmp_path / "t.parquet", 0)


def test_the_limit_of_a_loaded_table_is_kept_with_its_source(tmp_path):
    frame = pl.DataFrame({"a": [i * i for i in range(60)], "y": [0, 1] * 30})
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(frame.write_csv().encode()))
    data = load_table(tmp_path / "t.csv.gz", "y", 1, max_bytes=1000)
    assert load_source(DataSource.from_dict(data.source.to_dict())).digest == data.digest
    with pytest.raises(DataError, match="unpacks to over 100 bytes"):
        load_source(dataclasses.replace(data.source, options={**data.source.options, "max_bytes": 100}))


def test_texts_that_a_spreadsheet_would_run_are_written_as_texts(tmp_path):
    runs = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\tx", "\rx"]
    stay = ["a=1", "'=1", "", " -", None, "é"]
    frame = pl.DataFrame({"=name": runs + stay, "number": [-1.5] * 12, "-count": [-1] * 12})
    write_table(tmp_path / "t.csv", frame)
    again = pl.read_csv(tmp_path / "t.csv")
    assert again.columns == ["'=name", "number", "'-count"]
    assert again["'=name"].to_list() == [*(f"'{text}" for text in runs), "a=1", "'=1", "", " -", None, "é"]
    assert again["number"].to_list() == [-1.5] * 12
    assert again["'-count"].to_list() == [-1] * 12
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_many_columns_cost_no_more_than_their_number(tmp_path):
    names = [f"c{i}" for i in range(100_000)]
    path = tmp_path / "t.csv"
    path.write_text(",".join(names) + "\n" + ",".join(["0.5"] * len(names)) + "\n")
    scaling = TableScaling(tuple(NumericColumn(name, None, 0.0, 1.0) for name in names))
    with stopped_after(30):  # hours where each column walks over all
        x = scaling.transform(read_table(path))
    assert x.shape == (1, len(names))
    assert bool((x == 0.5).all())
