"""The models that come with the package: small, named, of stated data, and as good as their cards say."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch

import asymcert
from asymcert.certify import certifier_for, default_method
from asymcert.cli.steps import threats_for
from asymcert.errors import InputError, RunError
from asymcert.evaluate import evaluate, floor_percent, summary
from asymcert.models import zoo
from asymcert.models.base import BinaryClassifier
from asymcert.models.zoo import entries, places
from asymcert.runs.folder import RunFolder
from asymcert.runs.run import Run

NAMES = zoo.names()
READ_ONLY = r"zoo:tumours: is read only and holds no rows\. Copy it first: asymcert zoo tumours --out runs/tumours"
MB = 1_000_000
IMAGES = ("cats-dogs", "fashion", "mnist")
SLOW = (*IMAGES, "intrusion")  # whose certificates take long: benchmarks/zoo.py measures all again


def test_the_zoo_is_as_large_and_as_small_as_promised():
    sizes = {name: zoo.entry(name).size for name in NAMES}
    assert len(NAMES) >= 10
    assert max(sizes.values()) <= 2 * MB
    assert sum(sizes.values()) <= 12 * MB


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_the_one_that_its_card_speaks_of(name):
    entry, model = zoo.entry(name), asymcert.load(f"zoo:{name}")
    assert entry.card["model"]["digest"] == model.digest == Run(f"zoo:{name}").digest
    assert entry.card["data"]["digest"] == RunFolder(f"zoo:{name}").facts().data_digest
    assert all(text.strip() for text in (entry.title, entry.data, entry.licence))
    assert "prompt-injection" not in entry.command
    assert model.digest in (entry.folder / zoo.PAGE).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_model_names_no_folder_of_the_machine_that_made_it(name):
    folder = zoo.entry(name).folder
    texts = [path.read_text(encoding="utf-8") for path in folder.iterdir() if path.suffix in (".json", ".md", ".toml")]
    assert not [text for text in texts if re.search(r"(?<![\w:/.])/(home|root|work|tmp|usr|Users)/", text)]


@pytest.mark.parametrize("name", NAMES)
def test_attacks_were_tried_on_every_model_and_none_succeeded(name):
    attacks = zoo.entry(name).card["attacks"]
    assert sum(each["tried"] for each in attacks) >= 20
    assert sum(each["broken"] for each in attacks) == 0


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(IMAGES)])
def test_verdicts_on_images_are_those_that_a_card_counts(name):
    run = Run(f"zoo:{name}", tables(name))
    sensitive, test = run.model.predict(run.data.test.x), run.data.test
    counts = {
        "caught": (sensitive & test.y).sum(),
        "missed": (~sensitive & test.y).sum(),
        "false_alarms": (sensitive & ~test.y).sum(),
        "passed": (~sensitive & ~test.y).sum(),
    }
    assert zoo.entry(name).card["clean"]["confusion"] == {key: int(count) for key, count in counts.items()}


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(SLOW)])
def test_what_a_card_says_is_measured_again(name, tmp_path):
    entry, run = zoo.entry(name), Run(zoo.copy(name, tmp_path / "run"), tables(name))
    model = run.model
    certifier = certifier_for(entry.method or default_method(model))
    threats = threats_for(model)
    if certifier.counts and model.scaling is not None and model.scaling.windows is None:
        threats = [*threats_for(model, ["columns"]), *threats]
    rows = evaluate(model, run.data.test, run.folder, threats, certifier, data_digest=run.data.digest, seed=0)
    measured = summary(rows).sort("threat")
    stated = sorted(entry.card["certified"], key=lambda each: each["threat"])
    assert measured["threat"].to_list() == [each["threat"] for each in stated]
    for figure in ("median_radius", "mean_radius"):
        assert measured[figure].to_list() == pytest.approx([float(each[figure]) for each in stated], rel=1e-6)
    accuracy = pytest.approx(entry.figures()["balanced accuracy"], abs=1e-12)
    assert measured["accuracy_balanced"].to_list() == [accuracy] * len(threats)


def tables(name):
    """Where a run's table is, or None for data that go by name."""
    source = RunFolder(f"zoo:{name}").facts().source
    if source["name"] == "breast-cancer":
        return None
    published = os.environ.get("ASYMCERT_DATA") or pytest.skip("ASYMCERT_DATA is not set")
    return Path(published) / "tables" if source["options"] else published


def test_a_name_that_is_unknown_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"got 'spam-sm'\. Did you mean spam-sms"):
        asymcert.load("zoo:spam-sm")


def test_nothing_is_written_into_the_package(tmp_path):
    folder = RunFolder("zoo:tumours")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.path.rglob("*"))
    model = folder.load_model()
    for write in (
        lambda: folder.save_model(model),
        lambda: folder.change(folder.facts(), model),
        lambda: folder.save_threat(asymcert.ThreatModel(2)),
        lambda: folder.append("certificates", folder.read("certificates")),
        lambda: folder.append_log({"epoch": 1}),
    ):
        with pytest.raises(RunError, match=READ_ONLY):
            write()
    with pytest.raises(InputError, match="`path` must be a place of your own"):
        folder.create(folder.facts())
    assert sorted((path.name, path.stat().st_mtime_ns) for path in folder.path.rglob("*")) == before


