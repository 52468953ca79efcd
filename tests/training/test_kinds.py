"""What holds for the training of every kind of model: resuming, records, early stopping, and that each field counts."""

import dataclasses
import json
import math
from functools import cache

import numpy as np
import pytest
import torch

from asymcert import datasets, train
from asymcert.datasets import BinaryData, Split
from asymcert.datasets.many import ManyClasses
from asymcert.datasets.scaling import TableScaling
from asymcert.datasets.text_columns import WindowsColumn
from asymcert.errors import InputError, RunError
from asymcert.studies.cascade import train_second
from asymcert.studies.convex_concave import train_convex_concave
from asymcert.texts.canonical import CanonicalForm
from asymcert.texts.codes import packed
from asymcert.texts.encoder import TextEncoder
from asymcert.texts.vocabulary import Vocabulary
from asymcert.training import MODELS, LinfConfig, TrainConfig, preset_for
from asymcert.training.distributed import Processes
from asymcert.training.linf_nets import train_classes
from asymcert.training.models import with_defaults

SMALL = {
    "feature-convex": {"hidden": (6, 5), "channels": 2, "depth": 2, "first_kernel": 3},
    "linf-net": {"width": 8, "depth": 3, "p_end": 100.0, "epsilon": 0.1, "deviation": 0.3},
    "linf-convex": {"width": 8, "depth": 3, "convex": (4,), "features": 4, "epochs": 2, "above": 2, "epsilon": 0.1},
    "smoothing": {"width": 8},
    "splitting": {"width": 8, "sigma": 0.05},
    "cayley": {"widths": (4, 4), "width": 2},
    "relu": {"widths": (5,), "attack_steps": 2, "epsilon": 0.05},
    "convex-concave": {"hidden": (6,)},
    "text": {"hidden": (6,), "dropout": 0.1, "target_words": 1, "sensitive_weight": 1.0},
}
RECIPES = {
    name: kind.config(**({"epochs": 4, "batch_size": 16, "learning_rate": 0.01} | SMALL[name]))
    for name, kind in MODELS.items()
}
EVERY = pytest.mark.parametrize("model", MODELS)


def splits():
    """Small images whose sensitive class is brighter on the left."""
    generator = torch.Generator().manual_seed(0)
    for n in (32, 12, 12):
        x, y = torch.rand(n, 1, 6, 6, generator=generator) * 0.5, torch.arange(n) % 2 == 0
        x[y, :, :, :3] += 0.4
        yield x, y


def texts():
    """Texts whose sensitive ones have more of the first animals."""
    encoder = TextEncoder(CanonicalForm(), Vocabulary(ANIMALS, pairs=(ANIMALS[:2], ANIMALS[2:4])))
    generator = np.random.default_rng(0)
    for n in (32, 12, 12):
        y = torch.arange(n) % 2 == 0
        drawn = [" ".join(generator.choice(ANIMALS, 5, p=WORDS[int(own)])) for own in y]
        yield torch.from_numpy(packed(encoder.encode(drawn), n, 8)), y, encoder


ANIMALS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")
WORDS = {0: np.array([1, 1, 1, 1, 7, 7, 7, 7]) / 32, 1: np.array([7, 7, 7, 7, 1, 1, 1, 1]) / 32}


@cache
def toy(model, flat=False, more=0):
    """Data for a kind of model; `more` samples of a class in each split."""
    parts, scaling = [(x.flatten(1) if flat else x, y) for x, y in splits()], None
    if MODELS[model].texts:
        found = list(texts())
        parts, scaling = [part[:2] for part in found], TableScaling((WindowsColumn("text", "", found[0][2], 8),))
    parts = [Split(torch.cat((x, x[:more])), torch.cat((y, y[:more]))) for x, y in parts]
    return BinaryData("toy", *parts, sensitive="left", other="none", scaling=scaling)


@pytest.fixture
def data(model):
    return toy(model)


