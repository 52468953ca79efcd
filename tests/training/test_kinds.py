"""What holds for the training of every kind of model: resuming, records, early stopping."""

import dataclasses
import json
import math

import pytest
import torch

from asymcert import datasets, train
from asymcert.datasets.many import ManyClasses
from asymcert.errors import InputError, RunError
from asymcert.studies.cascade import train_second
from asymcert.studies.convex_concave import train_convex_concave
from asymcert.training import MODELS, LinfConfig, TrainConfig, preset_for
from asymcert.training.distributed import Processes
from asymcert.training.linf_nets import train_classes
from asymcert.training.models import with_defaults
from contracts.toys import EVERY, RECIPES, outcome, splits, toy


@pytest.fixture
def data(model):
    return toy(model)


@pytest.fixture(scope="module")
def many():
    return ManyClasses("toy", ("none", "left"), *((x, y.long()) for x, y in splits()))


def interrupted_and_resumed(run, path):
    """The model of a run that is stopped in its third epoch and continued."""

    def stop(record):
        if record["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asymcert.training.checkpoint.CHECKPOINT_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            run(checkpoint=path, on_epoch=stop)
        epochs = []
        model = run(checkpoint=path, on_epoch=lambda record: epochs.append(record["epoch"]))
    assert epochs == [3, 4]  # the third ran, but was stopped before its checkpoint
    assert outcome(run(checkpoint=path, on_epoch=stop)) == outcome(model)  # a finished run is not run again
    return model


@pytest.mark.parametrize("changed", [{}, {"averaging": 0.5, "keep": "best", "optimizer": "sgd"}])
@EVERY
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(data, tmp_path, model, changed):
    def run(**options):
        return train(data, model, config=RECIPES[model], seed=1, **changed, **options)

    path = tmp_path / "checkpoint"
    before = torch.random.get_rng_state()
    assert outcome(interrupted_and_resumed(run, path)) == outcome(run())
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(RunError, match=r"another seed.*delete it"):
        train(data, model, config=RECIPES[model], checkpoint=path, **changed)
    with pytest.raises(RunError, match="another batch_size"):
        train(data, model, config=RECIPES[model], seed=1, checkpoint=path, **changed, batch_size=8)


@pytest.mark.parametrize("name", ["second stage", "convex-concave", "linf-net"])
def test_so_do_those_of_many_classes(many, tmp_path, name):
    def run(**options):
        options |= {"epochs": 4, "batch_size": 16}
        if name == "second stage":
            return train_second(many, 5, **options)
        if name == "convex-concave":
            return train_convex_concave(many, 0, hidden=(4,), **options)
        return train_classes(many.train, many.val, many.classes, width=6, depth=2, **options)

    assert outcome(interrupted_and_resumed(run, tmp_path / "checkpoint")) == outcome(run())


@EVERY
def test_records_say_how_it_goes(data, model):
    records = []
    trained = train(data, model, config=RECIPES[model], validate_every=3, on_epoch=records.append)
    records = json.loads(json.dumps(records))
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert all(math.isfinite(record["loss"]) and record["seconds"] > 0 for record in records)
    validated = [not {"accuracy", "certified"}.isdisjoint(record) for record in records]
    assert validated == [False, model == "linf-convex", True, True]  # whose first stage ends with the second
    assert (trained.sensitive, trained.other, trained.input_shape) == ("left", "none", data.input_shape)
    assert trained.info["data_digest"] == data.digest
    assert (trained.info["model"], trained.info["config"]["validate_every"]) == (model, 3)


@EVERY
def test_training_stops_after_validations_that_are_no_better(data, tmp_path, model):
    records = []
    options = {"epochs": 200, "patience": 2, "schedule": "constant", "checkpoint": tmp_path / "checkpoint"}
    stopped = train(data, model, config=RECIPES[model], on_epoch=records.append, **options)
    values = [record["certified"] if "certified" in record else record["accuracy"] for record in records]
    assert len(records) < 200
    assert len(values) - 1 - values.index(max(values)) == 2
    again = train(data, model, config=RECIPES[model], on_epoch=records.append, **options)
    assert len(records) == len(values)
    assert outcome(again) == outcome(stopped)


@EVERY
def test_it_learns_and_the_same_seed_gives_the_same(data, model):
    first, again, other = (train(data, model, config=RECIPES[model], epochs=10, seed=seed) for seed in (0, 0, 1))
    assert outcome(first) == outcome(again) != outcome(other)
    scores = first.margin(data.test.x)
    assert float(scores[data.test.y].mean()) > float(scores[~data.test.y].mean())


# One alternative value for every field; together with what the field needs it must change model or records.
@EVERY
def test_unknown_names_are_answered_by_the_nearest_known(data, model):
    said = rf"`epoch` must be left out for model '{model}', got 3\. Did you mean epochs\?"
    with pytest.raises(InputError, match=said):
        train(data, model, epoch=3)
    with pytest.raises(InputError, match=said):
        MODELS[model].recipe(data, epoch=3)
    with pytest.raises(InputError, match=rf"`model` must be one of .*, got '{model}s'\. Did you mean {model}\?"):
        train(data, f"{model}s")
    with pytest.raises(InputError, match="`preset` must be one of"):
        train(data, model, "none such")
    other = LinfConfig() if model == "feature-convex" else TrainConfig()
    with pytest.raises(InputError, match=f"`config` must be .* for model '{model}'"):
        train(data, model, config=other)


@EVERY
def test_every_preset_is_a_recipe_of_its_kind(data, model):
    for preset in MODELS[model].presets:
        assert isinstance(MODELS[model].recipe(data, preset, epochs=2), MODELS[model].config)


@EVERY
def test_only_distance_nets_share_batches_between_processes(data, model, monkeypatch):
    monkeypatch.setattr(Processes, "current", lambda: Processes(0, 2))
    monkeypatch.setattr(Processes, "check_equal", lambda *_: pytest.fail("went on"))
    if not model.startswith("linf"):
        with pytest.raises(InputError, match="`WORLD_SIZE` must be 1 for this kind of model, got 2"):
            train(data, model, config=RECIPES[model])


def test_a_preset_in_second_place_still_works():
    digits = datasets.load("digits-3-8")
    with pytest.warns(DeprecationWarning, match="preset='digits'"):
        first = train(digits, "digits", epochs=1)
    assert first.digest == train(digits, preset="digits", epochs=1).digest


def test_a_recipe_recorded_before_a_field_was_there_has_its_default():
    now = dataclasses.asdict(preset_for(datasets.load("digits-3-8")))
    recorded = {"model": "feature-convex", **{name: value for name, value in now.items() if name != "beta1"}}
    assert with_defaults(recorded) == {"model": "feature-convex", **now}
    assert with_defaults({"model": "crown", "budget": "cpu"}) == {"model": "crown", "budget": "cpu"}
