"""That each field of every recipe counts."""

import dataclasses
from functools import cache

import pytest

from asymcert import train
from asymcert.errors import InputError
from asymcert.training import MODELS
from contracts.toys import RECIPES, outcome, toy


@pytest.fixture
def data(model):
    return toy(model)


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
    "drawn": 1.5,
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
    **{name: {"feature_map": "sll", "map_width": 8} for name in ("map_layers", "map_width", "map_depth")},
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
    ("linf-net", "drawn"),
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
