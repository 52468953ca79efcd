"""The look at a table before training, and the whole way from there."""

import json
import shlex

import polars as pl
import pytest
from typer.testing import CliRunner

from asymcert.cli.app import app
from asymcert.datasets.plan import Plan
from asymcert.runs.folder import RunFolder
from contracts.troubled import write_cases


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return write_cases(tmp_path_factory.mktemp("cases"))


def call(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_what_must_be_decided_is_said_and_the_command_settles_it(cases, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = cases / "some_words_among_numbers.csv"
    done = call("table", path, "--label", "verdict", "--sensitive", "Malicious", "--json")
    assert done.exit_code == 3
    look = json.loads(done.output)
    assert [problem.split(",")[0] for problem in look["problems"]] == ["Column 'pages' holds numbers"]
    command = shlex.split(look["command"])
    assert command[:3] == ["asymcert", "train", str(path)]
    trained = call(*command[1:], "--epochs", 1, "--hidden", 4, "--quiet")
    assert trained.exit_code == 0, trained.output
    run = RunFolder(tmp_path / "runs" / "some_words_among_numbers")
    assert Plan.from_toml(run.path / "columns.toml") == run.load_model().scaling.plan
    assert run.path / "columns.toml" in run.own_files


def test_a_page_with_histograms_escapes_names(tmp_path):
    lines = [f"{i * i},{'x' if i % 2 else '<script>'},{'bad' if i % 3 else 'ok'}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["<b>,kind,class", *lines]))
    done = call("table", tmp_path / "t.csv", "--label", "class", "--html", tmp_path / "look.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "look.html").read_text()
    assert page.count("<svg") == 2
    assert "&lt;b&gt;" in page
    assert "<script>" not in page
    assert "'&lt;script&gt;' (30)" in page or "&#39;&lt;script&gt;&#39; (30)" in page


def test_without_a_label_columns_that_could_be_it_are_named(cases):
    done = call("table", cases / "clean.csv")
    assert done.exit_code == 0
    assert "may be the label: verdict: '0'" in done.output
    assert "--label=LABEL" in done.output


def test_every_spelling_is_certified_alike(cases, tmp_path):
    """Trained on one spelling, a model says the same of the rows in every other."""
    train = ("--label", "verdict", "--sensitive", "1", "--epochs", 1, "--hidden", 4, "--quiet")
    radii = []
    for name in ("clean.csv", "semicolons_decimal_commas.csv"):
        assert call("train", cases / name, *train, "--out", tmp_path / name).exit_code == 0
        for other in ("clean.csv", "tabs.tsv", "semicolons_decimal_commas.csv", "title_above_header.csv"):
            out = tmp_path / "radii.csv"
            done = call("certify", tmp_path / name, "--table", cases / other, "--out", out, "--norm", 1, "--quiet")
            assert done.exit_code == 0, done.output
            radii.append(pl.read_csv(out, infer_schema=False))
    assert all(each.equals(radii[0]) for each in radii)
