"""`asymcert lake` as a user calls it."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from asymcert.cli import app
from contracts.lake_runs import wait_for
from contracts.lakes import make_lake, outputs, rows
from contracts.pages import run_command

PAGE = (Path(__file__).parents[2] / "docs" / "lake.md").read_text(encoding="utf-8")
LIMIT = 30_000  # bytes of a file in a nearly full place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a lake that has a damaged file, and a run trained on a table of the same columns."""
    folder = tmp_path_factory.mktemp("cli-lake")
    make_lake(folder / "logs", (30, 40, 5000), damaged=1)
    table = rows(200).drop("id").drop_nulls()
    table.with_columns(label=pl.when(pl.col("b") > 0.5).then(pl.lit("bad")).otherwise(pl.lit("good"))).write_csv(
        folder / "train.csv"
    )
    arguments = ["train", folder / "train.csv", "--label", "label", "--sensitive", "bad", "--out", folder / "run"]
    run_command([*map(str, arguments), "--epochs", "1", "--quiet"], 0, "train")
    return folder


def afresh(*arguments, **options):
    command = [sys.executable, "-m", "asymcert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, **options)


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command line: its exit code, what it printed and what it said."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["asymcert", "lake", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            app.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


def certify(place, dest, *options):
    return ["certify", place / "run", place / "logs", "--out", dest, "--norm", "1", "--workers", "0", *options]


def test_from_a_folder_to_radii(place, tmp_path, call):
    code, out, _ = call(*certify(place, tmp_path / "radii", "--keep", "id", "--quiet"))
    assert code == 1
    assert "damaged-0.parquet" in out
    assert "5070" in out
    table = pl.read_parquet(tmp_path / "radii" / "rows" / "**" / "*.parquet")
    assert len(table) == 5070
    assert {"file", "row", "id", "verdict", "margin", "radius, l1 box[0,1]", "problem"} == set(table.columns)

    code, out, _ = call("status", tmp_path / "radii")
    assert code == 0
    assert "finished" in out
    assert "damaged-0.parquet" in out
    code, out, _ = call("verify", tmp_path / "radii", "--recompute", "0.01", "--quiet", "--json")
    assert code == 0
    found = json.loads(out)
    assert found.pop("recomputed") > 0
    assert found == {"units": 3, "rows": 5070, "failed": 1, "findings": []}


def test_json(place, tmp_path, call):
    _, out, _ = call(*certify(place, tmp_path / "radii", "--quiet", "--json"))
    found = json.loads(out)
    assert (found["units"], found["done"], found["failed"], found["rows"]) == (4, 3, 1, 5070)
    assert [failure["path"] for failure in found["failures"]] == ["damaged-0.parquet"]
    _, out, _ = call("status", tmp_path / "radii", "--json")
    assert json.loads(out)["rows"] == 5070
    assert [failure["path"] for failure in json.loads(out)["failures"]] == ["damaged-0.parquet"]


def test_verify_tells_what_is_wrong(place, tmp_path, call):
    call(*certify(place, tmp_path / "radii", "--quiet"))
    next((tmp_path / "radii" / "rows").rglob("*.parquet")).write_bytes(b"")
    code, out, _ = call("verify", tmp_path / "radii", "--quiet")
    assert code == 1
    assert "has 0 bytes instead of" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["status", "nowhere"], "holds no lake run"),
        (["verify", "nowhere"], "holds no lake run"),
        (["certify", "RUN", "nowhere", "--out", "x"], "`source` must be a folder, a file or a glob"),
        (["certify", "RUN", "LOGS", "--out", "LOGS/x"], "`out` must be apart from the source"),
        (["certify", "RUN", "LOGS", "--out", "ftp://x"], "`address` must be a path or one that begins with"),
        (["certify", "RUN", "LOGS", "--out", "x", "--engine", "spark"], "`engine` must be one of"),
        (["certify", "RUN", "LOGS", "--out", "x", "--cuts", "3"], "`cuts` must be left out for method"),
        (["certify", "nowhere", "LOGS", "--out", "x"], "not a run folder"),
        (["verify", "RUN", "--recompute", "2"], "`recompute` must be a number in [0, 1]"),
    ],
)
def test_mistakes(place, tmp_path, call, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    words = {"RUN": str(place / "run"), "LOGS": str(place / "logs"), "LOGS/x": str(place / "logs" / "x")}
    code, _, error = call(*(words.get(word, word) for word in arguments))
    (line,) = filter(str.strip, error.splitlines())
    assert code == 2
    assert told in line
    assert os.listdir(tmp_path) == []


def limited():
    """Files of at most so many bytes, as on a place that is nearly full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


def test_a_place_without_room_stops_with_one_line_and_goes_on_later(place, tmp_path, call):
    dest = tmp_path / "radii"
    command = certify(place, dest, "--quiet")
    small = [*command[:2], place / "logs" / "day=0" / "000.parquet", *command[3:]]
    assert call(*small)[0] == 0  # so that the job is there
    done = afresh("lake", *command, "--workers", "1", preexec_fn=limited)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "File too large" in done.stderr
    assert call(*command)[0] == 1  # but for the damaged file
    assert sum(pl.read_parquet(path).height for path in (dest / "rows").rglob("*.parquet")) == 5070 + 30


def test_ctrl_c_stops_and_the_next_run_goes_on(place, tmp_path, call):
    command = [sys.executable, "-m", "asymcert", "lake", *certify(place, tmp_path / "radii", "--quiet")]
    command[command.index("--workers") + 1] = "1"
    driver = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: outputs(tmp_path / "radii"))
    driver.send_signal(signal.SIGINT)
    assert "Traceback" not in driver.communicate(timeout=60)[1]
    assert call(*certify(place, tmp_path / "radii", "--quiet"))[0] == 1
    assert sum(pl.read_parquet(path).height for path in (tmp_path / "radii" / "rows").rglob("*.parquet")) == 5070


def test_the_documented_commands_and_example(place, tmp_path, monkeypatch, capsys):
    commands = re.findall(r"asymcert lake (\S+) (.*)", PAGE)
    assert {name for name, _ in commands if name.isalpha()} == {"certify", "status", "verify"}
    for name, rest in commands:
        text = CliRunner().invoke(app.app, ["lake", name, "--help"], env={"COLUMNS": "200"}).output
        assert all(option in text for option in re.findall(r"--[a-z-]+", rest)), name
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a").symlink_to(place / "run")
    (tmp_path / "logs").symlink_to(place / "logs")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "lake.md", "exec"), {})  # noqa: S102 the page is ours
    assert capsys.readouterr().out.splitlines() == ["3 ['damaged-0.parquet']", "5070 []"]
