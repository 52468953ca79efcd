"""`asymcert explain` from a file of texts to the reasons of one verdict."""

import json

import pytest
from typer.testing import CliRunner

from asymcert.cli.app import app
from estimator.messages import messages

TRAIN = "--label label --sensitive spam --epochs 6 --batch-size 16 --hidden 8 --windows both --quiet"


def run(*arguments, code=0, **options):
    done = CliRunner().invoke(app, list(map(str, arguments)), **options)
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that was trained on a table of texts."""
    where = tmp_path_factory.mktemp("explain")
    lines = [f"{label},{text}" for text, label in zip(*messages(200), strict=True)]
    (where / "sms.csv").write_text("label,text\n" + "\n".join(lines), encoding="utf-8")
    run("train", where / "sms.csv", *TRAIN.split(), "--out", where / "run")
    return where / "run"


def told(folder, *arguments, **options):
    return json.loads(run("explain", folder, *arguments, "--json", **options))


def test_a_verdict_and_its_reasons(folder):
    found = told(folder, "--text", "Win c\u0430sh, PRIZE claim now!")
    assert (found["verdict"], found["sensitive"]) == ("spam", True)
    assert set(found["outlasts"]) == {"added", "added or removed", "replaced", "added, removed or replaced"}
    assert found["sentences"]
    assert found["disguises"]
    assert {each["word"] for each in found["words"][:3]} <= {"win", "cash", "prize", "claim"}
    assert found["evasion"] is None or found["evasion"]["price"] > found["outlasts"]["added, removed or replaced"]
    if found["evasion"] is not None:
        assert told(folder, "--text", found["evasion"]["text"])["verdict"] == "ham"


def test_for_people(folder):
    shown = run("explain", folder, "--text", "win cash prize claim")
    assert shown.splitlines()[0].split() == ["verdict", "spam"]
    assert "The verdict stands under any" in shown
    assert "any number of whole added sentences" in shown
    assert "look-alike letters" in shown
    assert "Words that carry the verdict" in shown
    assert "Undone by" in shown or "No edited text is known" in shown
    assert "words" not in run("explain", folder, "--text", "lunch at home")


def test_texts_are_evaluated_against_the_usual_edits(folder):
    lines = json.loads(run("evaluate", folder, "--json", "--quiet"))
    assert {line["threat"] for line in lines} == {
        f"words {edits} marks" for edits in ("add", "add+remove", "replace", "add+remove+replace", "sentences")
    }
    assert run("evaluate", folder, "--quiet").count("words sentences marks") >= 1


def test_texts_of_strangers_give_a_terminal_no_commands(folder):
    shown = run("explain", folder, "--text", "win cash prize claim \x1b[2J\u202e offer \ud800")
    assert not {"\x1b", "\u202e"} & set(shown)


def test_standard_input_and_texts_of_a_split(folder):
    assert (
        told(folder, "--text", "-", input="win cash prize now\n")["margin"]
        == told(folder, "--text", "win cash prize now")["margin"]
    )
    assert told(folder, "--text", "-", input=b"\xff\xfe win \x00 cash")["verdict"] in ("spam", "ham")
    found = [told(folder, "--index", index, "--split", "val") for index in range(4)]
    assert len({each["verdict"] for each in found}) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`--text` must be given, or else --index, got neither"),
        (["--text", "a", "--index", "0"], "got both"),
        (["--index", "-1"], "`--index` must be an integer of at least 0"),
        (["--index", "100000"], "the last text of the test split"),
        (["--text", "-"], "`text` must be of at most 1000000 characters"),
        (["--text", "a", "--cuts", "0"], "`cuts` must be an integer of at least 1"),
    ],
    ids=str,
)
def test_mistakes(folder, arguments, message):
    done = CliRunner().invoke(app, ["explain", str(folder), *arguments], input="a" * 10**7)
    assert message in str(done.exception)
