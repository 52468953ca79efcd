"""The command line with threat models from files, other methods than the closed form, and explanations."""

import csv
import json
import math
import random
import re
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from asymcert import __version__
from asymcert.cli import show
from asymcert.cli.app import app, main
from asymcert.datasets import DataSource, load_source
from asymcert.errors import AsymcertError
from asymcert.evaluate import RunFolder
from asymcert.evaluate.units import radius_in_units
from asymcert.proofs.checker import main as check
from asymcert.proofs.checker import main as checker_main
from asymcert.runs.run import Run
from contracts.commands import refusal

THIEF = """
name = "thief"
norm = 1
immutable = ["kind"]
increase_only = ["rate"]

[cost]
size = 0.02
"""
TRAIN = ["--label", "class", "--sensitive", "malware", "--epochs", "6", "--hidden", "8", "--quiet"]
TRAIN += ["--preset", "image"]  # without ramps: finite radii in every norm


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a table, a run on it, and a threat model."""
    folder = tmp_path_factory.mktemp("cli-threats")
    draw = random.Random(0)
    with (folder / "files.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("size", "kind", "rate", "class"))
        for _ in range(200):
            bad = draw.random() < 0.5
            size, kind = round(draw.gauss(500 if bad else 300, 60), 1), draw.choice("abc")
            table.writerow((size, kind, draw.random() + bad, "malware" if bad else "clean"))
    (folder / "thief.toml").write_text(THIEF)
    assert call("train", folder / "files.csv", "--out", folder / "run", *TRAIN).exit_code == 0
    return folder


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def lines_of(*arguments):
    done = call(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_threat_models_from_files_and_norms(place):
    threats = ["--threat", place / "thief.toml", "--norm", "2"]
    lines = lines_of("certify", place / "run", *threats, "--method", "tangent")
    assert [line["threat"].partition(" #")[0] for line in lines] == ["l1 thief", "l2 box[0,1]"]
    assert {line["method"] for line in lines} == {"tangent"}
    run = RunFolder(place / "run")
    threat = run.threats()[lines[0]["threat"]]
    assert threat.name == "thief"
    assert threat.mutable.tolist() == [True, False, False, False, False, True]
    amounts = radius_in_units(run.load_model().scaling, lines[0]["median_radius"], threat)
    shown = {name: math.inf if value == "inf" else value for name, value in lines[0]["median_radius_in_units"].items()}
    assert shown == amounts
    assert shown["kind"] == math.inf


def test_options_of_a_method_reach_it_and_tell_its_rows_apart(place):
    common = ["certify", place / "run", "--threat", place / "thief.toml", "--limit", 20]
    few = lines_of(*common, "--method", "refined", "--cuts", 2)[0]
    more = lines_of(*common, "--method", "refined", "--cuts", 6)[0]
    loose = lines_of(*common, "--no-sound")[0]
    assert "sound=True, cuts=2" in few["options"]
    assert "sound=True, cuts=6" in more["options"]
    assert loose["options"] == "sound=False"
    assert few["n_sensitive"] + few["n_other"] == 20
    assert more["mean_radius"] >= few["mean_radius"]
    rows = RunFolder(place / "run").read("certificates")
    assert len(rows.filter(pl.col("options") == few["options"])) == 20


def test_exact_options(place):
    pytest.importorskip("highspy")
    common = ["certify", place / "run", "--norm", "inf", "--limit", 3, "--method", "exact"]
    line = lines_of(*common, "--tolerance", 0.01, "--time-limit", 30)[0]
    assert "tolerance=0.01, time_limit=30.0" in line["options"]
    assert line["median_radius"] <= line["median_upper"] <= 1.02 * line["median_radius"]


def test_more_samples_are_added_to_fewer(place):
    common = ["certify", place / "run", "--norm", "3", "--method", "tangent"]
    lines_of(*common, "--limit", 5)
    lines_of(*common, "--limit", 9)
    rows = RunFolder(place / "run").read("certificates").filter(pl.col("norm") == 3)
    assert sorted(rows["index"]) == list(range(9))


def test_proofs_are_written_and_hold(place):
    arguments = ["certify", place / "run", "--threat", place / "thief.toml", "--method", "tangent", "--limit", 9]
    lines_of(*arguments, "--proof", place / "proofs")
    (folder,) = (place / "proofs").iterdir()
    rows = RunFolder(place / "run").read("certificates").filter(pl.col("method") == "tangent", pl.col("index") < 9)
    proved = rows.filter(pl.col("threat").str.starts_with("l1 thief"), pl.col("radius") > 0)
    assert sorted(int(path.stem) for path in folder.iterdir()) == sorted(proved["index"])
    assert check([str(place / "run" / "model.safetensors"), *map(str, sorted(folder.iterdir()))]) == 0


def test_audit_of_a_method_and_a_threat_model(place):
    """Certifies what it needs and no more, and attacks it."""
    (place / "other.toml").write_text(THIEF.replace("thief", "other"))
    arguments = ["audit", place / "run", "--threat", place / "other.toml", "--method", "tangent"]
    first = lines_of(*arguments)
    assert first["attacked"] > 0
    assert first["successes"] == 0
    run = RunFolder(place / "run")
    parts = sorted((run.path / "certificates").iterdir())
    assert lines_of(*arguments) == first
    assert lines_of("audit", place / "run", "--threat", place / "other.toml") == first
    assert sorted((run.path / "certificates").iterdir()) == parts
    rows = run.read("audit").filter(pl.col("threat").str.starts_with("l1 other"))
    assert rows["method"].unique().to_list() == ["tangent"]


def test_surface_of_a_threat_model(place):
    (place / "third.toml").write_text(THIEF.replace("thief", "third"))
    refused = call("surface", place / "run", "--threat", place / "third.toml")
    assert "third.toml --method closed-form --split test` first" in str(refused.exception)
    lines_of("certify", place / "run", "--threat", place / "third.toml")
    grid = lines_of("surface", place / "run", "--threat", place / "third.toml")
    assert 0 <= grid[0]["other_accuracy"] <= 1


def test_report_names_methods_and_adversaries(place):
    lines_of("certify", place / "run", "--threat", place / "thief.toml", "--method", "tangent")
    page = Path(lines_of("report", place / "run")["page"]).read_text(encoding="utf-8")
    assert "ℓ₁ thief" in page
    assert "any amount" in page


def test_explanation_of_one_sample(place):
    index = sensitive_sample(place)
    common = ["certify", place / "run", "--threat", place / "thief.toml", "--method", "tangent", "--explain", index]
    parts = sorted((place / "run" / "certificates").iterdir())
    (line,) = lines_of(*common)
    assert float(line["radius"]) > 0
    rooms = {room["column"]: room for room in line["columns"]}
    assert list(rooms) == ["size", "kind", "rate"]
    assert (rooms["kind"]["fall"], rooms["kind"]["rise"]) == (None, None)
    assert rooms["rate"]["fall"] is None
    assert sorted((place / "run" / "certificates").iterdir()) == parts  # one sample is no evaluation
    text = call(*common).stdout
    assert re.search(rf"test sample {index} \(row \d+ of the file, from 0\), l1 thief, tangent: radius", text)
    assert "cannot" in text


def test_a_sample_that_is_no_alert_is_not_explained_and_some_that_are_are_named(place):
    run = Run(place / "run")
    alerts = run.model.predict(run.data.test.x)
    index = int((~alerts).nonzero()[0])
    said = refusal("certify", place / "run", "--norm", "columns", "--method", "tangent", "--explain", index)
    assert f"must be a sample of the test split called 'malware': {int(alerts.nonzero()[0])}, " in said
    assert f"got {index}, which is called 'clean'" in said


def test_rows_without_labels_are_certified_from_a_file(place):
    """Row by row what the run's own certification says of its test data."""
    run = RunFolder(place / "run")
    options = ("--threat", place / "thief.toml", "--norm", "inf", "--method", "tangent")
    call("certify", place / "run", *options, "--quiet")
    stored = run.read("certificates").filter(pl.col("split") == "test", pl.col("method") == "tangent")
    test = load_source(DataSource.from_dict(run.facts().source)).test.x
    whole = pl.read_csv(place / "files.csv").drop("class")
    position = [int((run.load_model().scaling.transform(whole) == row).all(1).nonzero()[0]) for row in test]
    whole[position].with_columns(unused=pl.lit("x")).write_csv(place / "new.csv")
    done = lines_of("certify", place / "run", *options, "--table", place / "new.csv", "--out", place / "radii.csv")
    rows = pl.read_csv(place / "radii.csv")
    assert rows.columns == ["row", "verdict", "margin", "radius, linf box[0,1]", "radius, l1 thief", "problem"]
    assert rows["problem"].null_count() == len(test)
    assert rows["row"].to_list() == list(range(len(test)))
    sensitive = int((rows["verdict"] == "malware").sum())
    assert done == {"rows": len(test), "sensitive": sensitive, "problems": 0, "out": done["out"]}
    for name in ("linf box[0,1]", "l1 thief"):
        known = stored.filter(pl.col("threat").str.starts_with(name)).unique("index").sort("index")
        assert rows[f"radius, {name}"].to_list() == known["radius"].to_list()
        assert rows["margin"].to_list() == known["margin"].to_list()
    assert (rows["radius, l1 thief"] > 0).sum() > 10


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ("size,kind\n1,a\n", (), "The table lacks the columns ['rate']"),
        ("size,kind,rate\n1,a,1\n", ("--limit", "3"), "`--table` must be used without --proof, --limit and --explain"),
    ],
)
def test_tables_that_cannot_be_certified(place, table, options, said):
    (place / "odd.csv").write_text(table)
    done = call("certify", place / "run", "--table", place / "odd.csv", "--out", place / "odd-radii.csv", *options)
    assert said in str(done.exception)
    assert not (place / "odd-radii.csv").exists()
    assert "given together with --out" in str(call("certify", place / "run", "--table", place / "odd.csv").exception)


