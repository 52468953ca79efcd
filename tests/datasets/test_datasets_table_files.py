"""Tables as people save them: what would be read as something else is refused, by column and with a remedy."""

import polars as pl
import pytest

from asymcert.datasets import load_table
from asymcert.datasets.table_files import MISSING, check_numbers, read_table
from asymcert.errors import DataError


def saved(path, values, label=("x", "y")):
    lines = [f"{value},{label[i % 2]}" for i, value in enumerate(values)]
    path.write_text("\n".join(["size,class", *lines]) + "\n", encoding="utf-8")
    return path


NUMBERS = [f"{i / 7:.3f}" for i in range(60)]


@pytest.mark.parametrize("word", [*MISSING, "NaN", "N/A"])
def test_a_spelling_of_missing_leaves_a_column_of_numbers(tmp_path, word):
    path = saved(tmp_path / "t.csv", [*NUMBERS, word, f" {word} "])
    column = read_table(path)["size"]
    assert column.dtype == pl.Float64
    assert column.null_count() == 2
    assert column.to_list()[:60] == [float(number) for number in NUMBERS]
    with pytest.raises(DataError, match=r"Column .size. has 2 missing values\. Name an imputation"):
        load_table(path, "class", "x")
    assert load_table(path, "class", "x", impute="median").input_shape == (1,)


def test_a_few_texts_among_numbers_are_refused_by_name(tmp_path):
    path = saved(tmp_path / "t.csv", [*NUMBERS, "12 kB", "twelve"])
    with pytest.raises(DataError, match="column 'size' holds numbers, but in 2 of 62 rows text such as '12 kB'"):
        load_table(path, "class", "x")


@pytest.mark.parametrize("values", [["a", "b", "c"] * 20, ["80", "443", "http", "dns"] * 15, ["nan", "none"] * 30])
def test_categories_stay_text(tmp_path, values):
    path = saved(tmp_path / "t.csv", values)
    frame = read_table(path)
    assert frame["size"].to_list() == values
    check_numbers(path, frame, {"class"})


def test_labels_and_dropped_columns_may_hold_a_few_texts(tmp_path):
    labels = ["attack" if i % 25 == 0 else "0" for i in range(100)]
    lines = [f"{i},{'?!' if i == 3 else i},{label}" for i, label in enumerate(labels)]
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
        ("größe,y\n1,0\n".encode("latin-1"), r"byte 2 is no UTF-8 text. Save it in UTF-8\."),
        (b"a,a,y\n1,2,0\n3,4,1\n", r"has several columns named 'a'\. Rename them\."),
        (b"a;y\n1;0\n2;1\n", r"its columns are separated by semicolons\. Save it with commas\."),
        (b"a\ty\n1\t0\n2\t1\n", r"separated by tabs"),
        (b"a,y\n1,0\n1,2,3,4\n", r"cannot be read as a table: found more fields than defined in 'Schema'\. Check"),
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
