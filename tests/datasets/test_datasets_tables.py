import gzip
import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymcert.datasets import DataSource, load_rows, load_source, load_table
from asymcert.datasets.look import look_at
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.source import TABLE_OPTIONS
from asymcert.datasets.tables import TableOptions, split_table
from asymcert.errors import DataError, InputError

TABLES = Path(os.environ.get("ASYMCERT_DATA", "")) / "tables"
published = pytest.mark.skipif(not os.environ.get("ASYMCERT_DATA"), reason="ASYMCERT_DATA names no data folder")


def frame(n=100, seed=0):
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["tcp", "udp", "icmp"], n)
    return pl.DataFrame({"a": rng.normal(size=n), "b": rng.integers(0, 9, n), "k": kinds, "y": rng.integers(0, 2, n)})


def write(path, table):
    if path.name.endswith(".parquet"):
        table.write_parquet(path)
    else:
        content = table.write_csv().encode()
        path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def rows(split):
    return {tuple(row) for row in split.x.tolist()}


def splits(data):
    return data.train, data.val, data.test


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "T.CSV"])
def test_formats_agree(tmp_path, name):
    data = load_table(write(tmp_path / name, frame()), "y", 1)
    assert data.digest == load_table(write(tmp_path / "other.csv", frame()), "y", "1").digest
    assert data.name == name.split(".")[0]
    assert data.input_shape == (2 + 4,)
    assert (data.sensitive, data.other) == ("1", "0")
    assert sum(len(s) for s in splits(data)) == 100
    assert len(data.test) in (19, 20, 21)
    assert data.dropped == 0


ROWS = st.tuples(st.sampled_from([0.0, -0.0, 1.0, 2.0, None]), st.integers(0, 9), st.sampled_from("ab"), st.booleans())
SCHEMA = {"a": pl.Float64, "b": pl.Int64, "k": pl.String, "y": pl.Boolean}


@settings(max_examples=50, deadline=None)
@given(st.lists(ROWS, min_size=30, max_size=60), st.integers(0, 100), st.sampled_from(["mean", "zero", "median"]))
def test_identical_rows_never_part(values, seed, impute):
    """Judged on the raw rows that reach the splits, before anything is scaled."""
    table = pl.DataFrame(values, schema=SCHEMA, orient="row")
    parts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableScaling, "encode", lambda self, x: parts.append(x) or torch.rand(len(x), 1))
        try:
            split_table("t", table, None, True, TableOptions("y", impute=impute), DataSource("t", "true", seed))
        except (DataError, InputError):
            return  # too few distinct rows of a class, or none
    train, val, test = ({tuple(row) for row in part.iter_rows()} for part in parts)
    assert not train & val
    assert not train & test
    assert not val & test


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=40, max_size=80), st.integers(0, 100))
def test_no_row_is_lost_without_imputation_and_inputs_do_not_leak(values, seed):
    """Distinct numbers within the training range stay distinct inputs, so that a leak would show in x."""
    table = pl.DataFrame(values, schema=["a", "y"], orient="row")
    source = DataSource("t", "true", seed)
    try:
        data = split_table("t", table, None, True, TableOptions("y", scaling="min-max"), source)
    except (DataError, InputError):
        return  # too few distinct rows of a class, or none
    parts = [{v for (v,) in rows(s) if 0 < v < 1} for s in splits(data)]
    assert sum(len(p) for p in parts) == len(set().union(*parts))
    assert sum(len(s) for s in splits(data)) == len(values)
    assert data.dropped == 0


def test_running_text_is_compared_by_its_words(tmp_path):
    texts = [f"word{i} offer" for i in range(40)] + [f"OFFER, word{i}!" for i in range(40)]
    table = pl.DataFrame({"label": ["spam", "ham"] * 40, "text": texts})
    data = load_table(write(tmp_path / "t.csv", table), "label", "spam", words=4096)
    assert data.input_shape == (4096,)
    train, val, test = (rows(s) for s in splits(data))
    assert not train & val
    assert not train & test
    assert not val & test
    assert data.scaling.feature_names[0] == "text#0"


def test_a_test_file_loses_rows_that_training_has(tmp_path):
    first, second = frame(), frame(50, seed=1)
    mixed = pl.concat([second, first[:20]]).with_columns(pl.col("b").cast(pl.Float64))
    options = {"label": "y", "sensitive": 1}
    data = load_table(write(tmp_path / "a.csv", first), test=write(tmp_path / "b.csv", mixed), **options)
    assert (len(data.train) + len(data.val), len(data.test), data.dropped) == (100, 50, 20)
    alone = load_table(tmp_path / "a.csv", test=write(tmp_path / "c.csv", second), **options)
    assert alone.digest == data.digest
    with pytest.raises(DataError, match="every row of a split also occurs"):
        load_table(tmp_path / "a.csv", test=tmp_path / "a.csv", **options)
    with pytest.raises(DataError, match=r"test file lacks the columns \['a'\]"):
        load_table(tmp_path / "a.csv", test=write(tmp_path / "d.csv", second.drop("a")), **options)


