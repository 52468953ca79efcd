import dataclasses
import json
import math
import re

import pytest
import torch

from asymcert import FeatureConvexClassifier, ThreatModel, certify, datasets, train
from asymcert.datasets import BinaryData, Split
from asymcert.errors import InputError, RunError
from asymcert.training import PRESETS, TrainConfig, preset_for
from asymcert.training.checkpoint import read_facts
from asymcert.training.feature_convex import FeatureConvex
from asymcert.training.presets import for_rows
from asymcert.training.trainer import Trainer, seeded

SHORT = TrainConfig(hidden=(16, 8), epochs=4, batch_size=32)


@pytest.fixture(scope="module")
def digits() -> BinaryData:
    return datasets.load("digits-3-8")


@pytest.fixture(scope="module")
def images() -> BinaryData:
    """Small images whose sensitive class is brighter on the left."""
    generator = torch.Generator().manual_seed(0)
    splits = []
    for n in (48, 16, 16):
        x = torch.rand(n, 3, 6, 6, generator=generator) * 0.5
        y = torch.arange(n) % 2 == 0
        x[y, :, :, :3] += 0.4
        splits.append(Split(x, y))
    return BinaryData("toy", *splits, sensitive="left", other="none")


def test_trained_digits_are_recognised_and_certified(digits):
    model = train(digits, seed=0)
    right = model.predict(digits.test.x) == digits.test.y
    assert float(right[digits.test.y].double().mean()) >= 0.95
    assert float(right[~digits.test.y].double().mean()) >= 0.95
    assert float(certify(model, digits.test.x[digits.test.y], ThreatModel(2)).radius.median()) > 0.5


def test_same_seed_same_model_other_seed_other_model(digits):
    first, again = (train(digits, config=SHORT, seed=3).digest for _ in range(2))
    assert first == again
    assert train(digits, config=SHORT, seed=4).digest != first


def test_training_leaves_global_randomness_alone(digits):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train(digits, config=SHORT, seed=5)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_killed_run_resumes_to_the_same_model(digits, tmp_path, monkeypatch, killed_after):
    monkeypatch.setattr("asymcert.training.checkpoint.CHECKPOINT_SECONDS", 0.0)
    config = dataclasses.replace(SHORT, keep="best")
    uninterrupted = train(digits, config=config, seed=1)

    def kill(record):
        if record["epoch"] == killed_after + 1:
            raise KeyboardInterrupt

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(digits, config=config, seed=1, checkpoint=path, on_epoch=kill)
    assert len(read_facts(path)["log"]) == killed_after
    epochs = []
    resumed = train(digits, config=config, seed=1, checkpoint=path, on_epoch=lambda r: epochs.append(r["epoch"]))
    assert epochs == list(range(killed_after + 1, 5))
    assert resumed.digest == uninterrupted.digest


@pytest.mark.parametrize(("change", "named"), [({"seed": 2}, "seed"), ({"epochs": 5}, "epochs")])
def test_checkpoint_of_another_run_is_refused(digits, tmp_path, change, named):
    path = tmp_path / "checkpoint.safetensors"
    train(digits, config=SHORT, seed=1, checkpoint=path)
    with pytest.raises(RunError, match=f"another {named}.*delete it"):
        train(digits, config=SHORT, **{"seed": 1, "checkpoint": path, **change})


