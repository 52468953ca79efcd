"""The example that serves a certified graph answers as the package does, and needs neither it nor PyTorch."""

import json
import re
import subprocess
import sys
from pathlib import Path

from asymcert.certify import certify
from asymcert.export.certified_graph import to_certified_onnx
from asymcert.export.onnx_graph import save_onnx
from asymcert.threats.model import ThreatModel
from export.exported import feature_convex

EXAMPLE = Path(__file__).parents[2] / "examples" / "serve_onnx.py"


def test_example_serves(tmp_path):
    model, x = feature_convex("centre-absolute", "mlp")
    path = save_onnx(to_certified_onnx(model, ThreatModel(2)), tmp_path / "model.onnx")
    lines = "".join(f"{json.dumps(row.flatten().tolist())}\n" for row in x)
    command = [sys.executable, str(EXAMPLE), str(path)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    facts, *answers = map(json.loads, done.stdout.splitlines())
    assert facts["digest"] == model.digest
    known = certify(model, x, ThreatModel(2), method="closed-form")
    names = [model.sensitive if sensitive else model.other for sensitive in known.sensitive]
    assert [answer["verdict"] for answer in answers] == names
    for answer, radius in zip(answers, known.radius.tolist(), strict=True):
        assert radius * (1 - 1e-6) <= answer["radius"] <= radius


def test_what_is_no_sample_gets_an_error_and_the_server_goes_on(tmp_path):
    model, x = feature_convex("centre-absolute", "mlp")
    path = save_onnx(to_certified_onnx(model, ThreatModel(2)), tmp_path / "model.onnx")
    sample = x[0].flatten().tolist()
    lines = ["free cash!", "[1, 2]", json.dumps([float("nan"), *sample[1:]]), '{"x": 1}', json.dumps(sample)]
    command = [sys.executable, str(EXAMPLE), str(path)]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=60, check=True)
    _, *answers = map(json.loads, done.stdout.splitlines())
    assert [set(answer) for answer in answers] == [{"error"}] * 4 + [{"verdict", "margin", "radius"}]


def test_without_a_model_it_says_how_it_is_run():
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Serve verdicts and certified radii")
    assert "Traceback" not in done.stderr


def test_example_needs_numpy_and_onnxruntime_only():
    imports = re.findall(r"^(?:import|from) (\w+)", EXAMPLE.read_text(encoding="utf-8"), re.M)
    assert set(imports) == {"__future__", "json", "sys", "numpy", "onnxruntime"}