def test_rows_made_equal_by_imputation_are_dropped(tmp_path):
    table = pl.DataFrame({"a": [0.0, None] + [float(i) for i in range(1, 60)], "y": [1, 1] + [0, 1] * 29 + [0]})
    results = [load_table(write(tmp_path / "t.csv", table), "y", 1, impute="zero", seed=s) for s in range(12)]
    assert {data.dropped for data in results} == {0, 1}


def test_more_than_two_labels(tmp_path):
    table = frame().with_columns(y=pl.Series(["spam", "ham", "eggs", "spam"] * 25))
    data = load_table(write(tmp_path / "t.csv", table), "y", "ham")
    assert (data.sensitive, data.other) == ("ham", "not ham")
    assert sum(int(s.y.sum()) for s in splits(data)) == 25


@pytest.mark.parametrize("sensitive", [True, "true", "True"])
def test_boolean_labels(tmp_path, sensitive):
    table = frame().with_columns(pl.col("y") == 1)
    assert load_table(write(tmp_path / "t.parquet", table), "y", sensitive).sensitive == "True"


def test_whole_number_matches_float_label(tmp_path):
    table = frame().with_columns(pl.col("y").cast(pl.Float64))
    assert load_table(write(tmp_path / "t.parquet", table), "y", "1").sensitive == "1.0"


def test_source_loads_the_same_table_and_finds_it_when_moved(tmp_path):
    (tmp_path / "new").mkdir()
    test = write(tmp_path / "u.csv", frame(60, seed=4))
    data = load_table(write(tmp_path / "t.csv", frame()), "y", 1, test=test, drop=("k",), scaling="min-max", seed=2)
    source = DataSource.from_dict(json.loads(json.dumps(data.source.to_dict())))
    assert source == data.source
    assert load_source(source).digest == data.digest
    for name in ("t.csv", "u.csv"):
        (tmp_path / name).rename(tmp_path / "new" / name)
    assert load_source(source, tmp_path / "new").digest == data.digest
    with pytest.raises(DataError, match=r"u\.csv: no such file\. .* name its folder as `data_dir` \(--data-dir\)"):
        load_source(source)


@pytest.mark.parametrize("options", [{}, {"clean": False}, {"limit": 60}, {"impute": "zero"}, {"test": True}])
def test_rows_of_a_split_are_found_in_its_file(tmp_path, options):
    path = write(tmp_path / "t.csv", frame())
    given = options | ({"test": write(tmp_path / "test.csv", frame(40, 1))} if "test" in options else {})
    data = load_table(path, "y", 1, **given)
    for split, file in zip(splits(data), (path, path, None), strict=True):
        whole, label = load_rows(data.source, file)
        assert torch.equal(data.scaling.transform(whole[split.rows.numpy()]), split.x)
        assert label[split.rows.numpy()].tolist() == split.y.tolist()
    with pytest.raises(InputError, match="`source` must be a table"):
        load_rows(DataSource("digits-3-8"))