def test_damaged_checkpoint_is_refused(digits, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(RunError, match="not a readable checkpoint"):
        train(digits, config=SHORT, checkpoint=path)


def test_early_stopping_deploys_the_best_epoch(digits):
    records = []
    config = dataclasses.replace(SHORT, epochs=200, patience=3, keep="best", learning_rate=0.02, schedule="constant")
    model = train(digits, config=config, on_epoch=records.append)
    certified = [record["certified"] for record in records]
    assert len(records) < 200
    assert len(records) - 1 - certified.index(max(certified)) == 3
    assert isinstance(model, FeatureConvexClassifier)


def test_the_most_accurate_epoch_is_kept(digits):
    log = []
    model = train(digits, config=SHORT, keep="accurate", on_epoch=log.append, seed=0)
    best = max(log, key=lambda record: record["accuracy_sensitive"] + record["accuracy_other"])
    assert model.threshold == pytest.approx(best["threshold"], rel=1e-3)
    assert len({record["threshold"] for record in log}) == len(log)


def test_weights_say_how_often_samples_are_drawn(digits):
    x, labels = digits.train.x[:4], torch.tensor([0, 1, 0, 1])
    weights = torch.tensor([1.0, 2.0, 0.5, 4.5])
    objective = FeatureConvex(dataclasses.replace(SHORT, batch_size=4), x)
    trainer = Trainer(objective, (x, labels), (x, labels), {}, weights=weights)
    draws = torch.Generator().manual_seed(0)
    drawn = torch.cat([trainer._order(draws) for _ in range(5000)]).bincount(minlength=4) / 20000
    assert drawn.tolist() == pytest.approx((weights / weights.sum()).tolist(), abs=0.015)
    plain = Trainer(objective, (x, labels), (x, labels), {})
    assert plain._order(draws).sort().values.tolist() == [0, 1, 2, 3]


def test_weighted_data_have_a_digest_of_their_own(digits):
    weighted = dataclasses.replace(
        digits, train=dataclasses.replace(digits.train, weight=torch.ones(len(digits.train)))
    )
    assert weighted.digest != digits.digest
    for wrong in (torch.zeros(len(digits.train)), torch.ones(3)):
        with pytest.raises(InputError, match="`weight` must be positive, of shape"):
            dataclasses.replace(digits.train, weight=wrong)


def test_false_positive_rate_sets_the_threshold(digits):
    model = train(digits, config=SHORT, false_positive_rate=0.0)
    assert not bool(model.predict(digits.val.x[~digits.val.y]).any())


def test_epoch_records_fit_into_json(digits):
    records = []
    train(digits, config=SHORT, on_epoch=records.append)
    assert [record["epoch"] for record in json.loads(json.dumps(records))] == [1, 2, 3, 4]
    assert set(records[-1]["medians"]) == {"l1", "l2", "linf"}


BASE = TrainConfig(hidden=(6, 5), channels=2, depth=2, first_kernel=3, epochs=6, batch_size=16)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"loss": "hinge"}, "loss"),
        ({"averaging": 1.5}, "averaging"),
        ({"target_l2": 0.0}, "target_l2"),
        ({"false_positive_rate": 2.0}, "false_positive_rate"),
        ({"epoch": 3}, "`epoch` must be left out for model 'feature-convex', got 3. Did you mean epochs?"),
        ({"seed": -1}, "`seed` must be an integer of at least 0, got -1"),
        ({"seed": 1.5}, "`seed` must be an integer of at least 0, got 1.5"),
        ({"seed": None}, "`seed` must be an integer of at least 0, got None"),
    ],
)
def test_bad_configurations_are_refused_by_name(digits, overrides, named):
    with pytest.raises(InputError, match=re.escape(named)):
        train(digits, config=SHORT, **overrides)


def test_arrays_are_no_data(digits):
    with pytest.raises(InputError, match="`data` must be BinaryData, got ndarray"):
        train(digits.train.x.numpy())


def test_unknown_preset_and_preset_with_config_are_refused(digits):
    with pytest.raises(InputError, match=r"`preset` must be one of .*Did you mean mnist"):
        train(digits, preset="mnits")
    with pytest.raises(InputError, match="`config` must be given without a preset"):
        train(digits, preset="digits", config=SHORT)


def test_divergence_is_an_error_that_says_what_to_do(digits):
    with pytest.raises(RunError, match=r"diverged.*learning_rate"):
        train(digits, config=SHORT, optimizer="sgd", learning_rate=1e30)


def test_presets_follow_the_family(digits):
    assert preset_for(digits) == PRESETS["digits"]
    assert preset_for(dataclasses.replace(digits, name="my-images")) == PRESETS["image"]
    table = datasets.load("breast-cancer")
    assert preset_for(dataclasses.replace(table, name="mnist-x")) == for_rows(PRESETS["table"], "table", table)


def test_one_cycle_rises_then_falls_to_zero():
    rates = [SHORT.rate(progress / 100, 0) for progress in range(100)]
    peak = rates.index(max(rates))
    assert peak == 25
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert math.isclose(rates[-1], 0, abs_tol=1e-3)


def test_average_of_weights_is_what_is_deployed(digits):
    objective = seeded(lambda: FeatureConvex(SHORT, digits.train.x), 0)
    train_val = ((split.x, split.y.long()) for split in (digits.train, digits.val))
    trainer = Trainer(objective, *train_val, {})
    averaged = trainer.fit().score.first.weight
    model = train(digits, config=SHORT)
    assert torch.equal(model.score.first.weight, averaged.double())
    assert not torch.equal(objective.score.first.weight, averaged)


@pytest.mark.parametrize("architecture", ["mlp", "conv"])
def test_standardised_networks_start_with_mean_score_0(images, architecture):
    config = dataclasses.replace(BASE, architecture=architecture, initialisation="standardised")
    objective = FeatureConvex(config, images.train.x)
    scores = objective.score(objective.feature_map(images.train.x)).detach()  # all of them were measured
    assert float(scores.mean()) == pytest.approx(0, abs=1e-5)
    assert float(scores.std()) > 0


def test_trained_hidden_weights_are_nonnegative_for_every_upkeep(images):
    for upkeep in ("projection", "softplus"):
        for architecture in ("mlp", "conv"):
            model = train(images, config=BASE, nonnegativity=upkeep, architecture=architecture, batch_norm=True)
            assert all(bool((weight >= 0).all()) for _, weight in model.score.nonnegative())
