"""Tables of strangers at the command line: odd names, formulas, bombs and odd curves, each with its exit code."""

import gzip
import sys

import numpy as np
import polars as pl
import pytest

from asymcert.cli import app

CLASSES = ("=HYPERLINK(1)", "-benign")


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command line: its exit code, and what it said on standard error."""

    def run(*arguments: object) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["asymcert", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            app.main()
        return stopped.value.code, capsys.readouterr().err

    return run


def table(path, rows=60):
    draw = np.random.default_rng(0)
    columns = {"*": draw.random(rows), "^a$": draw.random(rows), 'a "x"': ["u", "v", "w"] * (rows // 3)}
    content = pl.DataFrame({**columns, "^y$": CLASSES * (rows // 2)}).write_csv()
    path.write_bytes(gzip.compress(content.encode()))
    return path, len(content.encode())


def test_odd_names_and_classes_go_from_table_to_radii(tmp_path, call):
    data, size = table(tmp_path / "t.csv.gz")
    train = ("train", data, "--label", "^y$", f"--sensitive={CLASSES[0]}", "--epochs", 1, "--quiet")
    code, error = call(*train, "--out", tmp_path / "run", "--max-bytes", size - 1)
    assert (code, len(error.splitlines())) == (2, 1)
    assert f"unpacks to over {size - 1} bytes" in error
    assert call(*train, "--out", tmp_path / "run", "--max-bytes", size)[0] == 0
    certify = ("certify", tmp_path / "run", "--table", data, "--out", tmp_path / "radii.csv", "--norm", 1, "--quiet")
    code, error = call(*certify, "--max-bytes", 10)
    assert (code, len(error.splitlines())) == (2, 1)
    assert call(*certify)[0] == 0
    rows = pl.read_csv(tmp_path / "radii.csv")
    assert len(rows) == 60
    assert set(rows["verdict"]) <= {f"'{name}" for name in CLASSES}
    assert rows["margin"].dtype == pl.Float64
    assert call("certify", tmp_path / "run", "--norm", 1, "--quiet")[0] == 0  # reads the table by the stored limit


def test_a_limit_without_a_table_is_refused(tmp_path, call):
    code, error = call("train", "digits-3-8", "--out", tmp_path / "run", "--max-bytes", 5)
    assert (code, len(error.splitlines())) == (2, 1)
    assert "`--max-bytes` must be left out for a named data set" in error


@pytest.mark.parametrize("content", ['{"curves": {"digits-3-8": {"l2": {}}}}', "[" * 10**5, '{"l2": {}}', "\0"])
def test_odd_published_curves_are_one_line(tmp_path, call, content):
    (tmp_path / "curves.json").write_text(content)
    path = tmp_path / "compare"
    code, error = call("compare", "digits-3-8", "--published", tmp_path / "curves.json", "--out", path, "--quiet")
    assert (code, len(error.splitlines())) == (2, 1)
    assert "`published` must be a file with curves of 'digits-3-8'" in error
