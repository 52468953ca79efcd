"""`asymcert gate`: a release passes against itself, a weakened one fails by name, unrelated runs are refused."""

import json
import random
import shutil

import polars as pl
import pytest
from typer.testing import CliRunner

from asymcert.cli.app import app
from asymcert.evaluate import same_rows
from asymcert.runs.folder import RunFolder
from asymcert.runs.run import Run
from contracts.commands import command, refusal

HEADER = ["size", "rate", "kind", "class"]


def lines(count, seed=0, noise=0.0, header=HEADER):
    """A third of the rows are bad, which size and rate half tell; of `noise` the label is a coin's."""
    draw, rows = random.Random(seed), [",".join(header)]
    for _ in range(count):
        bad = draw.random() < 1 / 3
        told = bad if draw.random() >= noise else draw.random() < 0.5
        size, rate = draw.gauss(450 if bad else 300, 90), draw.random() + 0.4 * bad
        rows.append(f"{size:.2f},{rate:.4f},{draw.choice('abc')},{'bad' if told else 'good'}")
    return "\n".join(rows)


def train(folder, name, *options, data="data.csv", **given):
    if not (folder / data).exists():
        (folder / data).write_text(lines(given.pop("count", 700), **given))
    fixed = ("--label", "class", "--epochs", 5, "--hidden", 8, "--quiet")
    sensitive = () if "--sensitive" in options else ("--sensitive", "bad")
    command("train", folder / data, *fixed, *sensitive, *options, "--out", folder / name)
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gate")


@pytest.fixture(scope="module")
def old(folder):
    return train(folder, "old")


def judged(*arguments, code):
    told = json.loads(command("gate", *arguments, "--json", "--quiet", code=code))
    assert told["schema"] == "asymcert.gate"
    assert told["version"] == 1
    return told, {each["figure"]: each for each in told["figures"]}


def test_a_run_passes_against_itself(old):
    told, figures = judged(old, "--against", old, "--max-drop", 0, "--strict", code=0)
    assert told["passed"]
    assert told["new"] == told["old"]
    assert told["rows"]["left_out"] == 0
    assert all(each["drop"] == {"value": 0.0, "lower": 0.0, "upper": 0.0} for each in figures.values())
    assert {"recall@1", "recall@3", "auc", "recall", "false_alarms", "balanced_accuracy"} <= set(figures)
    assert figures["recall@1"]["adversary"] == "columns box[0,1]"
    (row, *_) = json.loads(command("evaluate", old, "--json", "--quiet"))
    assert row["norm"] == 0.0
    for ours, theirs in (("auc", "roc_auc"), ("recall", "recall"), ("false_alarms", "false_positive_rate")):
        assert figures[ours]["new"] == row["detection"][theirs]["value"]
    assert figures["balanced_accuracy"]["new"] == pytest.approx(row["accuracy_balanced"], abs=1e-15)


def test_a_moved_threshold_fails_by_what_it_costs(old, folder):
    new = shutil.copytree(old, folder / "moved")
    command("threshold", new, "--max-fpr", 0.02)
    told, figures = judged(new, "--against", old, "--max-drop", 0.03, code=1)
    assert not told["passed"]
    assert figures["recall"]["verdict"] == "weaker, beyond chance"
    assert figures["recall@1"]["weaker"]
    assert not figures["auc"]["weaker"]
    assert not figures["false_alarms"]["weaker"]
    assert figures["auc"]["drop"] == {"value": 0.0, "lower": 0.0, "upper": 0.0}  # ranks as before
    text = command("gate", new, "--against", old, "--max-drop", 0.03, "--quiet", code=1)
    assert "weaker: balanced_accuracy, recall, recall@1 (columns box[0,1])" in text
    judged(old, "--against", new, "--max-drop", 0.03, "--max-drop", "false_alarms=1", code=0)
    weak = {name for name, each in figures.items() if each["weaker"]}
    allowed = [part for name in weak for part in ("--max-drop", f"{name}=1")]
    judged(new, "--against", old, "--max-drop", 0.03, *allowed, code=0)


def test_noisy_labels_in_training_fail_on_rows_that_neither_saw(old, folder):
    new = train(folder, "noisy", data="noisy.csv", seed=5, noise=0.9)
    (folder / "fresh.csv").write_text(lines(600, seed=7))
    told, figures = judged(new, "--against", old, "--table", folder / "fresh.csv", code=1)
    assert told["rows"]["sensitive"] + told["rows"]["other"] == 600
    assert figures["auc"]["weaker"]
    assert figures["balanced_accuracy"]["verdict"] == "weaker, beyond chance"
    judged(old, "--against", new, "--table", folder / "fresh.csv", "--max-drop", 0.2, "--max-drop", "auc=0", code=0)