@pytest.fixture
def own_zoo(tmp_path, monkeypatch):
    """A zoo with one model, which a test may fail to leave as it is."""
    folder = tmp_path / "package" / "zoo"
    shutil.copytree(zoo.entry("tumours").folder, folder / "tumours")
    for module in (places, entries):
        monkeypatch.setattr(module, "MODELS", folder)
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("way", ["relative", "up and down", "link", "link to the zoo", "link in the way", "its model"])
def test_the_zoo_is_read_only_by_whatever_path(own_zoo, tmp_path, monkeypatch, way):
    links = {"link": own_zoo / "tumours", "link to the zoo": own_zoo, "link in the way": own_zoo.parent}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    if way == "link in the way":
        for module in (places, entries):  # the package itself was found through a link
            monkeypatch.setattr(module, "MODELS", tmp_path / way / "zoo")
    (tmp_path / "half").mkdir()
    shutil.copy(own_zoo / "tumours" / "run.json", tmp_path / "half")
    (tmp_path / "half" / "model.safetensors").symlink_to(own_zoo / "tumours" / "model.safetensors")
    monkeypatch.chdir(own_zoo)
    path = {
        "relative": "tumours",
        "up and down": "tumours/../tumours",
        "link": tmp_path / "link",
        "link to the zoo": tmp_path / "link to the zoo" / "tumours",
        "link in the way": own_zoo / "tumours",
        "its model": tmp_path / "half",
    }[way]
    before, run = contents(own_zoo), RunFolder(path)
    model = run.load_model()
    for write in (
        lambda: run.save_model(model),
        lambda: run.change(run.facts(), model.with_threshold(1.0)),
        lambda: run.append("certificates", run.read("certificates")),
        lambda: run.write_plan(model.scaling.plan),
        lambda: run.append_log({"epoch": 1}),
        run.check_own,
    ):
        with pytest.raises(RunError, match=READ_ONLY):
            write()
    assert contents(own_zoo) == before


def test_no_run_is_made_in_the_zoo_or_under_a_name_of_it(own_zoo, tmp_path, monkeypatch):
    facts = RunFolder("zoo:tumours").facts()
    monkeypatch.chdir(own_zoo)
    for out in ("mine", "tumours/mine", own_zoo / "mine", "./zoo:mine"):
        with pytest.raises(InputError, match="`path` must be a place of your own"):
            RunFolder(out).create(facts)
        with pytest.raises(InputError, match="`out` must be a place of your own"):
            zoo.copy("tumours", out)
    with pytest.raises(InputError, match=r"got zoo:mine\. The zoo is read only: choose runs/mine\."):
        zoo.copy("tumours", "zoo:mine")
    with pytest.raises(InputError, match="no folder of your own"):
        RunFolder("zoo:mine")
    assert [path.name for path in own_zoo.iterdir()] == ["tumours"]
    assert not (own_zoo / "tumours" / "mine").exists()


def test_a_copy_is_a_run_of_ones_own(tmp_path):
    out = zoo.copy("tumours", tmp_path / "mine")
    run = RunFolder(out)
    run.save_threat(asymcert.ThreatModel(2))
    assert run.load_model().digest == asymcert.load("zoo:tumours").digest
    assert not list(out.glob("card.*"))
    with pytest.raises(InputError, match="a new folder"):
        zoo.copy("tumours", out)


def test_a_run_folder_loads_as_its_model(tmp_path):
    out = zoo.copy("tumours", tmp_path / "mine")
    assert BinaryClassifier.load(out).digest == BinaryClassifier.load(out / "model.safetensors").digest


def test_the_monotone_model_outlasts_any_number_of_added_words():
    radii = zoo.entry("spam-sms-monotone").radii()
    assert radii["words add"] == math.inf
    model = asymcert.load("zoo:spam-sms-monotone")
    words = [" ham meeting tomorrow love you" * count for count in (0, 1, 50)]
    texts = [f"You have won a free prize, call 09061701461 now{more}" for more in words]
    margins = model.margin(model.scaling.encode(pl.DataFrame({"text": texts})))
    assert (margins > 0).all()
    assert margins[0] <= margins[1:].min()


def test_commands_of_the_entries_are_those_that_the_command_line_knows():
    for name in NAMES:
        entry = zoo.entry(name)
        assert "/" not in entry.command
        assert floor_percent(entry.figures()["balanced accuracy"]).endswith("%")
        json.dumps(entry.card)
        assert torch.isfinite(torch.tensor(asymcert.load(f"zoo:{name}").threshold))


def test_loading_a_model_with_signs_does_not_load_the_compiler_of_pytorch():
    code = "import asymcert, sys; asymcert.load('zoo:spam-sms'); sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
