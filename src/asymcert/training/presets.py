"""Recipes by data set. What each reaches is in the README, with the command that shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from asymcert.datasets import BinaryData
from asymcert.training.config import TrainConfig

# Pfrommer et al. 2023, appendix: SGD 0.001, momentum 0.9, decay 0.99 an epoch, batch 64, Jacobian weight per data set.
# One difference: the Jacobian is that of the network with running statistics, which is the one that is deployed.
_JACOBIAN: dict[str, Any] = {"loss": "cross-entropy", "penalty": "published", "penalty_weight": 0.01, "warmup": 0.0}
_SGD: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 0.001, "schedule": "exponential", "batch_size": 64}
_PUBLISHED = TrainConfig(**_JACOBIAN, **_SGD, feature_map="identity", batch_norm=True, averaging=0.0, keep="best")
_PUBLISHED = replace(_PUBLISHED, sensitive_only=False)
_CONV: dict[str, Any] = {"architecture": "conv", "passthrough": False}
_MLP = TrainConfig()
_GRADIENT = TrainConfig(loss="cross-entropy", penalty="rms")
_STRIDED: dict[str, Any] = {"architecture": "conv", "channels": 64, "depth": 2, "first_kernel": 8, "stride": 4}
_STRIDED |= {"pool": "average", "pool_size": 2, "initialisation": "standardised", "feature_map": "centre-absolute"}
# The medians that training reaches are about five times these targets.
_FLAT: dict[str, Any] = {"target_l1": 1.0, "target_l2": 0.05, "target_linf": 0.0011, "sensitive_only": False}
_MIRRORED: dict[str, Any] = {"crop": 3, "flip": True, "mirror": True, "shift": 1, "batch_size": 64}
_MIRRORED |= {"validate_every": 20}

# Trained on the falls that the tangent certificate follows, for one norm each; its target moves along the front. For l2
# images are split into bands; sums over blocks make photographs simple enough for few units. Averages of four scores
# gain in accuracy and in radius.
_TANGENT: dict[str, Any] = {"loss": "tangent", "feature_map": "centre-absolute", "target_l2": 0.0, "crop": 1}
_TANGENT |= {"optimizer": "adamw", "weight_decay": 0.1, "learning_rate": 0.002, "epochs": 20, "validate_every": 10}
_AVERAGE: dict[str, Any] = {**_TANGENT, "members": 4}
_BANDS: dict[str, Any] = {**_AVERAGE, "bands": 2}
_PHOTOGRAPH: dict[str, Any] = {"levels": 1, "flip": True, "mirror": True, "crop": 2, "epochs": 25}
# Where most pixels are 0, kinks away from the mean leave room in which small changes to them count for nothing.
_HINGED: dict[str, Any] = {"feature_map": "hinges", "hinge_count": 3, "hidden": (64, 32), "epochs": 40}
_FEW: dict[str, Any] = {"hidden": (64, 32), "batch_size": 32, "epochs": 60, "averaging": 0.98, "crop": 0}
_NORMS: dict[str, TrainConfig] = {
    "image-l1": replace(_MLP, **_TANGENT | _FEW, target_l1=2.0),
    "image-l2": replace(_MLP, **_TANGENT | _FEW | {"bands": 1, "target_l2": 0.7}),
    "image-linf": replace(_MLP, **_TANGENT | _FEW, target_linf=0.05),
    "mnist-l1": replace(_MLP, **_AVERAGE, target_l1=7.5),
    "mnist-l2": replace(_MLP, **_BANDS | {"target_l2": 1.8}),
    "mnist-linf": replace(_MLP, **_AVERAGE, target_linf=0.25),
    "fashion-l1": replace(_MLP, **_AVERAGE, target_l1=8.0),
    "fashion-l2": replace(_MLP, **_BANDS | {"target_l2": 1.0, "epochs": 50, "flip": True, "mirror": True}),
    "fashion-linf": replace(_MLP, **_AVERAGE | _HINGED, target_linf=0.04),
    "cifar10-l1": replace(_MLP, **_AVERAGE | _PHOTOGRAPH, target_l1=10.0),
    "cifar10-l2": replace(_MLP, **_BANDS | _PHOTOGRAPH | {"target_l2": 0.6, "epochs": 50}),
    "cifar10-linf": replace(_MLP, **_AVERAGE | _PHOTOGRAPH, target_linf=0.03),
}

# On a learned 1-Lipschitz map, certified in closed form, trained in a minute or two. The score is linear: a bent one
# trains to be so there (benchmarks/bent_scores.py). By family: inputs, epochs and target.
_MAPPED: dict[str, Any] = {"architecture": "additive", "feature_map": "orthogonal", "map_width": 256}
_MAPPED |= {"epochs": 20, "crop": 1}
_ON_MAPS: dict[str, dict[str, Any]] = {
    "image": {"target_l2": 1.0},
    "mnist": {"target_l2": 2.6},
    "fashion": {"target_l2": 1.2, "epochs": 60, "flip": True},
    "cifar10": {"target_l2": 0.8, "levels": 1, "crop": 2, "flip": True},
}


def _on_map(name: str) -> dict[str, TrainConfig]:
    """Ours, and the same of a rival's layers."""
    ours = replace(_MLP, **_MAPPED | _ON_MAPS[name])
    return {f"{name}-map": ours, f"{name}-sll": replace(ours, feature_map="sll")}


