"""The plan of a table's columns: found, written, edited, given back, applied alike to what comes after."""

import json
import math
import tomllib
from datetime import date, datetime, time, timedelta

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymcert.datasets import DataSource, load_source, load_table
from asymcert.datasets.column_plan import ColumnPlan
from asymcert.datasets.parse import numbers_of, stripped
from asymcert.datasets.plan import Plan
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.table_options import TableOptions
from asymcert.datasets.tables import split_table
from asymcert.errors import DataError, InputError
from contracts.hostile import DEEP
from contracts.readers import ReaderContract

PLAN = Plan(
    (
        ColumnPlan(
            'a "b"\x7f\n', "number", unit="%", missing=("unknown", "-1"), infinite="clip", least=0.0, greatest=9.5
        ),
        ColumnPlan("when", "date", time_format="%Y-%m-%d %H:%M", parts=("hour", "weekday", "days")),
        ColumnPlan("source", "address", parts=("octet 1", "octet 4")),
        ColumnPlan("id", "dropped", "counts the rows"),
        ColumnPlan("kind", "category"),
    )
)
names = st.text(min_size=1, max_size=5)


def read(column, values):
    clean, reasons = Plan((column,)).read(pl.DataFrame({column.name: values}))
    return [part.to_list() for part in clean.get_columns()], reasons.to_list()


def test_a_plan_is_written_and_read_back():
    assert Plan.from_dict(json.loads(json.dumps(PLAN.to_dict()))) == PLAN
    assert Plan.from_dict(tomllib.loads(PLAN.to_toml())) == PLAN


@settings(max_examples=50, deadline=None)
@given(st.lists(names, unique=True, min_size=1, max_size=4), st.lists(names, max_size=3), st.floats(0, 1e300))
def test_any_plan_is_written_and_read_back(columns, missing, greatest):
    facts = {"missing": missing, "infinite": "clip", "least": -1.0, "greatest": greatest}
    plan = Plan(tuple(ColumnPlan(name, "number", **facts) for name in columns))
    assert Plan.from_dict(tomllib.loads(plan.to_toml())) == plan


def test_every_kind_of_column_is_read():
    number, when, source, _, kind = PLAN.columns
    cells = ["84%", "12", " ", "Unknown", "-1", "inf", "-Infinity", "x"]
    assert read(number, cells)[0] == [[84.0, 12.0, None, None, None, 9.5, 0.0, None]]
    assert read(number, cells)[1] == [None] * 7 + ["a \"b\"\x7f\n: 'x' is no number"]
    assert read(when, ["2026-03-01 18:30", "1970-01-01T12:00", None, "soon"]) == (
        [[18.5, 12.0, None, None], [7.0, 4.0, None, None], [20513 + 18.5 / 24, 0.5, None, None]],
        [None, None, None, "when: 'soon' is no time such as %Y-%m-%d %H:%M"],
    )
    assert read(source, ["192.0.2.77", "300.1.1.1", "-"]) == (
        [[192.0, None, None], [77.0, None, None]],
        [None, "source: '300.1.1.1' is no IPv4 address", None],
    )
    assert read(kind, [80.0, 443.0, None]) == ([["80", "443", None]], [None] * 3)
    assert read(kind, [" tcp", "tcp", ""]) == ([["tcp", "tcp", None]], [None] * 3)
    assert read(ColumnPlan("t", "date", parts=("weekday",)), [datetime(2026, 3, 1), None]) == (
        [[7.0, None]],
        [None] * 2,
    )