def test_stored_options_are_the_arguments(tmp_path):
    path = write(tmp_path / "t.csv", frame())
    assert set(load_table(path, "y", 1, max_bytes=1).source.options) == set(TABLE_OPTIONS)
    assert "max_bytes" not in load_table(path, "y", 1).source.options  # runs from before it existed can be continued


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"label": "absent"}, InputError, "`label` must be one of"),
        ({"sensitive": 7}, InputError, r"`sensitive` must be a value of column 'y' \(0, 1\), got 7"),
        ({"drop": ("absent",)}, InputError, "`drop` must be one of"),
        ({"drop": "a"}, InputError, "`drop` must be a sequence of texts"),
        ({"drop": ("y",)}, InputError, "without the label"),
        ({"drop": ("a", "b", "k")}, InputError, "a feature column is left"),
        ({"impute": "guess"}, InputError, "`impute` must be one of"),
        ({"scaling": "none"}, InputError, "`scaling` must be one of"),
        ({"text": "absent"}, InputError, "`text` must be one of"),
        ({"text": "a"}, InputError, "`text` must be a column of text"),
        ({"categories": 0}, InputError, "`categories` must be"),
        ({"words": 0}, InputError, "`words` must be"),
        ({"seed": -1}, InputError, "`seed` must be"),
    ],
)
def test_wrong_arguments(tmp_path, change, error, message):
    path = write(tmp_path / "t.csv", frame())
    with pytest.raises(error, match=message):
        load_table(path, **{"label": "y", "sensitive": 1, **change})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"a,y\n", "has no rows"),
        (b"a,y\n1,0\n2,1,5,6\n", "have not the 2 fields"),
        (b"a,y\n1,0\n2,1\n3,0\n", "too few rows to split"),
        (b"a,y\n1,0\n2,0\n", "has one value only, 0"),
        (b"a,y\n1,0\n2,\n", "Label column 'y' has 1 missing"),
        (b"a,y\n" + b"1,0\n2,1\n" * 20, "too few rows to split"),
        (b"a,y\n,0\n" + b"".join(b"%d,%d\n" % (i * i, i % 2) for i in range(50)), "Column 'a' has 1 missing values"),
        (b"a,y\ninf,0\n" + b"".join(b"%d,%d\n" % (i * i, i % 2) for i in range(50)), "infinite"),
        (b"\xff\xfe\x00a,y\n\xff\xfe,1\n", "has no rows"),
    ],
)
def test_wrong_contents(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises((DataError, InputError), match=message):
        load_table(path, "y", 0, impute="refuse", infinite="refuse")


def test_wrong_files(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load_table(tmp_path / "t.csv", "y", 1)
    with pytest.raises(InputError, match="`path` must be a file ending in"):
        load_table(write(tmp_path / "t.xlsx", frame()), "y", 1)
    packed = write(tmp_path / "t.csv.gz", frame())
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"t.csv.gz: not a whole gzip file"):
        load_table(packed, "y", 1)
    binary = write(tmp_path / "t.parquet", frame())
    for broken in (binary.read_bytes()[:-50], b"", b"PAR1" + bytes(60) + b"PAR1"):
        binary.write_bytes(broken)
        with pytest.raises(DataError, match=r"t\.parquet: cannot be read as a table"):
            load_table(binary, "y", 1)


@published
@pytest.mark.parametrize(
    ("name", "label", "sensitive", "options", "shape", "total"),
    [
        ("spambase.csv.gz", "spam", 1, {}, (57,), 4601),
        ("sms-spam.csv.gz", "label", "spam", {"words": 1024}, (1024,), 5574),
        ("clamp-integrated-5210.csv.gz", "class", 1, {}, (68 + 13,), 5210),
    ],
)
def test_published_tables(name, label, sensitive, options, shape, total):
    data = load_table(TABLES / name, label, sensitive, **options)
    assert data.input_shape == shape
    assert sum(len(s) for s in splits(data)) == total
    assert abs(len(data.test) / total - 0.2) < 0.01
    assert len({float(s.y.float().mean().round(decimals=2)) for s in splits(data)}) <= 2


@published
def test_published_attacks_with_a_test_file():
    options = {"test": TABLES / "nsl-kdd-test.csv.gz", "drop": ("attack_type", "difficulty")}
    data = load_table(TABLES / "nsl-kdd-train20.csv.gz", "attack", 1, **options)
    assert len(data.train) + len(data.val) == 25192
    assert len(data.test) + data.dropped == 22544
    assert data.dropped > 0


@pytest.mark.parametrize("rows", [40, 400, 50_001])
def test_a_column_that_alone_tells_the_classes_apart_is_said_where_rows_are_enough(tmp_path, rows):
    draw = np.random.default_rng(0)
    y = draw.random(rows) < 0.5
    leak, labels = np.where(y, "closed", "open"), np.where(y, "u", "v")
    frame = pl.DataFrame({"a": draw.normal(size=rows), "^leak$": leak, "y": labels})
    path = tmp_path / "t.csv"
    frame.write_csv(path)
    suspicious = [note for note in load_table(path, "y", "u").notes if note.startswith("suspicious: ")]
    assert [f"suspicious: {each}" for each in look_at(path, TableOptions("y"), ["u"]).suspects] == suspicious
    assert [note.split("'")[1] for note in suspicious] == (["^leak$"] if rows >= 100 else [])


def test_values_like_none_of_a_category_are_said_until_they_are_named(tmp_path):
    path = tmp_path / "t.csv"
    kinds = ("de", "fr", "n/a", "-", "")
    lines = [f"{number * number},{kinds[number % 5]},{'uv'[number % 2]}" for number in range(200)]
    path.write_text("\n".join(["a,k,y", *lines]))
    said = "values like none: 'n/a' (40), '-' (40) of 'k', categories so far; --missing=n/a --missing=-"
    assert said in load_table(path, "y", "u").notes
    (half,) = [note for note in load_table(path, "y", "u", missing=("-",)).notes if "like none" in note]
    assert half.endswith("--missing=n/a")
    assert not any("like none" in note for note in load_table(path, "y", "u", missing=("-", "N/A")).notes)
    assert not any("like none" in note for note in load_table(path, "y", "u", category=("k",)).notes)


def test_where_a_table_differs_from_the_plan_of_its_columns_is_said(tmp_path):
    write(tmp_path / "old.csv", frame())
    plan = load_table(tmp_path / "old.csv", "y", "1").scaling.plan
    (tmp_path / "columns.toml").write_text(plan.to_toml())
    same = load_table(tmp_path / "old.csv", "y", "1", columns=tmp_path / "columns.toml")
    assert not any("plan of columns" in note for note in same.notes)
    write(tmp_path / "new.csv", frame().rename({"b": "c"}))
    notes = load_table(tmp_path / "new.csv", "y", "1", columns=tmp_path / "columns.toml").notes
    assert "in the plan of columns, but not in the table: 'b'" in notes
    assert "not in the plan of columns, so recognised: 'c'" in notes
