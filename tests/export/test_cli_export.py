"""`asymcert export`: what it writes is what the library makes, and mistakes are named."""

import importlib
import json
import math
import os
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from asymcert import datasets
from asymcert.certify import certify
from asymcert.cli.app import app
from asymcert.errors import DependencyError
from asymcert.evaluate import RunFolder
from asymcert.threats.model import ThreatModel
from export.exported import run

FAST = ["--quiet", "--epochs", "4", "--validate-every", "4"]
SIZES = {"feature-convex": ["--hidden", "8"], "linf-net": ["--width", "16", "--depth", "2"]}


def command(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module", params=SIZES)
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "run"
    done = command("train", "digits-3-8", "--model", request.param, "--out", folder, *FAST, *SIZES[request.param])
    assert done.exit_code == 0, done.output
    return request.param, folder


def test_everything_at_once(trained, tmp_path):
    name, folder = trained
    files = tmp_path / "plain.onnx", tmp_path / "certified.onnx"
    options = ["--onnx", files[0], "--onnx-certified", files[1], "--vnnlib", tmp_path / "box", "--radius", "0.02"]
    done = command("export", folder, *options, "--limit", "10", "--json")
    assert done.exit_code == 0, done.output
    model, x = RunFolder(folder).load_model(), datasets.load("digits-3-8").test.x
    norm = {"feature-convex": 2.0, "linf-net": math.inf}[name]
    known = certify(model, x, ThreatModel(norm, lower=0, upper=1), {"linf-net": "lipschitz"}.get(name))
    plain, certified = (run(onnx.load(path), x.double()) for path in files)
    assert (plain["sensitive"] == model.predict(x).numpy()).all()
    assert (certified["radius"] <= known.radius.numpy()).all()
    np.testing.assert_allclose(certified["radius"], known.radius.numpy(), rtol=1e-6, atol=0)
    told = json.loads(done.stdout)
    assert told["properties"] == int(model.predict(x[:10]).sum()) == len(list((tmp_path / "box").glob("*.vnnlib")))
    assert told["threat"] == ThreatModel(norm, lower=0, upper=1).describe()


def test_single_precision_and_another_norm(trained, tmp_path):
    _, folder = trained
    path = tmp_path / "model.onnx"
    assert command("export", folder, "--onnx", path, "--float32").exit_code == 0
    assert onnx.load(path).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert command("export", folder, "--onnx-certified", path, "--norm", "1", "--no-box").exit_code == 0
    said = {item.key: item.value for item in onnx.load(path).metadata_props}
    assert json.loads(said["threat"]) == ThreatModel(1).to_dict()


def test_threat_file(trained, tmp_path):
    _, folder = trained
    (tmp_path / "threat.toml").write_text('norm = "inf"\nlower = -1.0\nupper = 2.0\n')
    done = command("export", folder, "--onnx-certified", tmp_path / "a.onnx", "--threat", tmp_path / "threat.toml")
    assert done.exit_code == 0, done.output
    said = {item.key: item.value for item in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert json.loads(said["threat"])["lower"] == -1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "`--onnx, --onnx-certified or --vnnlib` must be given"),
        (["--vnnlib", "box"], "`--radius` must be given"),
        (["--vnnlib", "box", "--radius", "0.1", "--norm", "2"], "an l_inf threat model"),
    ],
)
def test_mistakes_are_named(trained, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("export", trained[1], *options)
    assert done.exit_code != 0
    assert message in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--onnx", "--onnx-certified"])
def test_only_plain_files_are_written(trained, option, tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for path, said in (
        (pipe, "must be a plain file or a new name"),
        (link, "must be a plain file or a new name"),
        (tmp_path, "must be a file, got the folder"),
        (RunFolder(trained[1]).model_path, "must be none of the run's own files"),
    ):
        done = command("export", trained[1], option, path)
        assert f"`{option}` {said}" in str(done.exception)
    assert pipe.is_fifo()
    assert link.is_char_device()
    assert RunFolder(trained[1]).load_model()


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "asymcert.export")
    with pytest.raises(DependencyError, match=r"asymcert\[export\]"):
        importlib.import_module("asymcert.export")


def test_documented_commands_exist():
    """Every line of the page names real options."""
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    lines = re.findall(r"^asymcert export (.*)$", page, re.M)
    text = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "200"}).output
    options = {option for line in lines for option in re.findall(r"--[a-z0-9-]+", line)}
    assert len(lines) == 5
    assert all(option in text for option in options)


def test_what_becomes_of_dates_before_the_graph_is_said(tmp_path):
    rows = [f"2026-03-{1 + day % 28:02} {day % 24:02}:30,{day * day},{'uv'[day % 2]}" for day in range(200)]
    (tmp_path / "t.csv").write_text("\n".join(["when,size,y", *rows]))
    common = ["--label", "y", "--sensitive", "u", "--epochs", "1", "--quiet"]
    assert command("train", tmp_path / "t.csv", "--out", tmp_path / "run", *common).exit_code == 0
    said = "date: the graph takes 'when' as 'when: hour' (5.25 is 05:15), 'when: weekday' (1 is Monday)"
    for flags, told in (([], True), (["--scaled"], False)):
        done = command("export", tmp_path / "run", "--onnx", tmp_path / "m.onnx", *flags)
        assert done.exit_code == 0, done.output
        assert (said in done.stderr) == told
