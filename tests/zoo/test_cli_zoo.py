"""`asymcert zoo`, `asymcert demo --zoo`, and other commands on ``zoo:NAME``."""

import json
import re

import pytest

from asymcert.models import zoo
from asymcert.runs.folder import RunFolder
from contracts.commands import command, refusal

WITHOUT_EXAMPLES = ["cats-dogs-accurate", "cats-dogs-robust", "malware-headers"]


def test_the_list_says_what_each_model_reaches():
    listed = json.loads(command("zoo", "--json"))
    assert [row["name"] for row in listed] == [f"zoo:{name}" for name in zoo.names()]
    assert all(row["balanced accuracy"].endswith(" %") for row in listed)
    assert all({"data", "licence of the data", "digest"} < set(row) for row in listed)
    assert all(any(name.startswith("median radius, ") for name in row) for row in listed)
    assert "spam-sms-monotone" in command("zoo")


def test_one_model_is_described_with_licence_and_digest_and_copied(tmp_path):
    facts = json.loads(command("zoo", "tumours", "--out", tmp_path / "run", "--json"))
    assert facts["licence of the data"] == "CC BY 4.0"
    assert facts["digest"] == RunFolder(tmp_path / "run").load_model().digest
    assert facts["run"] == str(tmp_path / "run")
    assert "by whom" not in facts
    assert "a new folder" in refusal("zoo", "tumours", "--out", tmp_path / "run")
    assert "given with a model's name" in refusal("zoo", "--out", tmp_path / "other")
    assert "Did you mean tumours" in refusal("zoo", "tumour")


def test_a_text_gets_verdict_words_and_the_cheapest_edits():
    told = json.loads(
        command("demo", "--zoo", "spam-sms", "--text", "You have won a prize, call 09061701461", "--json")
    )
    assert told["verdict"] == "spam"
    assert told["promise"]
    assert {row["word"] for row in told["words"]} & {"prize", "won", "call"}
    assert json.loads(command("demo", "--zoo", "spam-sms", "--text", "see you at lunch", "--json"))["verdict"] == "ham"


@pytest.mark.parametrize("name", [name for name in zoo.names() if name not in WITHOUT_EXAMPLES])
def test_examples_have_verdicts_of_both_kinds_and_promises(name):
    told = json.loads(command("demo", "--zoo", name, "--json"))
    if isinstance(told, dict):
        assert told["sensitive"]
        assert told["promise"]
        return
    sizes = [next(value for key, value in row.items() if key.startswith(("columns", "l2"))) for row in told]
    assert max(sizes) > 0
    assert min(sizes) == 0
    assert len({row["verdict"] for row in told}) == 2


@pytest.mark.parametrize("name", WITHOUT_EXAMPLES)
def test_a_model_whose_data_may_not_be_shipped_says_so(name):
    told = refusal("demo", "--zoo", name)
    assert "may not be shipped" in told
    if name.startswith("cats-dogs"):
        assert told.startswith("`--zoo` must be a model with pictures to show, or one of rows or texts, got cats-dogs-")
        assert told.endswith(f"in Python: asymcert.certify(asymcert.load('zoo:{name}'), x).")
    else:
        assert told.startswith(f"`--table` must be given for zoo:{name}, got nothing.")


def test_rows_of_ones_own(tmp_path):
    rows = zoo.entry("tumours").folder / "examples.csv"
    own = tmp_path / "own.csv"
    own.write_bytes(rows.read_bytes())
    assert command("demo", "--zoo", "tumours", "--table", own, "--json") == command(
        "demo", "--zoo", "tumours", "--json"
    )
    texts = tmp_path / "texts.csv"
    texts.write_text("text\nYou have won a prize call now\nlunch?\n")
    told = json.loads(command("demo", "--zoo", "spam-sms", "--table", texts, "--json"))
    assert [row["verdict"] for row in told] == ["spam", "ham"]
    assert list(told[0]) == ["row", "verdict", "margin", "words", "problem"]
    assert told[0]["words"] == 1


