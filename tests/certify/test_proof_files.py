"""Proofs as files: what the command line says of honest, changed and broken ones; numpy is all it needs."""

import hashlib
import inspect
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from asymcert.proofs.checker import floored, main, read_container
from asymcert.proofs.writer import write_proof
from asymcert.threats.model import ThreatModel
from contracts.models import random_mlp

CHECKER = Path(inspect.getfile(main))
BLOCKED = ("torch", "safetensors", "scipy", "polars", "sklearn", "asymcert")


@pytest.fixture
def folder(tmp_path):
    """A model, and one honest proof of it in l2."""
    classifier, x = random_mlp(0)
    row = x[classifier.margin(x).argmax()]
    classifier.save(tmp_path / "model")
    write_proof(tmp_path / "good.proof", classifier, row, ThreatModel(2, lower=0, upper=1), row[None], torch.ones(1))
    return tmp_path


def metadata_of(path):
    return read_container(path, "asymcert-proof")[0]


def test_exit_codes_and_lines(folder, capsys):
    model, good, far = (str(folder / name) for name in ("model", "good.proof", "far.proof"))
    radius = float.fromhex(metadata_of(good)["radius"])
    data = Path(good).read_bytes()
    Path(far).write_bytes(data.replace(radius.hex().encode(), math.nextafter(radius, 9.0).hex().encode()))
    Path(folder / "short").write_bytes(data[:-1])
    assert main([model, good]) == 0
    assert capsys.readouterr().out == f"{good}: l2 radius {floored(radius)} ({radius.hex()}) CONFIRMED\n"
    assert main([model, good, far, good]) == 1
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["l2", "REFUSED:", "l2"]
    for unreadable in (str(folder / "short"), str(folder / "missing"), model):
        assert main([model, unreadable, good]) == 2
        assert ": UNREADABLE: " in capsys.readouterr().out
    assert main([good, good]) == 2
    with pytest.raises(SystemExit) as stopped:
        main([model])
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("radius", "text"),
    [
        (0.1, "0.100000000000"),
        (0.3, "0.299999999999"),
        (2.0, "2.000000000000"),
        (1e-13, "0.000000000000"),
        (math.inf, "inf"),
    ],
)
def test_printed_radii_are_rounded_down(radius, text):
    assert floored(radius) == text


def test_changed_bytes_and_lengths_are_refused(folder, capsys):
    """Every byte of header and input, and every third length; only a weaker claim that is as true may pass."""
    data = bytearray((folder / "good.proof").read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    begin, end = json.loads(bytes(data[8:start]))["x"]["data_offsets"]
    files = [data[:size] for size in range(0, len(data), 3)] + [data + b"\0"]
    for place in [*range(start), *range(start + begin, start + end)]:
        files.append(bytearray(data))
        files[-1][place] ^= 1 << place % 8
    paths = [folder / f"{number}.proof" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    assert len(paths) > 1000
    assert main([str(folder / "model"), *map(str, paths)]) == 2
    lines = capsys.readouterr().out.splitlines()
    honest, passed = metadata_of(folder / "good.proof"), 0
    for path, line in zip(paths, lines, strict=True):
        if line.endswith("CONFIRMED"):
            claim, passed = metadata_of(path), passed + 1
            assert {**claim, "radius": "", "norm": ""} == {**honest, "radius": "", "norm": ""}
            assert float.fromhex(claim["norm"]) <= 2
            assert float.fromhex(claim["radius"]) <= float.fromhex(honest["radius"])
        else:
            assert ": REFUSED: " in line or ": UNREADABLE: " in line
    assert passed < 10


def test_a_changed_byte_of_the_model_file_is_refused(folder, capsys):
    data, path = bytearray((folder / "model").read_bytes()), folder / "changed"
    for place in range(0, len(data), max(1, len(data) // 200)):
        data[place] ^= 1
        path.write_bytes(data)
        data[place] ^= 1
        assert main([str(path), str(folder / "good.proof")]) in (1, 2)
        assert "CONFIRMED" not in capsys.readouterr().out


def test_the_model_s_digest_is_that_of_the_package(folder):
    classifier, _ = random_mlp(0)
    assert metadata_of(folder / "good.proof")["model"] == classifier.digest
    x = read_container(folder / "good.proof", "asymcert-proof")[1]["x"]
    assert metadata_of(folder / "good.proof")["input"] == hashlib.sha256(x.tobytes()).hexdigest()


def test_as_a_module(folder):
    done = run("-m", "asymcert.proofs.checker", folder / "model", folder / "good.proof")
    assert done.stdout.endswith("CONFIRMED\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_as_a_script_with_numpy_alone(folder, tmp_path):
    """With every other package's import blocked, and from another folder."""
    blocker = tmp_path / "blocker"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text(
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {BLOCKED}:\n"
        "            raise ImportError(f'{name} is blocked')\n"
        "sys.meta_path.insert(0, Block())\n",
        encoding="utf-8",
    )
    environment = {"PYTHONPATH": str(blocker)}
    blocked = run("-c", "import torch", **environment)
    assert "torch is blocked" in blocked.stderr
    done = run(CHECKER, folder / "model", folder / "good.proof", **environment)
    assert done.stdout.endswith("CONFIRMED\n"), done.stderr
    assert (done.returncode, done.stderr) == (0, "")
    assert run(CHECKER, folder / "model", folder / "model", **environment).returncode == 2


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, **environment},
        cwd=Path(sys.executable).parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
