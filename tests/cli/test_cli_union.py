"""`asymcert union`: runs become one detector, whose radii are the greatest of theirs."""

import json

import pytest

from asymcert.models import UnionClassifier
from asymcert.runs.run import Run
from contracts.commands import command, refusal


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    command("train", "digits-3-8", "--out", folder / "a", "--epochs", 5, "--quiet")
    command("train", "digits-3-8", "--out", folder / "b", "--model", "linf-net", "--epochs", 4, "--quiet")
    command("train", "digits-3-8", "--out", folder / "c", "--seed", 1, "--epochs", 1, "--quiet")
    return folder


def test_a_union_is_a_run_like_others(runs, tmp_path):
    out = tmp_path / "both"
    told = json.loads(command("union", runs / "a", runs / "b", "--out", out, "--json"))
    run = Run(out)
    assert isinstance(run.model, UnionClassifier)
    assert told["model_digest"] == run.digest
    a, b = (Run(runs / name).model for name in "ab")
    assert [m.digest for m in (a, b)] == run.facts.config["members"]
    rows = json.loads(command("evaluate", out, "--json", "--quiet"))
    assert [row["method"] for row in rows] == ["union"] * 3
    command("audit", out, "--quiet")
    command("threshold", out, "--balanced")
    command("certify", out, "--norm", "2", "--quiet")
    alarms = run.model.margin(run.data.val.x[~run.data.val.y]) > 0
    shares = [(m.margin(run.data.val.x[~run.data.val.y]) > 0).double().mean() for m in run.model.members]
    assert alarms.double().mean() <= sum(shares)
    assert float(shares[0]) == pytest.approx(float(shares[1]))


def test_false_alarms_of_the_union_stay_within_the_budget(runs, tmp_path):
    command("union", runs / "a", runs / "b", "--out", tmp_path / "strict", "--max-fpr", 0.05)
    run = Run(tmp_path / "strict")
    harmless = run.data.val.x[~run.data.val.y]
    assert run.model.predict(harmless).double().mean() <= 0.05
    assert run.model.predict(run.data.val.x[run.data.val.y]).double().mean() > 0.5


def test_runs_that_do_not_fit_are_refused(runs, tmp_path):
    assert "at least two" in refusal("union", runs / "a", "--out", tmp_path / "x")
    assert "trained on other data" in refusal("union", runs / "a", runs / "c", "--out", tmp_path / "x")
    assert "already holds a run" in refusal("union", runs / "a", runs / "b", "--out", runs / "a")
    assert not (tmp_path / "x").exists()
