"""Every kind of model is trained by the one command, with the fields of its own recipe."""

import json
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from asymcert import datasets
from asymcert.cli.app import app
from asymcert.evaluate import RunFacts, RunFolder
from asymcert.training import MODELS

OWN = {
    "feature-convex": ("hidden", "8", [8]),
    "linf-net": ("p-end", "100", 100.0),
    "linf-convex": ("features", "8", 8),
    "smoothing": ("noise", "laplacian", "laplacian"),
    "splitting": ("sigma", "0.02", 0.02),
    "cayley": ("margin", "0.5", 0.5),
    "relu": ("attack-steps", "2", 2),
    "convex-concave": ("hidden", "8,4", [8, 4]),
    "text": ("target-words", "2", 2),
}


def data_for(model, folder):
    """A name of images, or for texts a file of them."""
    if not MODELS[model].texts:
        return "digits-3-8"
    lines = [
        f"{('pay', 'see')[n % 2]} {('now', 'you')[n % 3 > 0]} number{n},{('bad', 'good')[n % 2]}" for n in range(80)
    ]
    (folder / "texts.csv").write_text("\n".join(["text,label", *lines]))
    return folder / "texts.csv"


def run_command(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments), "--quiet"])


@pytest.mark.parametrize("model", MODELS)
def test_every_kind_trains_with_its_own_fields(model, tmp_path):
    option, text, value = OWN[model]
    given = ("--epochs", 2, "--schedule", "constant", f"--{option}", text)
    chosen = ("--model", model, *(["--sensitive", "bad", "--label", "label"] if MODELS[model].texts else []))
    done = run_command("train", data_for(model, tmp_path), *chosen, "--out", tmp_path / "run", *given)
    assert done.exit_code == 0, done.output
    run = RunFolder(tmp_path / "run")
    config = run.facts().config
    assert (config["model"], config["schedule"], config[option.replace("-", "_")]) == (model, "constant", value)
    assert run.load_model().info["model"] == model
    log = [json.loads(line) for line in (run.path / "train_log.jsonl").read_text().splitlines()]
    above = 12 if model == "linf-convex" else 0  # epochs after the net's own
    assert [record["epoch"] for record in log] == list(range(1, 3 + above))
    other = next(name for name in ("attack_steps", "hidden", "noise") if not hasattr(MODELS[model].config, name))
    refused = run_command(
        "train", data_for(model, tmp_path), *chosen, "--out", tmp_path / "b", f"--{other.replace('_', '-')}", 3
    )
    assert f"`{other}` must be left out for model '{model}'" in str(refused.exception)
    assert not (tmp_path / "b").exists()


def test_a_run_begun_before_a_field_was_there_goes_on(tmp_path):
    data = datasets.load("digits-3-8")
    config = {"model": "feature-convex", **asdict(MODELS["feature-convex"].recipe(data, epochs=1))}
    run = RunFolder(tmp_path / "run")
    run.create(RunFacts.of(data, {name: value for name, value in config.items() if name != "beta1"}, 0))
    arguments = ("train", "digits-3-8", "--out", run.path, "--epochs", 1)
    assert "config (beta1 0.9, not 0.5)" in str(run_command(*arguments, "--beta1", 0.5).exception)
    assert run_command(*arguments).exit_code == 0


def test_an_unknown_model_is_answered_by_the_nearest():
    done = run_command("train", "digits-3-8", "--out", "x", "--model", "caley")
    assert "got 'caley'. Did you mean cayley?" in str(done.exception)


def test_every_option_of_a_table_reaches_its_data(tmp_path):
    rows = [
        f"{index % 2 + index / 100},{'abcd'[index % 4]},{index},{'bad' if index % 2 else 'ok'}" for index in range(80)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["size,kind,number,class", *rows]))
    options = {"label": "class", "drop": ["number"], "impute": "median", "scaling": "min-max", "text": []}
    given = [f"--{name}={value}" for name, value in options.items() if isinstance(value, str)]
    command = ["train", tmp_path / "t.csv", "--sensitive", "bad", "--out", tmp_path / "run", "--epochs", "1", *given]
    done = CliRunner().invoke(app, [*map(str, command), "--drop", "number", "--categories", "2", "--words", "64"])
    assert done.exit_code == 0, done.output
    stored = RunFolder(tmp_path / "run").facts().source["options"]
    assert {name: stored[name] for name in (*options, "categories", "words")} == options | {
        "categories": 2,
        "words": 64,
    }


@pytest.mark.parametrize("option", ["--scaling=min-max", "--words=3", "--max-bytes=9"])
def test_options_of_a_table_are_refused_for_a_named_data_set(option, tmp_path):
    done = CliRunner().invoke(app, ["train", "digits-3-8", "--out", str(tmp_path / "run"), option])
    assert f"`{option.split('=')[0]}` must be left out for a named data set" in str(done.exception)
