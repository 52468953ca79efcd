"""`asymcert study`: small runs of every study, their files and figures."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from asymcert.cli.app import app
from asymcert.errors import InputError
from asymcert.models.base import BinaryClassifier
from asymcert.models.convex_concave import ConvexConcaveClassifier

PAGE = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")


def study(*arguments):
    done = CliRunner().invoke(app, ["study", *map(str, arguments)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_pairs(tmp_path):
    options = (
        "pairs",
        "digits",
        "--class",
        3,
        "--class",
        8,
        "--epochs",
        3,
        "--points",
        4,
        "--out",
        tmp_path,
        "--quiet",
    )
    found = json.loads(study(*options, "--json"))
    assert {(row["norm"], row["pairs"]) for row in found} == {("l1", 2), ("l2", 2), ("linf", 2)}
    rows = pl.read_parquet(tmp_path / "pairs.parquet")
    assert rows["sensitive"].to_list() == [3, 8]
    assert pl.read_parquet(tmp_path / "correlations.parquet").rows(named=True) == found
    assert (tmp_path / "pairs.png").read_bytes().startswith(b"\x89PNG")
    assert "hull_l2" in study(*options)


def test_ablation(tmp_path):
    options = ("ablation", "augmentation", "digits-3-8", "--epochs", 1, "--seeds", 1, "--out", tmp_path, "--quiet")
    found = json.loads(study(*options, "--json"))
    assert [row["variant"] for row in found][:2] == ["none", "crop 1"]
    assert pl.read_parquet(tmp_path / "rows.parquet")["variant"].to_list() == [row["variant"] for row in found]
    assert (tmp_path / "variants.png").read_bytes().startswith(b"\x89PNG")
    assert "crop 1, flip" in study(*options)


def test_cascade():
    (row,) = json.loads(study("cascade", "digits", "--each", 40, "--epochs", 6, "--json"))
    assert row["sensitive"] == "3"
    assert 0.5 < row["accuracy"] <= 1
    assert row["median_radius"] >= 0
    assert row["accuracy_least_other"] <= row["accuracy"] or row["accuracy_sensitive"] <= row["accuracy"]


def test_convex_concave(tmp_path):
    path = tmp_path / "model.safetensors"
    rows = json.loads(study("convex-concave", "digits", "--each", 30, "--epochs", 2, "--out", path, "--json"))
    assert [row["pairwise"] for row in rows] == ["closed-form", "tangent", "refined"]
    radii = [row["median_radius"] for row in rows]
    assert 0 <= radii[0] <= radii[1] * (1 + 1e-9) <= radii[2] * (1 + 2e-9)
    assert isinstance(BinaryClassifier.load(path), ConvexConcaveClassifier)


def test_the_documented_commands_and_example(monkeypatch, tmp_path):
    commands = re.findall(r"asymcert study (\S+)(.*)", PAGE)
    assert {name for name, _ in commands} == {"pairs", "ablation", "cascade", "convex-concave"}
    for name, rest in commands:
        text = study(name, "--help")
        for option in re.findall(r"--[a-z0-9-]+", rest):
            assert option in text, f"{name} {option}"
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    quick = code.replace("(200,)}", '(8,), "epochs": 1}').replace("(200, 50)}", '(8, 4), "epochs": 1}')
    assert quick.count("epochs") == 2
    monkeypatch.chdir(tmp_path)
    exec(compile(quick, "studies.md", "exec"), {})  # noqa: S102 the page is ours


def test_a_study_that_does_not_exist():
    done = CliRunner().invoke(app, ["study", "ablation", "colour", "digits-3-8"])
    assert isinstance(done.exception, InputError)
    with pytest.raises(InputError, match="feature-map"):
        raise done.exception