@pytest.mark.parametrize(
    ("text", "decimal", "unit", "number"),
    [
        ("1,234", ".", "", 1234.0),
        ("1,5", ".", "", None),
        ("1,5", ",", "", 1.5),
        ("1.234,5", ",", "", 1234.5),
        ("1.5", ",", "", None),
        ("1'234.5", ".", "", 1234.5),
        ("12 345", ".", "", 12345.0),
        ("1,23", ".", "", None),
        ("-$5.20", ".", "$", -5.2),
        ("5€", ".", "€", 5.0),
        ("5€", ".", "$", None),
        ("3.1 MB", ".", "bytes", 3.1e6),
        ("2 KiB", ".", "bytes", 2048.0),
        ("7", ".", "bytes", 7.0),
        ("12 ms", ".", "ms", 12.0),
        ("12 s", ".", "ms", None),
        ("1e3", ".", "", 1000.0),
        ("1e400", ".", "", math.inf),
        ("TRUE", ".", "truth", 1.0),
        ("0x10", ".", "", None),
        ("12kg3", ".", "kg", None),
    ],
)
def test_numbers_are_read_by_their_style(text, decimal, unit, number):
    assert numbers_of(stripped(pl.Series([text])), decimal, unit).to_list() == [number]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "word"}, "`kind of column 'a'` must be one of"),
        ({"decimal": ";"}, "`decimal of column 'a'`"),
        ({"infinite": "drop"}, "`infinite of column 'a'`"),
        ({"infinite": "clip"}, "`least of column 'a'` must be given with `greatest`"),
        ({"infinite": "clip", "least": 0.0, "greatest": math.inf}, "`least of column 'a'`"),
        ({"kind": "date"}, "`parts of column 'a'` must be some of"),
        ({"kind": "date", "parts": ["minute"]}, "`parts of column 'a'` must be one of"),
        ({"parts": ["hour"]}, "`parts of column 'a'`"),
        ({"colour": "red"}, "`columns` must be mappings with the keys"),
        ({"name": 3}, "`name` must be of type str"),
        ({"missing": "x"}, "`missing` must be of type"),
    ],
)
def test_what_makes_no_plan_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        Plan.from_dict({"columns": [{"name": "a", "kind": "number", **change}]})


def test_columns_of_one_name_make_no_plan():
    with pytest.raises(InputError, match="of different names"):
        Plan((ColumnPlan("a", "number"), ColumnPlan("a", "dropped")))
    with pytest.raises(InputError, match="of different names"):
        Plan((ColumnPlan("a: hour", "number"), ColumnPlan("a", "date", parts=("hour",))))


def saved(path):
    lines = [f"2026-03-{i % 28 + 1:02d},{i * i} KB,{80 + i % 3},{i % 7},{'bad' if i % 3 else 'ok'}" for i in range(90)]
    path.write_text("\n".join(["when,size,port,n,class", *lines]))
    return path


def test_a_plan_can_be_edited_and_given_back(tmp_path):
    path = saved(tmp_path / "t.csv")
    data = load_table(path, "class", "bad")
    plan = data.scaling.plan
    assert [column.kind for column in plan.columns] == ["date", "number", "number", "number"]
    (tmp_path / "columns.toml").write_text(plan.to_toml())
    assert load_table(path, "class", "bad", columns=str(tmp_path / "columns.toml")).digest == data.digest
    edited = plan.to_toml().replace('name = "port"\nkind = "number"', 'name = "port"\nkind = "category"')
    edited = edited.replace('parts = ["weekday"]', 'parts = ["weekday", "days"]')
    (tmp_path / "columns.toml").write_text(edited)
    other = load_table(path, "class", "bad", columns=str(tmp_path / "columns.toml"))
    names = ("when: weekday", "when: days", "size", "port=80", "port=81", "port=82", "port=<other>", "n")
    assert set(other.scaling.feature_names) == set(names)
    assert load_source(DataSource.from_dict(other.source.to_dict())).digest == other.digest
    with pytest.raises(InputError, match=r"none\.toml: no plan of columns"):
        load_table(path, "class", "bad", columns="none.toml")