@pytest.fixture(scope="module")
def many():
    return ManyClasses("toy", ("none", "left"), *((x, y.long()) for x, y in splits()))


def outcome(model, records=()):
    """Weights, threshold, and at which epochs there was a validation."""
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    return weights, getattr(model, "threshold", 0.0), ["seconds" in r and len(r) > 4 for r in records]


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
COMMON = {
    "epochs": 3,
    "batch_size": 12,
    "optimizer": "sgd",
    "learning_rate": 0.002,
    "momentum": 0.1,
    "nesterov": True,
    "beta1": 0.5,
    "beta2": 0.5,
    "adam_epsilon": 1e-2,
    "weight_decay": 0.5,
    "schedule": "exponential",
    "decay": 0.3,
    "averaging": 0.2,
    "crop": 1,
    "flip": True,
    "keep": "best",
    "patience": 1,
    "validate_every": 2,
    "false_positive_rate": 0.5,
}
FEATURE_CONVEX = {
    "architecture": "conv",
    "feature_map": "centre-absolute",
    "centre_on": "pixel",
    "levels": 1,
    "bands": 1,
    "map_layers": "convolutional",
    "map_width": 6,
    "map_depth": 2,
    "soft_width": 0.3,
    "hinge_count": 3,
    "hidden": (7,),
    "passthrough": False,
    "monotone": True,
    "channels": 3,
    "depth": 3,
    "first_kernel": 5,
    "kernel": 1,
    "stride": 2,
    "pool": "average",
    "pool_size": 2,
    "batch_norm": True,
    "nonnegativity": "softplus",
    "initialisation": "principled",
    "edges": 5,
    "members": 2,
    "increasing": ("0",),
    "decreasing": ("0",),
    "target_columns": 2,
    "columns_weight": 0.9,
    "label_smoothing": 0.2,
    "class_weight": "balanced",
    "dropout": 0.5,
    "loss": "radius",
    "target_l1": 2.0,
    "target_l2": 0.9,
    "target_linf": 0.2,
    "radius_weight": 2.0,
    "sensitive_only": False,
    "warmup": 0.0,
    "penalty": "published",
    "penalty_weight": 0.5,
    "penalty_max": 0.5,
    "mirror": True,
    "shift": 1,
}
LINF = {
    "width": 6,
    "depth": 2,
    "convolutions": ((2, 3, 1),),
    "groups": 2,
    "head": 3,
    "features": 5,
    "convex": (6,),
    "above": 3,
    "rho": 0.3,
    "centre": 0.5,
    "deviation": 0.7,
    "epsilon": 0.2,
    "epsilon_other": 0.05,
    "sensitive_weight": 2.0,
    "loss": "hinge",
    "mix_start": 0.5,
    "mix_end": 0.04,
    "p_start": 4.0,
    "p_end": 50.0,
    "rise_from": 0.5,
    "rise_until": 0.6,
    "scale_rate": 0.5,
}
TEXT = {
    "hidden": (4,),
    "target_words": 2,
    "target_edits": 2,
    "edits": ("replace",),
    "words_weight": 0.5,
    "edits_weight": 0.9,
    "rising": "all",
    "label_smoothing": 0.2,
    "sensitive_weight": 0.2,
    "dropout": 0.5,
    "warmup": 0.0,
}
SMOOTHING = {
    "noise": "laplacian",
    "sigma": 0.5,
    "stability": 1.0,
    "network": "convnet",
    "width": 12,
    "loss": "macer",
    "copies": 3,
    "sharpness": 4.0,
    "gamma": 3.0,
    "radius_weight": 1.0,
    "sensitive_only": True,
}
RELU = {
    "widths": (6,),
    "loss": "crown-ibp",
    "epsilon": 0.2,
    "norm": "l2",
    "ramp": 1.0,
    "attack_steps": 1,
    "kappa": 0.5,
    "beta": 0.5,
    "sensitive_only": True,
}
OWN = {
    "feature-convex": FEATURE_CONVEX,
    "linf-net": LINF,
    "linf-convex": LINF,
    "smoothing": SMOOTHING,
    "splitting": {"sigma": 0.1, "network": "convnet", "width": 12},
    "cayley": {"network": "resnet-9", "widths": (6,), "width": 4, "halvings": 1, "margin": 0.1},
    "relu": RELU,
    "convex-concave": {"hidden": (4,)},
    "text": TEXT,
}
CONV, RESNET, RAMPS = {"architecture": "conv"}, {"network": "resnet-9"}, {"feature_map": "ramps"}
NEEDS = {
    **dict.fromkeys(("channels", "depth", "first_kernel", "kernel", "stride", "pool_size"), CONV),
    "pool": CONV | {"pool_size": 2},
    "monotone": {"feature_map": "centre-absolute"},
    "soft_width": {"feature_map": "soft-threshold"},
    "hinge_count": {"feature_map": "hinges"},
    **{name: {"feature_map": "sll"} for name in ("map_layers", "map_width", "map_depth")},
    **dict.fromkeys(("edges", "increasing", "decreasing"), RAMPS),
    "target_columns": RAMPS | {"loss": "cross-entropy"},
    "columns_weight": RAMPS | {"loss": "cross-entropy", "target_columns": 1, "warmup": 0.0},
    "class_weight": {"loss": "cross-entropy"},
    **{name: {"loss": "cross-entropy", "penalty": "rms"} for name in ("penalty_weight", "penalty_max")},
    "radius_weight": {"loss": "radius"},
    "penalty": {"loss": "cross-entropy"},
    "halvings": RESNET,
    "momentum": {"optimizer": "sgd"},
    "nesterov": {"optimizer": "sgd"},
    "decay": {"schedule": "exponential"},
    "patience": {"schedule": "constant", "epochs": 10},
    "keep": {"schedule": "constant", "learning_rate": 0.3, "averaging": 0.0, "epochs": 8},
    "epsilon_other": {"epsilon": 0.5},  # so great that samples of both classes fall short of it
}
MACER = ("copies", "sharpness", "gamma", "radius_weight", "sensitive_only")
OTHER_NEEDS = {
    ("text", "edits"): {"target_edits": 1},
    ("text", "edits_weight"): {"target_edits": 1},
    ("text", "false_positive_rate"): {"epochs": 12, "rising": "all", "learning_rate": 0.05},
    ("cayley", "width"): RESNET,
    **{("smoothing", name): {"loss": "macer"} for name in MACER},
    **{("relu", name): {"loss": "crown-ibp"} for name in ("norm", "kappa", "beta", "sensitive_only")},
    ("linf-net", "depth"): {},
    ("linf-convex", "depth"): {},
}
REFUSED = {
    ("linf-net", "convex"),
    ("linf-net", "features"),
    ("linf-net", "above"),
    ("linf-convex", "head"),
    ("linf-convex", "loss"),
}
REFUSED |= {("text", "crop"), ("text", "flip")}
FIELDS = [(model, item.name) for model, kind in MODELS.items() for item in dataclasses.fields(kind.config)]


@cache
def trained_by(model, recipe):
    """Outcome of a training, once for each recipe."""
    records = []
    data = toy(model, getattr(recipe, "feature_map", "") == "ramps", 1)
    return outcome(train(data, model, config=recipe, on_epoch=records.append), records)


@pytest.mark.parametrize(("model", "field"), FIELDS, ids=lambda value: value)
def test_every_field_changes_something(data, model, field):
    change = {field: (COMMON | OWN[model])[field]}
    if (model, field) in REFUSED:
        with pytest.raises(InputError, match=f"`{field}` must be"):
            train(data, model, config=RECIPES[model], **change)
        return
    needs = OTHER_NEEDS.get((model, field), NEEDS.get(field, {}))
    base = dataclasses.replace(RECIPES[model], **needs)
    assert trained_by(model, dataclasses.replace(base, **change)) != trained_by(model, base)


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
