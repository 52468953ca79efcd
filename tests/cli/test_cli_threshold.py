"""Where the threshold is: chosen by --max-fpr in training, or moved by `asymcert threshold` afterwards."""

import json
import subprocess
import sys

import polars as pl
import pytest
from typer.testing import CliRunner

from asymcert.cli.app import app
from asymcert.evaluate import RunFolder
from asymcert.runs.run import Run

TRAINED = ("digits-3-8", "--epochs", 3, "--hidden", 8, "--seed", 1)


def command(*arguments, code=0):
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == code, (done.output, done.exception)
    return json.loads(done.stdout)


@pytest.fixture
def run(tmp_path):
    command("train", *TRAINED, "--out", tmp_path / "run", "--quiet")
    return RunFolder(tmp_path / "run")


def test_train_ends_with_figures_on_validation_data(tmp_path):
    told = command("train", *TRAINED, "--out", tmp_path / "run", "--max-fpr", 0.1, "--quiet")["validation"]
    assert set(told) == {"accuracy", "roc_auc", "recall", "false_positive_rate", "tpr_at_fpr_0.01"}
    opened = Run(tmp_path / "run")
    verdict, label = opened.model.predict(opened.data.val.x), opened.data.val.y
    assert told["false_positive_rate"]["value"] == float(verdict[~label].double().mean()) <= 0.1
    assert told["recall"]["value"] == float(verdict[label].double().mean())
    assert told["tpr_at_fpr_0.01"]["value"] is None  # of some 30 harmless samples one is more


def test_a_moved_threshold_is_that_of_training_for_it(run, tmp_path):
    balanced = run.load_model()
    told = command("threshold", run.path, "--max-fpr", 0.1)
    command("train", *TRAINED, "--out", tmp_path / "other", "--false-positive-rate", 0.1, "--quiet")
    other = RunFolder(tmp_path / "other")
    assert told["model_digest"] == run.load_model().digest == other.load_model().digest != balanced.digest
    assert run.facts().config == other.facts().config
    assert told["threshold"] == other.load_model().threshold
    command("threshold", run.path, "--balanced")
    assert run.load_model().digest == balanced.digest


@pytest.mark.parametrize("model", ["smoothing", "splitting", "linf-net"])
def test_every_kind_is_moved_by_the_scores_that_training_balanced(model, tmp_path):
    options = ("--epochs", 2, "--schedule", "constant")
    command("train", "digits-3-8", "--model", model, *options, "--out", tmp_path / "run", "--quiet")
    run = RunFolder(tmp_path / "run")
    balanced = run.load_model()
    command("threshold", run.path, "--max-fpr", 0.1)
    assert run.load_model().threshold != balanced.threshold
    command("threshold", run.path, "--balanced")
    assert run.load_model().digest == balanced.digest


def test_rows_audits_and_proofs_of_the_old_threshold_stay_its_own(run, tmp_path):
    norm = ("--norm", 2, "--quiet")
    command("certify", run.path, *norm, "--limit", 20, "--proof", tmp_path / "proofs")
    command("audit", run.path, *norm)
    before = run.load_model()
    command("threshold", run.path, "--max-fpr", 0.1)
    page = CliRunner().invoke(app, ["report", str(run.path)])
    assert "holds no certificates" in str(page.exception)
    assert "no closed-form certificates" in str(CliRunner().invoke(app, ["surface", str(run.path)]).exception)
    (row,) = command("certify", run.path, *norm)
    assert row["model_digest"] == run.load_model().digest != before.digest
    assert set(run.read("audit")["model_digest"]) == {before.digest}
    command("report", run.path)
    text = (run.path / "report" / "index.html").read_text()
    assert row["model_digest"] in text
    assert before.digest not in text
    assert "inside certified radii" not in text  # the audit was of the other model
    proof = next(path for path in (tmp_path / "proofs").rglob("*") if path.is_file())
    checked = [sys.executable, "-m", "asymcert.proofs.checker", str(run.model_path), str(proof)]
    assert "for another model" in subprocess.run(checked, capture_output=True, text=True, check=False).stdout
    command("threshold", run.path, "--balanced")
    (again,) = command("certify", run.path, *norm)
    rows = run.read("certificates").filter(pl.col("model_digest") == before.digest)
    assert again["model_digest"] == before.digest
    assert rows["index"].is_unique().all()  # rows of the first time count again


def test_mistakes_are_named(run, tmp_path):
    for arguments, message in (
        ((), "`--max-fpr` must be given, or else --balanced, got neither"),
        (("--max-fpr", "0.1", "--balanced"), "got both"),
        (("--max-fpr", "1.5"), "`--max-fpr` must be a number in [0, 1], got 1.5"),
        (("--max-fpr", "0.001"), "one false alarm among these"),
        (("--max-fpr", "0"), "one false alarm among these"),
    ):
        assert message in str(CliRunner().invoke(app, ["threshold", str(run.path), *arguments]).exception)
    out = tmp_path / "other"
    done = CliRunner().invoke(app, [*map(str, ("train", *TRAINED, "--out", out, "--max-fpr", 0.001))])
    assert "one false alarm among these" in str(done.exception)
    assert not out.exists()
    assert "not a run folder" in str(CliRunner().invoke(app, ["threshold", str(out), "--balanced"]).exception)