def test_rows_that_a_model_was_trained_on_are_left_out(old, folder):
    new = train(folder, "reseeded", "--seed", 3)
    told, _ = judged(new, "--against", old, "--max-drop", 1, code=0)
    test, seen = Run(new).data.test, {row.tobytes() for row in Run(old).data.test.x.numpy()}
    kept = told["rows"]["sensitive"] + told["rows"]["other"]
    assert 0 < kept < len(test) / 2
    assert told["rows"]["left_out"] == len(test) - kept
    rows = same_rows(Run(new), Run(old))
    assert {row.tobytes() for row in rows.old.numpy()} <= seen  # what the old run's training held out
    told, _ = judged(old, "--against", old, "--table", folder / "data.csv", code=0)
    assert told["rows"]["left_out"] == 700 - len(Run(old).data.test)
    rows, (header, *listed) = Run(old).data.train.rows, (folder / "data.csv").read_text().split("\n")
    (folder / "seen.csv").write_text("\n".join([header, *(listed[row] for row in rows)]))
    message = refusal("gate", old, "--against", old, "--table", folder / "seen.csv")
    assert f"`rows` must be of both classes, got only 0 of {len(rows)} that no model was trained on" in message


def test_models_that_encode_columns_differently_judge_the_same_rows(old, folder):
    new = train(folder, "ranges", "--scaling", "min-max")
    rows, data = same_rows(Run(new), Run(old)), Run(old).data.test
    assert not rows.same_inputs
    assert rows.left_out == 0
    assert rows.y.equal(data.y)  # the same seed, so the same test rows
    assert rows.old.equal(data.x)
    assert not rows.new.equal(data.x)
    judged(new, "--against", old, "--max-drop", 1, code=0)
    assert "`--norm` must be columns for runs that scale a table differently" in refusal(
        "gate", new, "--against", old, "--norm", 2
    )


def test_old_data_that_are_gone_are_said_to_be(old, folder):
    data = folder / "grown.csv"
    data.write_text(lines(500, seed=11))
    before = train(folder, "before", data="grown.csv")
    data.write_text(lines(800, seed=11))
    after = train(folder, "after", data="grown.csv")
    told, _ = judged(after, "--against", before, "--max-drop", 1, code=0)
    assert told["rows"]["training_unknown"]
    done = CliRunner().invoke(app, ["gate", str(after), "--against", str(before), "--max-drop", "1", "--quiet"])
    assert "it may have been trained on some of these rows" in " ".join(done.stderr.split())


def test_images_are_compared_in_every_norm_at_given_sizes(folder):
    runs = []
    for epochs in (3, 1):
        options = ("--epochs", epochs, "--hidden", 8, "--quiet", "--out", folder / f"digits{epochs}")
        command("train", "digits-3-8", *options)
        runs.append(folder / f"digits{epochs}")
    told, _ = judged(runs[1], "--against", runs[0], "--max-drop", 1, "--radii", 0.1, "--radii", 0.2, code=0)
    certified = [(each["figure"], each["adversary"]) for each in told["figures"] if each["adversary"]]
    assert certified == [
        (f"recall@{size}", f"{norm} box[0,1]") for norm in ("l1", "l2", "linf") for size in ("0.1", "0.2")
    ]
    assert "`--table` must be left out for runs on images" in refusal(
        "gate", runs[0], "--against", runs[1], "--table", folder / "data.csv"
    )


def test_unrelated_runs_are_refused(old, folder):
    (folder / "other.csv").write_text(lines(300, header=["length", "rate", "kind", "class"]))
    columns = train(folder, "columns", data="other.csv")
    assert f"{old}: its model cannot judge these rows. The table lacks the columns ['size']" in refusal(
        "gate", columns, "--against", old
    )
    turned = train(folder, "turned", "--sensitive", "good")
    message = refusal("gate", turned, "--against", old)
    assert "`--against` must be a run of 'good' against 'bad', got 'bad' against 'good'" in message
    images = folder / "images"
    command("train", "digits-3-8", "--epochs", 1, "--hidden", 4, "--quiet", "--out", images)
    assert "`--against` must be a run of" in refusal("gate", images, "--against", old)
    assert "not a run folder" in refusal("gate", old, "--against", folder / "nothing")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-drop", "auc"), "`--max-drop` must be a number, or FIGURE=NUMBER, got 'auc'"),
        (("--max-drop", "auc=2"), "`--max-drop` must be a number in [0, 1]"),
        (("--max-drop", "nan"), "`--max-drop` must be a number in [0, 1]"),
        (("--max-drop", "0.1", "--max-drop", "0.2"), "`--max-drop` must be one number for all figures, got 2"),
        (("--max-drop", "acu=0.1"), "got 'acu'. Did you mean auc?"),
        (("--radii", "-1"), "`radii` must be a number in [0, inf]"),
        (("--resamples", "0"), "`resamples` must be an integer of at least 1"),
        (("--table", "nothing.csv"), "nothing.csv: no such file"),
    ],
)
def test_mistakes_are_named(old, options, message):
    assert message in refusal("gate", old, "--against", old, *options)