def test_a_row_that_cannot_be_read_stops_no_other(place):
    good, bad = ["1,a,0.25", "2,b,1"], [",a,1", "1,a,x", "1,a,1e400", "1,a,none"]
    options = ("--norm", "1", "--quiet", "--out", place / "some.csv")
    (place / "some.csv").unlink(missing_ok=True)
    (place / "good.csv").write_text("\n".join(["size,kind,rate", *good]))
    (place / "some-bad.csv").write_text("\n".join(["size,kind,rate", good[0], *bad, good[1]]))
    assert call("certify", place / "run", "--table", place / "good.csv", *options).exit_code == 0
    alone = pl.read_csv(place / "some.csv", schema_overrides={"problem": pl.String})
    done = call("certify", place / "run", "--table", place / "some-bad.csv", *options)
    assert done.exit_code == 3
    assert "4 of 6 rows have no verdict" in done.output
    rows = pl.read_csv(place / "some.csv")
    assert rows["problem"].to_list() == [
        *(None, "size: no value", "rate: 'x' is no number", "rate: '1e400' is too great", "rate: no value", None)
    ]
    assert rows[[0, 5]].drop("row", "problem").equals(alone.drop("row", "problem"))
    assert rows[1:5].drop("row", "problem").null_count().row(0) == (4, 4, 4)
    (place / "all-bad.csv").write_text("\n".join(["size,kind,rate", *bad]))
    assert call("certify", place / "run", "--table", place / "all-bad.csv", *options).exit_code == 3