# Along the front in l2: one small score, trained and certified quickly; the average above; and the same for accuracy.
_SMALL: dict[str, Any] = {"members": 1, "hidden": (64, 32)}


def _family(name: str) -> dict[str, TrainConfig]:
    balanced = _NORMS[f"{name}-l2"]
    accurate = replace(balanced, target_l2=0.35 * balanced.target_l2)
    return {
        f"{name}-small": replace(balanced, **_SMALL),
        f"{name}-balanced": balanced,
        f"{name}-accurate": accurate,
    }


# By search on validation data. What helped most and cost least were few steps, smoothed labels
# and the average of small networks; counting the worst change of three columns a little keeps attacks of new kinds.
_TABLE: dict[str, Any] = {"feature_map": "ramps", "edges": 12, "members": 4, "hidden": (16, 8), "dropout": 0.25}
_TABLE |= {
    "loss": "cross-entropy",
    "label_smoothing": 0.1,
    "class_weight": "balanced",
    "target_columns": 3,
    "columns_weight": 0.1,
}
_TABLE |= {"optimizer": "adamw", "learning_rate": 0.02, "beta2": 0.99, "weight_decay": 0.01}
# A larger score, trained for longer so that alerts outlast changes of columns; `target_columns` moves along the front.
_COLUMNS: dict[str, Any] = {"members": 1, "hidden": (64, 32), "edges": 16, "dropout": 0.1, "label_smoothing": 0.0}
_COLUMNS |= {"target_columns": 2, "columns_weight": 1.0, "learning_rate": 0.005}
STEPS = {"table": 400, "columns": 1000}  # of the optimiser, at least
LEAST_EPOCHS = 3  # passes over long tables
SMALL_BATCH, BIG_BATCH, LONG = 256, 1024, 100_000  # table: most samples a step, and rows from which there are more

PRESETS: dict[str, TrainConfig] = {
    "digits": replace(_MLP, hidden=(64, 32), batch_size=32, epochs=100, averaging=0.98, target_l2=0.7),
    "image": replace(_MLP, hidden=(64, 32), batch_size=32, epochs=60, averaging=0.98, target_l2=0.2),
    "table": replace(_MLP, **_TABLE),
    "columns": replace(_MLP, **_TABLE | _COLUMNS),
    "mnist": replace(_MLP, loss="radius", target_l2=2.4, radius_weight=0.8, crop=1),
    "fashion": replace(_GRADIENT, centre_on="pixel", penalty_weight=0.115, penalty_max=0.2, epochs=40, crop=1),
    "cifar10": replace(_MLP, **_STRIDED, **_FLAT, **_MIRRORED, learning_rate=0.002, epochs=40, averaging=0.995),
    "malimg": replace(_MLP, crop=20, epochs=150),
    "mnist-published": replace(_PUBLISHED, crop=1),
    "fashion-published": replace(_PUBLISHED, **_CONV, channels=4, depth=3, first_kernel=5, crop=1),
    "cifar10-published": replace(
        _PUBLISHED, **_CONV, feature_map="centre-absolute", crop=3, flip=True, penalty_weight=0.0075, epochs=150
    ),
    "malimg-published": replace(_PUBLISHED, crop=20, penalty_weight=0.075, epochs=150),
    **_NORMS,
    **{key: recipe for name in _ON_MAPS for key, recipe in (_family(name) | _on_map(name)).items()},
}


def for_rows(recipe: TrainConfig, preset: str, data: BinaryData) -> TrainConfig:
    """The recipe of a preset; those for tables with batches and epochs for so many training rows, validated at the end.

    An eighth of a short table makes a batch; steps are about as many for all tables until passes get too few.
    """
    if preset not in STEPS:
        return recipe
    rows = len(data.train)
    batch = max(1, min(max(16, rows // 8), BIG_BATCH if rows >= LONG else SMALL_BATCH, rows))
    epochs = max(LEAST_EPOCHS, round(STEPS[preset] * batch / rows))
    return replace(recipe, batch_size=batch, epochs=epochs, validate_every=epochs)
