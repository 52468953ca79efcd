"""`asymcert evaluate` judges a detector: the keys of its JSON, and what it prints."""

import json
import random
import re

import pytest
from typer.testing import CliRunner

from asymcert.cli.app import app
from asymcert.evaluate import RunFolder
from contracts.pages import ROOT


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    """A table of 1200 rows, a quarter of them bad, which two columns half tell."""
    draw, folder = random.Random(0), tmp_path_factory.mktemp("detector")
    rows = ["size,rate,class"]
    for number in range(1200):
        bad = number % 4 == 0
        rows.append(f"{draw.gauss(600 if bad else 300, 90):.2f},{draw.random() + bad:.4f},{'bad' if bad else 'good'}")
    (folder / "files.csv").write_text("\n".join(rows))
    given = ("--label", "class", "--sensitive", "bad", "--epochs", "6", "--hidden", "8", "--quiet")
    given += ("--preset", "image")  # without ramps: finite radii in every norm
    done = CliRunner().invoke(app, ["train", str(folder / "files.csv"), *given, "--out", str(folder / "run")])
    assert done.exit_code == 0, done.output
    return RunFolder(folder / "run")


def evaluated(run, *options):
    done = CliRunner().invoke(app, ["evaluate", str(run.path), "--quiet", *options], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("method", ["closed-form", "tangent"])
def test_json_holds_every_figure_clean_and_certified(run, method):
    rows = json.loads(evaluated(run, "--json", "--method", method))
    assert len(rows) == (4 if method == "tangent" else 3)  # the closed form counts no columns
    for row in rows:
        assert row["method"] == method
        figures = row["detection"]
        assert set(figures) >= {"roc_auc", "average_precision", "precision", "recall", "f1", "brier", "accuracy"}
        assert figures["roc_auc"]["lower"] <= figures["roc_auc"]["value"] <= figures["roc_auc"]["upper"]
        assert figures["recall"]["value"] == row["accuracy_sensitive"]
        assert sum(row["confusion"].values()) == row["n_sensitive"] + row["n_other"]
        assert sum(part["count"] for part in row["calibration"]) == row["n_sensitive"] + row["n_other"]
        assert figures["tpr_at_fpr_0.001"]["value"] is None
        (point,) = row["at_max_fpr"]
        assert point["max_fpr"] == 0.01 >= point["false_positive_rate"]
        assert point["caught"][0]["value"] == figures["tpr_at_fpr_0.01"]["value"] > 0
        shares = [each["value"] for each in point["caught"]]
        assert sorted(shares, reverse=True) == shares
        assert [each["size"] for each in row["certified"]] == (
            [each["size"] for each in point["caught"]] if method == "closed-form" else []
        )
        areas = [each["roc_auc"]["value"] for each in row["certified"]]
        assert sorted(areas, reverse=True) == areas


def test_json_names_its_form_and_every_key_is_documented(run):
    """Keys are neither undocumented nor documented in vain, and of the types that they are said to be."""
    page = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8").split("### evaluate --json")[1]
    documented = {key for line in re.findall(r"^\| (`.*?`) \|", page, re.M) for key in re.findall(r"`(\w+)`", line)}
    for row in json.loads(evaluated(run, "--json")):
        assert (row["schema"], row["version"]) == ("asymcert.evaluate", 1)
        assert set(row) == documented
        assert {"value", "lower", "upper"} == set(row["detection"]["roc_auc"])
        assert {"max_fpr", "threshold", "false_positive_rate", "caught"} == set(row["at_max_fpr"][0])


def test_what_is_printed_is_rounded_outward(run):
    text = evaluated(run)
    assert "As a detector (95 % intervals)" in text
    assert "caught at 1 % false alarms" in text
    row = json.loads(evaluated(run, "--json"))[0]
    assert f"caught {row['confusion']['caught']}, missed {row['confusion']['missed']}" in text


def test_certificates_at_rates_are_kept_apart_and_made_once(run):
    evaluated(run)
    before = len(run.read("certificates"))
    evaluated(run)
    assert len(run.read("certificates")) == before
    done = CliRunner().invoke(app, ["report", str(run.path)])
    assert done.exit_code == 0, done.output
    page = (run.path / "report" / "index.html").read_text()
    assert run.load_model().digest in page
    done = CliRunner().invoke(app, ["audit", str(run.path), "--norm", "2", "--quiet", "--json"])
    assert json.loads(done.stdout)["successes"] == 0
    assert set(run.read("audit")["model_digest"]) == {run.load_model().digest}


def test_a_split_too_small_for_a_rate_has_no_figures_there(tmp_path):
    given = ("--epochs", "2", "--hidden", "8", "--quiet")
    CliRunner().invoke(app, ["train", "digits-3-8", "--out", str(tmp_path / "run"), *given])
    rows = json.loads(evaluated(RunFolder(tmp_path / "run"), "--json"))
    assert all(row["at_max_fpr"] == [] for row in rows)
    assert all(row["detection"]["tpr_at_fpr_0.01"]["value"] is None for row in rows)