def test_options_that_do_not_fit_are_refused(tmp_path):
    assert "a model of texts" in refusal("demo", "--zoo", "tumours", "--text", "hello")
    assert "a model of a table or of texts" in refusal("demo", "--zoo", "mnist-3-8-robust", "--table", "x.csv")
    assert "given with --zoo" in refusal("demo", "--text", "hello")
    assert "given with --zoo" in refusal("demo", "--table", "x.csv")
    for option, value in (("--out", tmp_path / "run"), ("--seed", 0)):
        assert f"`{option}` must be left out with --zoo, got" in refusal("demo", "--zoo", "tumours", option, value)
    assert not list(tmp_path.iterdir())


def test_other_commands_take_a_model_of_the_zoo(tmp_path):
    rows, out = zoo.entry("tumours").folder / "examples.csv", tmp_path / "radii.csv"
    command("certify", "zoo:tumours", "--norm", "columns", "--table", rows, "--out", out)
    assert len(out.read_text().splitlines()) == 7
    command("explain", "zoo:spam-sms", "--text", "You have won a prize")
    command("export", "zoo:tumours", "--onnx", tmp_path / "model.onnx")


COPY = "Copy it first: asymcert zoo tumours --out runs/tumours"


@pytest.mark.parametrize("asked", ["certify", "audit", "report", "card", "surface", "threshold --balanced"])
def test_commands_that_need_rows_or_write_say_to_copy_the_model_and_leave_nothing(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, *options = asked.split()
    assert COPY in refusal(name, "zoo:tumours", *options)
    (tmp_path / "link").symlink_to(zoo.entry("tumours").folder)
    assert COPY in refusal(name, "link", *options)
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_folder_for_outputs_is_not_made_in_vain(tmp_path):
    out = tmp_path / "out"
    command("zoo", "tumours", "--out", tmp_path / "run")
    assert COPY in refusal("card", "zoo:tumours", "--out", out)
    assert COPY in refusal("audit", "zoo:tumours", "--junit", out / "audit.xml")
    for run, what in ((tmp_path / "run", "Run `asymcert evaluate "), (tmp_path / "none", "not a run folder")):
        assert what in refusal("card", run, "--out", out)
    assert "not a run folder" in refusal("audit", tmp_path / "none", "--junit", out / "audit.xml")
    assert "not a run folder" in refusal("card", tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("out", ["zoo:mine", "./zoo:mine", "zoo:tumours"])
def test_no_run_is_made_under_a_name_of_the_zoo(out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in (["zoo", "tumours"], ["demo"], ["train", "digits-3-8", "--epochs", 1]):
        assert "out` must be a place of your own, got zoo:" in refusal(*line, "--out", out)
    for name in "ab":
        command("zoo", "tumours", "--out", name)
    assert re.search("no folder of your own|a place of your own", refusal("union", "a", "b", "--out", out))
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_copy_is_evaluated_and_reported_on(tmp_path, monkeypatch):
    run = tmp_path / "run"
    command("zoo", "tumours", "--out", run)
    command("evaluate", run, "--quiet")
    command("card", run)
    monkeypatch.chdir(tmp_path)
    assert "`--out` must be a place of your own, got zoo:cards" in refusal("card", run, "--out", "zoo:cards")
    assert "`--junit` must be a place of your own" in refusal("audit", run, "--junit", "zoo:audits/1.xml")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    made, shipped = json.loads((run / "card.json").read_text()), zoo.entry("tumours").card
    for part in ("certified", "clean"):
        figures, expected = dict(leaves(made[part])), dict(leaves(shipped[part]))
        assert figures.keys() == expected.keys()
        for name, value in figures.items():  # other processors sum in another order
            assert value == (pytest.approx(expected[name], rel=1e-9) if isinstance(value, float) else expected[name])


def leaves(value, path=()):
    """Pairs of path and value of all that JSON nests."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*path, key))
    else:
        yield path, value


def test_a_damaged_name_is_no_way_out_of_the_zoo():
    assert "a model that `asymcert zoo` lists" in refusal("explain", "zoo:../../etc", "--text", "x")
