"""l_inf-distance nets on the command line: trained, certified, attacked and reported like any other model."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from asymcert.cli.app import app
from asymcert.evaluate import RunFolder
from asymcert.models.base import BinaryClassifier

FAST = ["--quiet", "--epochs", "12", "--width", "24", "--depth", "2", "--validate-every", "12"]


def run_command(*arguments):
    return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module", params=["linf-net", "linf-convex"])
def trained(request, tmp_path_factory):
    run = tmp_path_factory.mktemp(request.param) / "run"
    done = run_command("train", "digits-3-8", "--model", request.param, "--out", str(run), *FAST)
    assert done.exit_code == 0, done.output
    return request.param, run


def test_it_trains_the_model_that_was_named(trained):
    name, run = trained
    folder = RunFolder(run)
    kind = {"linf-net": "DistanceClassifier", "linf-convex": "FeatureConvexClassifier"}[name]
    assert type(folder.load_model()).__name__ == kind
    assert isinstance(folder.load_model(), BinaryClassifier)
    facts = folder.facts()
    assert facts.config["model"] == name
    assert (facts.config["width"], facts.config["epochs"]) == (24, 12)


def test_certify_takes_the_method_of_its_kind_audit_finds_nothing_and_the_report_shows_it(trained):
    name, run = trained
    done = run_command("certify", str(run), "--norm", "inf", "--json", "--quiet")
    assert done.exit_code == 0, done.output
    line = json.loads(done.stdout)[0]
    assert line["method"].startswith({"linf-net": "interval", "linf-convex": "enclosure"}[name])
    rows = RunFolder(run).read("certificates")
    assert rows.filter("label", pl.col("radius") > 0).height > 10
    done = run_command("audit", str(run), "--norm", "inf", "--json", "--quiet")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["successes"] == 0
    done = run_command("report", str(run))
    assert done.exit_code == 0, done.output
    assert "interval" in (run / "report" / "index.html").read_text(encoding="utf-8") or name == "linf-convex"


def test_the_surface_says_that_distance_nets_have_none(tmp_path):
    run = str(tmp_path / "run")
    run_command("train", "digits-3-8", "--out", run, "--model", "linf-net", "--epochs", "1", "--width", "4", "--quiet")
    done = run_command("surface", run, "--norm", "inf")
    assert "`run` must be of a feature-convex classifier for this command, got a Dist" in str(done.exception)


def test_a_field_of_another_model_is_refused(tmp_path):
    done = run_command("train", "digits-3-8", "--out", str(tmp_path / "a"), "--epsilon", "0.1")
    assert done.exit_code != 0
    assert "`epsilon` must be left out for model 'feature-convex'" in str(done.exception)
    done = run_command("train", "digits-3-8", "--out", str(tmp_path / "b"), "--model", "linf-net", "--hidden", "20,5")
    assert "`hidden` must be left out for model 'linf-net'" in str(done.exception)
    done = run_command("train", "digits-3-8", "--out", str(tmp_path / "c"), "--model", "linf-net", "--convex", "8")
    assert "`convex` must be left out for model 'linf-net'" in str(done.exception)


def test_several_processes_are_refused_before_they_write_one_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = run_command("train", "digits-3-8", "--out", str(tmp_path / "run"), "--model", "linf-net")
    assert "`WORLD_SIZE` must be 1 on the command line" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_convolutions_are_given_by_semicolons(tmp_path):
    options = ["--model", "linf-net", "--convolutions", "4,3,2", "--epochs", "1", "--quiet"]
    done = run_command("train", "digits-3-8", "--out", str(tmp_path / "run"), *options)
    assert done.exit_code == 0, done.output
    assert RunFolder(tmp_path / "run").load_model().contents()[1]["net"]["convolutions"] == [[4, 3, 2]]