def test_rows_outside_an_adversarys_box_have_no_verdict_but_a_reason(place):
    (place / "box.toml").write_text("norm = 1\n[lower]\nsize = 300")
    table = pl.read_csv(place / "files.csv")[:40]
    table.write_csv(place / "boxed.csv")
    options = ("--threat", place / "box.toml", "--norm", "2", "--quiet", "--out", place / "boxed-radii.csv")
    assert call("certify", place / "run", "--table", place / "boxed.csv", *options).exit_code == 3
    problems = pl.read_csv(place / "boxed-radii.csv")["problem"]
    outside = table["size"] < 300
    assert 0 < outside.sum() < 40
    assert problems.is_not_null().to_list() == outside.to_list()
    assert all(problem.startswith("outside the box of l1") for problem in problems.drop_nulls())


OWN = ("run.json", "model.safetensors", "train_log.jsonl", "checkpoint.safetensors", "a part", "a threat")


@pytest.mark.parametrize("name", [*OWN, "a link", "a hard link", "the table", "the threat file"])
def test_no_output_replaces_what_the_command_needs(place, name):
    run = RunFolder(place / "run")
    call("certify", place / "run", "--norm", "2", "--limit", "3", "--quiet")
    named = {
        "a part": next((run.path / "certificates").iterdir()),
        "a threat": next((run.path / "threats").iterdir()),
        "a link": place / "link",
        "a hard link": place / "hard",
        "the table": place / "files.csv",
        "the threat file": place / "thief.toml",
    }
    for other in ("link", "hard"):
        (place / other).unlink(missing_ok=True)
    (place / "link").symlink_to(run.path / "run.json")
    (place / "hard").hardlink_to(run.model_path)
    path = named.get(name, run.path / name)
    before = path.read_bytes() if path.exists() else None
    options = ("--table", place / "files.csv", "--threat", place / "thief.toml", "--out", path)
    done = call("certify", run.path, *options)
    assert "`--out` must be none of the run's own files and of the inputs" in str(done.exception)
    assert (path.read_bytes() if path.exists() else None) == before