def test_the_plan_is_kept_with_the_scaling(tmp_path):
    data = load_table(saved(tmp_path / "t.csv"), "class", "bad")
    again = TableScaling.from_dict(json.loads(json.dumps(data.scaling.to_dict())))
    assert again == data.scaling
    frame = pl.DataFrame({"when": ["2026-04-01"], "size": ["1.5 MB"], "port": ["81"], "n": [3]})
    same = pl.DataFrame({"n": ["3"], "when": [date(2026, 4, 1)], "size": [1_500_000], "port": [81.0], "more": ["x"]})
    assert torch.equal(again.transform(frame), again.transform(same))
    with pytest.raises(DataError, match=r"1 rows that cannot be read: row 1, size: '1 cm' is no number\."):
        again.transform(frame.with_columns(size=pl.lit("1 cm")))
    with pytest.raises(DataError, match=r"lacks the columns \['n'\]"):
        again.transform(frame.drop("n"))
    assert again.plan.sources["when: weekday"] == "when"


def test_a_table_may_have_the_other_decimal_sign_in_all_of_its_numbers():
    plan = Plan((ColumnPlan("a", "number"), ColumnPlan("b", "number"), ColumnPlan("c", "number", unit="%")))
    comma = pl.DataFrame({"a": ["1,234", "5,678"], "b": ["0,5", "x"], "c": ["1,5%", None]})
    clean, reasons = plan.read(comma)
    assert clean.rows() == [(1.234, 0.5, 1.5), (5.678, None, None)]
    assert reasons.to_list() == [None, "b: 'x' is no number"]
    point = pl.DataFrame({"a": ["1,234", "5,678"], "b": ["0.5", "0,5"], "c": ["1.5%", "2%"]})
    assert plan.read(point)[0].rows() == [(1234.0, 0.5, 1.5), (5678.0, None, 2.0)]


@pytest.mark.parametrize("values", [[[1.0], [2.0]], [b"a", b"b"], [timedelta(1), timedelta(2)], [time(1), time(2)]])
def test_columns_of_other_types_are_refused(values):
    frame = pl.DataFrame({"a": values * 30, "y": ["u", "v"] * 30})
    message = "Column 'a' must hold numbers or text, got .* Convert or drop"
    with pytest.raises(DataError, match=message):
        split_table("t", frame, None, "u", TableOptions("y", keep_column=("a",)), DataSource("t", "u"))
    for kind in ("number", "category", "text"):
        with pytest.raises(DataError, match=message):
            read(ColumnPlan("a", kind), values)


def test_a_scaling_and_a_plan_must_fit():
    scaling = TableScaling.fit(pl.DataFrame({"a": [0.0, 1.0]}))
    with pytest.raises(InputError, match=r"`plan` must be one that gives the columns \['a'\]"):
        TableScaling(scaling.columns, PLAN)


def test_a_limit_takes_a_sample_with_the_shares_of_the_classes(tmp_path):
    rows = [f"{i * i},{'bad' if i >= 300 else 'ok'}" for i in range(400)]
    (tmp_path / "sorted.csv").write_text("\n".join(["a,class", *rows]))
    data = load_table(tmp_path / "sorted.csv", "class", "bad", limit=200)
    splits = (data.train, data.val, data.test)
    assert (sum(map(len, splits)), sum(int(split.y.sum()) for split in splits)) == (200, 50)
    other = load_table(tmp_path / "sorted.csv", "class", "bad", limit=200, seed=1)
    assert other.digest != data.digest
    whole = load_table(tmp_path / "sorted.csv", "class", "bad", limit=4000)
    for split in (whole.train, whole.val, whole.test):
        for rows in (8, 20, 40):
            assert abs(int(split.y[:rows].sum()) - rows / 4) <= 1


class TestPlan(ReaderContract):
    def good(self, folder):
        (folder / "columns.toml").write_text(PLAN.to_toml())
        return folder / "columns.toml"

    def read(self, path):
        return Plan.from_toml(path)

    def hostile(self, folder):
        contents = {
            "deep": "columns = " + "[" * DEEP + "]" * DEEP,
            "a long key": "columns" + ".a" * DEEP + " = 1",
            "no list": "columns = 3",
            "a huge number": '[[columns]]\nname = "a"\nkind = "number"\nleast = 1' + "0" * 5000,
            "no names": "[[columns]]\n" * 1000,
        }
        found = {}
        for number, (what, content) in enumerate(contents.items()):
            found[what] = folder / f"{number}.toml"
            found[what].write_text(content)
        return found
