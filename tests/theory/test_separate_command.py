"""`asymcert separate`."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from asymcert.cli.app import app
from asymcert.errors import InputError
from asymcert.theory.separability import SCHEMA, limits

FAST = ["separate", "digits-3-8", "--limit", "4", "--quiet"]


def test_summary_as_json(tmp_path):
    rows = tmp_path / "rows.parquet"
    done = CliRunner().invoke(
        app, [*FAST, "--norm", "2", "--norm", "1", "--gap", "0.5", "--iterations", "200", "--out", str(rows), "--json"]
    )
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert {(row["split"], row["class"], row["norm"]) for row in summary} == {
        (split, name, norm) for split in ("train", "test") for name in "38" for norm in (1.0, 2.0)
    }
    assert all(0 < row["lower"] <= row["upper"] <= row["lower"] + 0.5 for row in summary)
    assert len(pl.read_parquet(rows)) == 4 * len(summary)


def test_the_report_draws_the_limit(tmp_path):
    rows, run = tmp_path / "rows.parquet", tmp_path / "run"
    options = ["--norm", "2", "--gap", "0.5", "--iterations", "100", "--out", str(rows)]
    assert CliRunner().invoke(app, [*FAST, *options]).exit_code == 0
    train = ["train", "digits-3-8", "--out", str(run), "--epochs", "2", "--hidden", "4", "--quiet"]
    for command in (train, ["certify", str(run), "--norm", "2", "--quiet"]):
        assert CliRunner().invoke(app, command).exit_code == 0
    done = CliRunner().invoke(app, ["report", str(run), "--hulls", str(rows)])
    assert done.exit_code == 0, done.output
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert "limit of convexity, 4 test points" in page
    assert "limit of convexity, 4 train points" in page
    (tmp_path / "no.parquet").write_text("no")
    other = ["separate", "digits-3-5", *FAST[2:], *options]
    assert CliRunner().invoke(app, other).exit_code == 0
    for file in (tmp_path / "no.parquet", rows):
        refused = CliRunner().invoke(app, ["report", str(run), "--hulls", str(file)])
        assert isinstance(refused.exception, InputError)


def test_limits_are_the_share_of_points_with_a_greater_distance():
    columns = {"split": "test", "class": "3", "index": 0, "norm": 2.0, "lower": 0.0, "upper": 1.0, "gap": 1.0}
    columns["data_digest"] = "these"
    far = {**columns, "index": 1, "upper": 3.0}
    other = {**columns, "class": "8", "upper": 9.0}
    rows = pl.DataFrame([columns, far, other], schema=SCHEMA)
    frame = limits(rows, "3", "these")["limit of convexity, 2 test points"]
    assert frame.rows() == [(2.0, 0.0, 1.0), (2.0, 1.0, 1.0), (2.0, 3.0, 0.5)]
    with pytest.raises(InputError, match="of class '5'"):
        limits(rows, "5", "these")
    with pytest.raises(InputError, match="those of `separate`"):
        limits(rows.drop("gap"), "3", "these")
    with pytest.raises(InputError, match=r"of the run's data, got rows of other data.*with its seed"):
        limits(rows, "3", "others")


def test_table_of_one_direction():
    done = CliRunner().invoke(app, [*FAST, "--split", "test", "--no-both", "--sensitive", "8"], env={"COLUMNS": "150"})
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stdout.splitlines() if "│ test" in line]
    assert len(lines) == 1
    assert " 8 " in lines[0]
    assert "so far" in lines[0]  # four points do not speak for all


def test_all_points_of_a_class_are_proven_separable():
    options = ["separate", "digits-3-8", "--quiet", "--split", "test", "--no-both", "--limit", "1000", "--gap", "0.5"]
    (row,) = json.loads(CliRunner().invoke(app, [*options, "--json"]).stdout)
    assert row["separable"] is True
    assert row["points"] == row["outside"] < 1000
    (few,) = json.loads(CliRunner().invoke(app, [*FAST, "--split", "test", "--no-both", "--json"]).stdout)
    assert few["separable"] is None


def test_other_norms_are_refused():
    done = CliRunner().invoke(app, [*FAST, "--norm", "3"])
    assert isinstance(done.exception, InputError)
    with pytest.raises(InputError, match="among 1, 2 and inf"):
        raise done.exception
