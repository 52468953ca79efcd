"""`asymcert doctor` says what is wrong with a machine, and says so to programs too."""

import json

import pytest
import torch
from typer.testing import CliRunner

from asymcert.cli import doctor_commands as doctor
from asymcert.cli.app import app

CPU = torch.device("cpu")


def examined(code=0):
    """Checks by name, as programs get them."""
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == code, done.output
    facts = json.loads(done.stdout)
    assert (facts["schema"], facts["version"], facts["healthy"]) == ("asymcert.doctor", 1, code == 0)
    return {check["name"]: check for check in facts["checks"]}


@pytest.fixture(autouse=True)
def healthy_machine(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASYMCERT_DATA", raising=False)
    for name in doctor.FORCED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "declared", lambda: iter(()))


def test_a_healthy_machine():
    checks = examined()
    assert all(check["state"] in ("ok", "note") for check in checks.values())
    assert {"python", "asymcert", "threads", "precision cpu", "working folder", "temporary files", "data"} <= set(
        checks
    )


def test_lines_for_readers(monkeypatch, tmp_path):
    monkeypatch.setenv("ASYMCERT_DATA", str(tmp_path / "nowhere"))
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    states = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()}
    assert states["python"] == "ok"
    assert states["data"] == "wrong"
    assert "Correct or unset ASYMCERT_DATA." in done.stdout


def test_variables_that_force_coarse_products(monkeypatch):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert "NVIDIA_TF32_OVERRIDE" not in examined()
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    assert examined(1)["NVIDIA_TF32_OVERRIDE"]["state"] == "wrong"


@pytest.mark.parametrize("coarse", [torch.bfloat16, torch.float16])
def test_coarse_products_are_noticed(monkeypatch, coarse):
    assert doctor.exact_products(CPU, guarded=True)
    exact = torch.Tensor.__matmul__

    def rounded(a, b):
        return exact(a.to(coarse).to(a.dtype), b.to(coarse).to(b.dtype)) if a.dtype == torch.float32 else exact(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    assert not doctor.exact_products(CPU, guarded=True)
    assert examined(1)["precision cpu"]["state"] == "wrong"


def test_coarse_convolutions_are_noticed(monkeypatch):
    exact = torch.nn.functional.conv2d

    def rounded(x, w):  # 10 bits, as TF32 has
        return exact(x.half().to(x.dtype), w.half().to(w.dtype)) if x.dtype == torch.float32 else exact(x, w)

    monkeypatch.setattr(torch.nn.functional, "conv2d", rounded)
    assert examined(1)["precision cpu"]["state"] == "wrong"


def test_modes_that_the_package_switches_off_are_a_note(monkeypatch):
    monkeypatch.setattr(doctor, "exact_products", lambda device, guarded: guarded)
    check = examined()["precision cpu"]
    assert check["state"] == "note"
    assert "switch it off" in check["remedy"]


def test_more_threads_than_cores(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1000)
    assert examined()["threads"]["state"] == "note"


def test_libraries(monkeypatch):
    wanted = ["torch>=2.9", "numpy>=99", "scipy", 'onnx>=1; extra == "export"', 'highspy>=99; extra == "exact"']
    wanted += ["packaging>=20"]
    have = {"torch": "2.13.0+cpu", "numpy": "2.4.6", "highspy": "1.0", "packaging": "26.3"}
    monkeypatch.setattr(doctor, "declared", lambda: map(doctor.Requirement, wanted))
    monkeypatch.setattr(doctor, "installed", have.get)
    checks = examined(1)
    states = {name: check["state"] for name, check in checks.items()}
    assert (states["torch"], states["numpy"], states["scipy"]) == ("ok", "wrong", "wrong")
    assert (states["extra export"], states["highspy"]) == ("note", "note")
    assert "packaging" not in states
    assert checks["numpy"]["remedy"] == "Run pip install 'numpy>=99'."


def test_places_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.tempfile, "gettempdir", lambda: str(tmp_path / "gone"))
    checks = examined(1)
    assert checks["temporary files"]["state"] == "wrong"
    assert checks["working folder"]["state"] == "ok"


def test_data_that_are_found(monkeypatch, tmp_path):
    names = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
    names += ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    monkeypatch.setattr("asymcert.datasets.files.cache_root", lambda: tmp_path / "cache")
    monkeypatch.setenv("ASYMCERT_DATA", str(tmp_path))
    assert examined()["data"]["state"] == "note"
    (tmp_path / "mnist").mkdir()
    for name in names:
        (tmp_path / "mnist" / name).touch()
    assert examined()["data"]["found"] == "mnist"
