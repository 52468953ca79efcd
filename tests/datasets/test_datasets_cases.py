"""Tables with the troubles of real exports come out as they should: made-up ones, and those of a folder if named."""

import os
from pathlib import Path

import polars as pl
import pytest
import torch

from asymcert.datasets import load_table
from asymcert.datasets.look import look_at
from asymcert.datasets.table_files import read_table
from asymcert.datasets.table_options import TableOptions
from asymcert.errors import DataError
from contracts.troubled import write_cases

SAME = {
    "clean.csv": {},
    "tabs.tsv": {},
    "semicolons_decimal_commas.csv": {},
    "title_above_header.csv": {},
    "quoted_names.csv": {},
    "no_header.csv": {"names": "a,b,c,verdict"},
}


@pytest.fixture(scope="module", params=["made up", "a folder"])
def cases(request, tmp_path_factory):
    if request.param == "made up":
        return write_cases(tmp_path_factory.mktemp("cases"))
    if not os.environ.get("ASYMCERT_CASES"):
        pytest.skip("ASYMCERT_CASES names no folder with cases")
    return Path(os.environ["ASYMCERT_CASES"])


def kinds(data):
    return {column.name: column.kind for column in data.scaling.plan.columns}


def said(data, *parts):
    notes = "\n".join(data.notes)
    assert all(part in notes for part in parts), notes


def test_every_file_can_be_looked_at(cases):
    for path in sorted([*cases.glob("*.csv"), *cases.glob("*.tsv")]):
        names = "a,b,c,verdict" if path.name == "no_header.csv" else None
        look = look_at(path, TableOptions(names=names))
        assert look.columns
        assert str(path) in look.command


@pytest.mark.parametrize("name", SAME)
def test_every_spelling_gives_the_same_numbers(cases, name):
    """Trained as it stands, a table is the same data, and other spellings are read alike by what was learned."""
    reference = load_table(cases / "clean.csv", "verdict", 1)
    data = load_table(cases / name, "verdict", 1, **SAME[name])
    assert data.digest == reference.digest
    if name != "quoted_names.csv":
        x = reference.scaling.transform(read_table(cases / "clean.csv"))
        frame = read_table(cases / name) if name != "no_header.csv" else read_named(cases / name)
        assert torch.equal(data.scaling.transform(frame), x)
        assert torch.equal(reference.scaling.transform(frame), x)


def read_named(path):
    return pl.read_csv(path, has_header=False, new_columns=["a", "b", "c", "verdict"])


def test_separators_and_encodings_are_said(cases):
    said(load_table(cases / "tabs.tsv", "verdict", 1), "separator: tabs")
    said(load_table(cases / "semicolons_decimal_commas.csv", "verdict", 1), "semicolons", "with decimal commas")
    german = load_table(cases / "utf16_bom.csv", "verdict", "schädlich")
    said(german, "UTF-16")
    assert (german.other, german.input_shape) == ("gut", (3,))
    data = load_table(cases / "title_above_header.csv", "verdict", 1)
    said(data, "left out above the header: 'Export of 2026-03-01'")
    assert load_table(cases / "quoted_names.csv", "verdict", 1).scaling.feature_names == ('a "raw"', "b, scaled", "c")


@pytest.mark.parametrize(("name", "column"), [("index_column.csv", ""), ("index_named.csv", "Unnamed: 0")])
def test_what_counts_the_rows_is_left_out(cases, name, column):
    data = load_table(cases / name, "verdict", "bad")
    assert data.scaling.feature_names == ("a", "b")
    said(data, f"left out, counts the rows: '{column}'")
    kept = load_table(cases / name, "verdict", "bad", keep_column=(column,))
    assert kept.scaling.feature_names == (column, "a", "b")
    look = look_at(cases / name, TableOptions("verdict", keep_column=(column,)), ["bad"])
    assert [suspect.split("'")[1] for suspect in look.suspects] == [column]


@pytest.mark.parametrize("sensitive", ["malware", "Malware", "MALWARE", " malware "])
def test_spellings_of_a_label_are_one_class(cases, sensitive):
    data = load_table(cases / "label_case.csv", "verdict", sensitive)
    hostile = sum(int(split.y.sum()) for split in (data.train, data.val, data.test))
    texts = pl.read_csv(cases / "label_case.csv")["verdict"].str.strip_chars().str.to_lowercase()
    assert hostile == (texts == "malware").sum()
    assert data.other.strip().lower() == "benign"
    said(data, "taken for one label", "'Malware'", "'malware'")


def test_numbers_with_marks_are_numbers_in_one_unit(cases):
    data = load_table(cases / "numbers_with_marks.csv", "verdict", "bad")
    assert set(kinds(data).values()) == {"number"}
    units = {column.name: column.unit for column in data.scaling.plan.columns}
    assert units == {"bytes": "", "ratio": "%", "price": "$", "size": "bytes"}
    first = data.scaling.read(
        pl.DataFrame({"bytes": ["1,234"], "ratio": ["84%"], "price": ["$5.20"], "size": ["12 KB"]})
    )
    assert first[0].row(0) == (1234.0, 84.0, 5.2, 12000.0)
    plain = data.scaling.read(pl.DataFrame({"bytes": [1234], "ratio": [84.0], "price": [5.2], "size": ["0.012 MB"]}))
    assert plain[0].equals(first[0])