def sensitive_sample(place) -> int:
    rows = RunFolder(place / "run").read("certificates").filter("prediction", pl.col("split") == "test")
    return int(rows["index"][0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["certify", "run", "--threat", "none.toml"], "none.toml: no such file"),
        (["certify", "run", "--threat", "wrong.toml"], "wrong.toml: `immutable` must be about columns of the table"),
        (["certify", "run", "--threat", "narrow.toml"], "samples outside it in the columns size (40 of 40)"),
        (["certify", "run", "--threat", "narrow.toml", "--explain", "0"], "in the columns size (1 of 1). Widen it."),
        (["certify", "run", "--cuts", "4"], "`cuts` must be left out for method 'closed-form', got 4. It takes sound."),
        (["certify", "run", "--method", "refined", "--cuts", "0"], "`cuts` must be"),
        (["certify", "run", "--limit", "0"], "`limit` must be an integer of at least 1"),
        (["certify", "run", "--explain", "9999"], "`explain` must be at most"),
        (["certify", "run", "--explain", "-1"], "`explain` must be an integer of at least 0"),
        (["certify", "run", "--explain", "0", "--limit", "3"], "`explain` must be used without --proof and --limit"),
        (["audit", "run", "--method", "magic"], "`method` must be one of"),
        (["audit", "nowhere"], "not a run folder"),
        (["surface", "run", "--norm", "7"], "Run `asymcert certify run --norm 7 --method closed-form --split test`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_exit_code_2(place, arguments, said, monkeypatch, capsys):
    (place / "wrong.toml").write_text('immutable = ["sise"]')
    (place / "narrow.toml").write_text("[lower]\nsize = 10_000\n[upper]\nrate = 10")
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["asymcert", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_version():
    done = call("--version")
    assert (done.exit_code, done.stdout.strip()) == (0, __version__)


def test_text_is_aligned_to_the_left_and_numbers_to_the_right(capsys):
    rows = [
        {"name": "a", "what": "short", "radius": "1.25"},
        {"name": "b", "what": "a longer text", "radius": "any amount"},
    ]
    show.table("Title [bold]", rows, as_json=False)
    printed = capsys.readouterr().out
    assert "Title [bold]" in printed
    assert "│ short         │       1.25 │" in printed


def test_an_unlabelled_table_of_other_data_cannot_be_explained(place, monkeypatch):
    model, digest = RunFolder(place / "run").read_model()
    model.scaling = None
    monkeypatch.setattr(RunFolder, "read_model", lambda _: (model, digest))
    done = call("certify", place / "run", "--norm", "2", "--explain", "0")
    assert "`model` must be of a table" in str(done.exception)


def test_columns_are_counted(place):
    run = place / "run"
    rows = json.loads(call("certify", run, "--norm", "columns", "--json", "--quiet").stdout)
    assert [(row["norm"], row["method"]) for row in rows] == [(0.0, "tangent")]
    sample = next(n for n in range(40) if call("certify", run, "--norm", 0, "--explain", n, "--quiet").exit_code == 0)
    told = json.loads(call("certify", run, "--norm", "l0", "--explain", sample, "--json").stdout)[0]
    changed = [part["column"] for part in told["columns"] if part["becomes"] is not None]
    assert changed == [] or len(changed) > told["radius"]
    new, out = place / "new.csv", place / "columns.csv"
    new.write_text("size,kind,rate\n900,a,1.5\n200,b,0.2\n")
    done = call("certify", run, "--norm", "columns", "--table", new, "--out", out, "--evasions", "--quiet")
    assert done.exit_code == 0
    assert pl.read_csv(out).columns == ["row", "verdict", "margin", "columns", "evasion of columns", "problem"]
    attacked = json.loads(call("audit", run, "--norm", "columns", "--json", "--quiet").stdout)
    assert attacked["successes"] == 0


def test_what_does_not_count_columns_says_so(place):
    done = call("certify", place / "run", "--norm", "0", "--method", "closed-form")
    assert isinstance(done.exception, AsymcertError)
    assert "Methods tangent and refined count columns" in str(done.exception)


def test_counted_columns_are_proved_and_drawn_over_thresholds(place):
    lines_of("certify", place / "run", "--norm", "columns", "--proof", place / "proofs")
    proofs = sorted((place / "proofs").rglob("*.proof"))
    assert proofs
    assert checker_main([str(place / "run" / "model.safetensors"), *map(str, proofs)]) == 0
    grid = lines_of("surface", place / "run", "--norm", "columns")
    assert all(row["radius_0"] >= row["radius_1.00"] >= row["radius_2.00"] for row in grid)