def test_a_card_says_what_evaluate_and_audit_say_and_how_to_get_it_again(old, folder):
    evaluated = json.loads(command("evaluate", old, "--json", "--quiet"))
    audited = json.loads(command("audit", old, "--norm", "columns", "--json", "--quiet"))
    command("card", old, "--out", folder / "release", "--json")
    card = json.loads((folder / "release" / "card.json").read_text())
    assert card["clean"] == {name: evaluated[0][name] for name in ("detection", "confusion", "calibration")}
    assert sum(each["tried"] for each in card["attacks"]) == audited["attacked"] > 0
    for row, told, line in zip(evaluated, card["certified"], card["reproduce"]["certified"], strict=True):
        assert (told["median_radius"], told["at_max_fpr"]) == (row["median_radius"], row["at_max_fpr"])
        (again,) = json.loads(command(*line.replace("RUN", str(old)).split()[1:], "--quiet"))
        assert {again[name] == row[name] for name in ("threat", "median_radius", "model_digest", "options")} == {True}
    assert card["reproduce"]["attacks"] == ["asymcert audit RUN --norm columns --json"]
    assert json.loads(command(*card["reproduce"]["clean"].replace("RUN", str(old)).split()[1:], "--quiet")) == evaluated


def test_a_card_stands_beside_the_model_unless_told_otherwise(old):
    assert json.loads(command("card", old, "--json")) == {"page": f"{old}/card.md", "record": f"{old}/card.json"}
    assert "`--out` must be a path below folders" in refusal("card", old, "--out", old / "run.json" / "deeper")


def test_rows_of_a_file_are_evaluated_as_the_test_rows_are(folder, old):
    """The training file's own rows: all but the test rows are left out, and these are judged as by the split."""
    by_split = json.loads(command("evaluate", old, "--json", "--quiet"))
    before = sorted(path for path in old.rglob("*") if path.is_file())
    by_table = json.loads(command("evaluate", old, "--table", folder / "data.csv", "--json", "--quiet"))
    assert sorted(path for path in old.rglob("*") if path.is_file()) == before
    assert len(by_table) == len(by_split) == 4
    for own, other in zip(by_split, by_table, strict=True):
        assert (own["split"], other["split"]) == ("test", "table")
        assert other["confusion"] == own["confusion"]
        assert other["median_radius"] == pytest.approx(own["median_radius"], rel=1e-12)
        for name, figure in own["detection"].items():
            value = figure["value"]  # None of rates that the rows cannot show
            assert other["detection"][name]["value"] == (value and pytest.approx(value, rel=1e-12)), name


def test_what_stays_caught_is_told_at_the_threshold_in_use(folder, old):
    """Even where so few harmless rows show no rate of false alarms."""
    said = command("evaluate", old, "--table", folder / "data.csv", "--quiet")
    assert "changed by any size up to" in said
    assert "false alarms" not in said.split("changed by any size up to")[1]
    judged = json.loads(command("evaluate", old, "--json", "--quiet"))
    rows = RunFolder(old).read("certificates").filter(pl.col("label"))
    for row in judged:
        own = rows.filter([pl.col(name) == row[name] for name in ("model_digest", "split", "threat", "method")])
        found = (own["radius"].to_numpy(), own["prediction"].to_numpy())
        assert row["caught"][0]["size"] == 0
        for each in row["caught"]:
            reached = found[0] >= each["size"] if row["norm"] == 0 else found[0] > each["size"]
            assert each["value"] == pytest.approx((found[1] & reached).mean())
            assert each["lower"] <= each["value"] <= each["upper"]


def test_what_cannot_be_evaluated_is_refused(folder, old):
    (folder / "one.csv").write_text("\n".join([",".join(HEADER), "300,0.5,a,bad"]))
    assert "`--split` must be left out" in refusal("evaluate", old, "--table", folder / "data.csv", "--split", "val")
    assert "has one value only, bad" in refusal("evaluate", old, "--table", folder / "one.csv")
    assert "runs on images" in refusal("evaluate", "zoo:mnist-3-8-robust", "--table", folder / "data.csv")
    rest = lines(20, header=[*HEADER[:3], "label"])
    (folder / "unlabelled.csv").write_text(rest)
    lacking, told = ("--table", folder / "unlabelled.csv"), "The file lacks the label column 'class'. Provide it."
    assert refusal("evaluate", old, *lacking) == refusal("gate", old, "--against", old, *lacking) == told
    train = ("train", folder / "data.csv", "--label", "class", "--sensitive", "bad", "--out", folder / "none")
    assert "The test file lacks the label column 'class'." in refusal(*train, "--test", folder / "unlabelled.csv")
