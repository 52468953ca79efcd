"""Mistakes at the command line: one line that names the option and the remedy, and no work lost."""

import os
import sys
from dataclasses import replace

import pytest

from asymcert.cli import app, certify_commands, show, theory_commands, train_commands
from asymcert.training import TrainConfig
from asymcert.training.feature_convex import FEATURE_CONVEX


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the command line in an empty folder: its exit code, and what it said on standard error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("not a folder")

    def run(*arguments: object) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["asymcert", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            app.main()
        return stopped.value.code, capsys.readouterr().err

    return run


def refused(call, *arguments: object) -> str:
    """The one line that a refused command prints."""
    code, error = call(*arguments)
    assert code == 2
    assert len(error.strip().splitlines()) == 1
    return error


SEPARATE = ("separate", "digits-3-8", "--limit", "3", "--quiet")
TABLE = ("--label", "class", "--sensitive", "spam", "--out", "run")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*SEPARATE, "--out", "file/hulls.parquet"), "`--out` must be a path below folders"),
        ((*SEPARATE, "--out", "."), "`--out` must be a file"),
        ((*SEPARATE, "--gap", "-1"), "`--gap` must be a number"),
        (("study", "cascade", "digits", "--rate", "2"), "`--rate` must be a number in [0, 1]"),
        (("study", "cascade", "digits", "--class", "12"), "`--class` must be from 0 to 9"),
        (("study", "convex-concave", "digits", "--each", "0"), "`--each` must be an integer of at least 1"),
        (("study", "convex-concave", "digits", "--out", "file/model"), "`--out` must be a path below folders"),
        ((*SEPARATE[:1], "mail.csv"), "Only `asymcert train` takes a table's file"),
        (("train", "mail.xlsx", *TABLE), "`path` must be a file ending in .csv, .csv.gz, .csv.zst, .tsv, .tsv.gz"),
        (("train", "MAIL.CSV", *TABLE), "MAIL.CSV: no such file"),
        (("train", "digits-3-8", "--recipe", "published", "--out", "x"), "`--recipe` must be left out for data"),
        (
            ("train", "digits-3-8", "--out", "file/run", "--epochs", "1", "--quiet"),
            "file/run: Not a directory. Check the path",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_it_is_one_line_that_names_the_option(call, arguments, said):
    assert said in refused(call, *arguments)


def test_a_file_is_refused_before_any_work(call, monkeypatch):
    monkeypatch.setattr(theory_commands, "separate_classes", None)
    assert "`--out`" in refused(call, *SEPARATE, "--out", "file/hulls.parquet")


def test_a_place_that_may_not_be_written_is_refused_before_any_work(call, monkeypatch):
    monkeypatch.setattr(theory_commands, "separate_classes", None)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "`--out` must be a file that may be written, got hulls.parquet" in refused(
        call, *SEPARATE, "--out", "hulls.parquet"
    )


def test_folders_of_a_file_are_made(call, tmp_path):
    assert call(*SEPARATE, "--out", "new/deep/hulls.parquet")[0] == 0
    assert (tmp_path / "new" / "deep" / "hulls.parquet").is_file()


def interrupted(*_, **__):
    """What Ctrl-C raises, also where the process that runs the tests ignores the signal."""
    raise KeyboardInterrupt


def test_an_interrupt_says_how_to_go_on(call, monkeypatch):
    monkeypatch.setattr(certify_commands, "Run", interrupted)
    code, error = call("certify", "run")
    assert code == 130
    assert error.strip() == "interrupted; run the same command again to continue"


def test_a_trained_run_is_refused_unless_its_end_was_cut_off(call, tmp_path):
    command = ("train", "digits-3-8", "--out", "run", "--epochs", "1", "--quiet")
    assert call(*command)[0] == 0
    model = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert "run: already holds a trained model" in refused(call, *command)
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"left over")
    assert call(*command)[0] == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == model
    assert "run: already holds a trained model" in refused(call, *command)


def test_an_interrupted_demo_goes_on(call, monkeypatch):
    """What the demo trained is not trained again, nor refused."""
    quick = replace(FEATURE_CONVEX, presets={"digits": TrainConfig(epochs=1, hidden=(4,))})
    monkeypatch.setattr(train_commands, "kind_of", lambda _: quick)
    monkeypatch.setattr(train_commands, "certify_run", interrupted)
    assert call("demo", "--out", "demo", "--quiet")[0] == 130
    monkeypatch.setattr(train_commands, "train_model", None)
    assert call("demo", "--out", "demo", "--quiet")[0] == 130


def test_training_says_what_it_made_of_the_columns(call, tmp_path):
    rows = [f"{i * i},{'ab'[i % 2]},user{i % 30},7,{'spam' if i % 3 else 'ham'}" for i in range(60)]
    (tmp_path / "mail.csv").write_text("\n".join(["size [kB],kind,id,version,class", *rows]))
    code, error = call("train", "mail.csv", *TABLE, "--epochs", "1", "--hidden", "4")
    assert code == 0
    assert error.splitlines()[:4] == [
        "left out, constant: 'version'",
        "label 'class', rows of each; sensitive: 'spam' (40); other: 'ham' (20)",
        "numbers: size [kB]",
        "categories: kind (2 values told apart), "
        "id (20 values told apart; --text if these are words, --drop if they name rows)",
    ]


def test_a_title_is_not_folded_to_the_width_of_its_table(capsys):
    title = "How far one column alone may move at the median radius, in its own units"
    show.table(title, [{"a": 1}], as_json=False)
    assert title in capsys.readouterr().out.splitlines()


def test_a_folder_named_like_a_data_set_is_no_table(call, tmp_path):
    (tmp_path / "digits-3-8").mkdir()
    code, _ = call("train", "digits-3-8", "--epochs", "1", "--hidden", "4", "--out", "digits-3-8", "--quiet")
    assert code == 0
    assert (tmp_path / "digits-3-8" / "model.safetensors").is_file()