def test_times_and_addresses_are_recognised_and_ports_named(cases):
    data = load_table(cases / "dates_and_addresses.csv", "verdict", "bad")
    assert {kinds(data)[name] for name in ("seen", "us_date")} == {"date"}
    assert kinds(data)["source"] in ("address", "dropped")
    said(data, "'seen' became hour and weekday", "ports are no quantity: 'port'", "--category port")
    ports = load_table(cases / "dates_and_addresses.csv", "verdict", "bad", category=("port",))
    assert kinds(ports)["port"] == "category"


@pytest.mark.parametrize("name", ["flows_cp1252.csv", "flows_header_again.csv"])
def test_flows_of_a_traffic_monitor(cases, name):
    data = load_table(cases / name, "Label", harmless=["BENIGN"])
    assert (data.sensitive, data.other) == ("not BENIGN", "BENIGN")
    said(data, "infinite: ", "missing: ", "left out, equal to the first column", "left out, nearly all different")
    said(data, "Windows-1252" if "cp1252" in name else "the header, which stands in the middle again, 1 times")
    assert kinds(data)["Flow ID"] == "dropped"
    named = [label for label in pl.Series(read_table(cases / name)["Label"]).unique() if label != "BENIGN"]
    by_name = load_table(cases / name, "Label", named)
    assert torch.equal(by_name.train.y, data.train.y)
    assert torch.equal(by_name.train.x, data.train.x)


def test_a_header_that_is_missing_is_said(cases):
    with pytest.raises(DataError, match=r"its first line looks like values .*--names a,b,c"):
        load_table(cases / "no_header.csv", "verdict", 1)


def test_words_among_numbers_are_listed_and_can_be_missing(cases):
    path, label = cases / "some_words_among_numbers.csv", ("verdict", "Malicious")
    with pytest.raises(DataError, match=r"Column 'pages' holds numbers") as refused:
        load_table(path, *label)
    for word in ("'unknown' (", "'1(1)' (", "'_' (", "'-1' (", "--missing WORD", "--drop pages"):
        assert word in str(refused.value)
    data = load_table(path, *label, missing=("unknown", "1(1)", "_", "-1"))
    assert kinds(data)["pages"] == "number"
    said(data, "values of 'pages', filled by")
    assert "--missing=unknown" in look_at(path, TableOptions("verdict"), ["Malicious"]).command


def test_idle_columns_are_left_out_in_one_message(cases):
    data = load_table(cases / "constant_and_empty.csv", "verdict", 1)
    assert data.scaling.feature_names == ("a",)
    said(data, "left out, constant: 'always', 'word'", "left out, empty: 'nothing'")


def test_many_troubles_are_said_at_once_and_the_command_works(cases):
    path = cases / "many_troubles.csv"
    look = look_at(path, TableOptions("Class"), ["yes"])
    notes = "\n".join(look.notes)
    for part in ("'b (2)' is the later 'b'", "counts the rows", "empty", "sizes in bytes", "date: 'when'", "one label"):
        assert part in notes
    assert look.problems == []
    assert load_table(path, "Class", "yes").scaling.feature_names == ("a", "b", "b (2)", "when: weekday", "size")


def test_ragged_lines_are_said_with_their_numbers_and_skipped_on_request(cases):
    with pytest.raises(DataError, match=r"lines have not the 4 fields of the header: line \d+ \(3\).*--ragged skip"):
        load_table(cases / "ragged.csv", "verdict", 1)
    data = load_table(cases / "ragged.csv", "verdict", 1, ragged="skip")
    rows = sum(len(split) for split in (data.train, data.val, data.test))
    assert 290 <= rows < 300
    said(data, "left out: ", "lines have not")


def test_bad_rows_leave_the_others_alone(cases):
    data = load_table(cases / "clean.csv", "verdict", 1)
    clean, problems = data.scaling.read(read_table(cases / "new_rows_three_bad.csv"))
    assert sorted(problems.drop_nulls()) == ["a: '1e400' is too great", "a: 'abc' is no number", "a: no value"]
    assert len(clean) == 43


@pytest.mark.parametrize(
    ("labels", "suggested"),
    [(("1", "1", "1", "0"), "1"), (("no", "Yes", "Yes", "no"), "Yes"), (("ham", "ham", "spam", "ham"), "spam")],
)
def test_the_sensitive_label_that_is_suggested_says_yes_or_is_the_rarest(tmp_path, labels, suggested):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{row % 7}.5,{labels[row % 4]}\n" for row in range(80)))
    assert f"--sensitive={suggested}" in look_at(path, TableOptions("y")).command
