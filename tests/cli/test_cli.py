import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from typer.testing import CliRunner

from asymcert.cli.app import app, main
from asymcert.evaluate import RunFolder

FAST = ["--epochs", "6", "--hidden", "8"]


def run(*arguments: object, cwd: Path, code: int = 0) -> tuple[str, str]:
    """What the command line prints and says, run in this process: to import torch anew takes several seconds."""
    out, error = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(error):
        patch.chdir(cwd)
        patch.setenv("COLUMNS", "200")
        patch.setattr(sys, "argv", ["asymcert", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == code, out.getvalue() + error.getvalue()
    return out.getvalue(), error.getvalue()


def run_afresh(*arguments: object, cwd: Path, code: int = 0) -> tuple[str, str]:
    """The same as a user does it, in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "asymcert", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def help_of(command: str) -> str:
    return CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def demo(place) -> Path:
    """The demo's run folder, made once."""
    run_afresh("demo", "--out", "demo", "--quiet", cwd=place)
    return place / "demo"


@pytest.fixture(scope="module")
def table(place) -> Path:
    """A table with a text column, a mixed scale, and a label that two columns tell."""
    rows = [("size", "kind", "rate", "class")]
    draw = random.Random(0)
    for _ in range(200):
        bad = draw.random() < 0.5
        rows.append(
            (
                round(draw.gauss(500 if bad else 300, 60), 1),
                draw.choice("abc"),
                draw.random() + bad,
                "malware" if bad else "clean",
            )
        )
    path = place / "files.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_demo_writes_page_and_pictures_and_reaches_95_percent(demo, place):
    rows = json.loads(run("evaluate", "demo", "--json", "--quiet", cwd=place)[0])
    assert [row["norm"] for row in rows] == [1.0, 2.0, "inf"]
    for row in rows:
        assert row["accuracy_sensitive"] >= 0.95
        assert row["accuracy_other"] >= 0.95
        assert row["median_radius"] > 0
    assert (demo / "report" / "index.html").stat().st_size > 100_000
    assert {path.name for path in (demo / "report").glob("*.png")} >= {
        "certified_accuracy.png",
        "surface.png",
        "radii.png",
    }


def test_table_from_train_to_report(table, place):
    run("train", table, "--label", "class", "--sensitive", "malware", "--out", "table", *FAST, cwd=place)
    certified = json.loads(run("certify", "table", "--norm", "1.5", "--json", cwd=place)[0])
    assert [row["threat"] for row in certified] == ["l1.5 box[0,1]"]
    audited = json.loads(run("audit", "table", "--norm", "2", "--json", cwd=place)[0])
    assert audited["attacked"] > 0
    assert audited["successes"] == 0
    run("certify", "table", "--norm", "2", "--method", "closed-form", cwd=place)
    grid = json.loads(run("surface", "table", "--json", cwd=place)[0])
    assert 0 <= grid[0]["other_accuracy"] <= 1
    assert Path(place / json.loads(run("report", "table", "--json", cwd=place)[0])["page"]).exists()


def test_broken_certificate_is_a_red_line_and_exit_code_1(demo, place):
    """A stored radius that is too large must not survive the audit."""
    broken = place / "broken"
    source = RunFolder(demo)
    folder = RunFolder(broken)
    folder.create(source.facts())
    folder.save_model(source.load_model())
    rows = source.read("certificates")
    folder.append("certificates", rows.with_columns(radius=pl.col("radius") * 3))
    options = ("--norm", "2", "--json", "--quiet", "--junit", "out/a.xml")
    out, error = run("audit", "broken", *options, cwd=place, code=1)
    suites = ElementTree.parse(place / "out" / "a.xml").getroot()
    assert int(suites.get("failures") or 0) == len(suites.findall(".//failure")) > 0
    assert json.loads(out)["successes"] > 0
    first, *each = error.splitlines()
    assert "attacks broke a certificate:" in first
    assert all("test sample" in line and "l2 box[0,1], closed-form, radius" in line for line in each)
    assert each


def test_killed_training_continues(place):
    """SIGKILL in the middle, then the same command finishes the run with one record an epoch."""
    arguments = ["train", "digits-3-8", "--out", "killed", "--epochs", "3000", "--quiet"]
    command = [sys.executable, "-m", "asymcert", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    log = place / "killed" / "train_log.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) > 3):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (place / "killed" / "model.safetensors").exists()
    _, error = run(*arguments[:4], "--epochs", "4", "--quiet", cwd=place, code=2)
    assert "another config (epochs 3000, not 4)" in error


def test_evaluation_is_not_done_twice(demo, place):
    parts = sorted((demo / "certificates").iterdir())
    run("certify", "demo", "--norm", "1", cwd=place)
    assert sorted((demo / "certificates").iterdir()) == parts


def test_every_command_has_help_with_an_example():
    for command in ("demo", "train", "certify", "evaluate", "audit", "surface", "report", "datasets"):
        assert "Example" in help_of(command), command


def test_config_fields_are_options():
    text = help_of("train")
    for option in ("--learning-rate", "--target-l2", "--batch-norm", "--no-batch-norm", "--first-kernel"):
        assert option in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "mnits-3-8", "--out", "x"], "`name` must be a data set"),
        (["train", "absent.csv", "--out", "x", "--label", "y", "--sensitive", "1"], "absent.csv"),
        (["train", "files.csv", "--out", "x", "--sensitive", "malware"], "`--label` must be given"),
        (["train", "files.csv", "--out", "x", "--label", "class"], "`--sensitive` must be given"),
        (["train", "files.csv", "--out", "x", "--label", "klass", "--sensitive", "malware"], "klass"),
        (["train", "files.csv", "--out", "x", "--label", "class", "--sensitive", "spam"], "malware"),
        (["train", "digits-3-8", "--out", "x", "--label", "y"], "`--label` must be left out"),
        (["train", "digits-3-8", "--out", "x", "--recipe", "old"], "`recipe` must be one of"),
        (["train", "digits-3-8", "--out", "x", "--loss", "hinge"], "`loss` must be one of"),
        (["train", "digits-3-8", "--out", "x", "--hidden", "8;8"], "`hidden` must be integers"),
        (["train", "digits-3-8", "--out", "demo"], "already holds a trained model"),
        (["train", "digits-3-8", "--out", "x", "--device", "tpu9"], "`device` must be"),
        (["certify", "nowhere"], "not a run folder"),
        (["certify", "demo", "--norm", "0.5"], "`norm` must be"),
        (["certify", "demo", "--method", "magic"], "`method` must be one of"),
        (["certify", "demo", "--split", "all"], "`split` must be one of"),
        (
            ["surface", "demo", "--norm", "3"],
            "Run `asymcert certify demo --norm 3 --method closed-form --split test` first",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_exit_code_2(demo, table, place, arguments, said):
    _, error = run(*arguments, cwd=place, code=2)
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_tampered_model_is_refused(demo, place):
    folder = place / "tampered"
    run_folder = RunFolder(folder)
    run_folder.create(RunFolder(demo).facts())
    content = bytearray((demo / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    _, error = run("certify", "tampered", cwd=place, code=2)
    assert "digest does not match" in error
