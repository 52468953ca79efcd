"""Training of l_inf-distance nets, for two classes or many, and of convex scores above them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from asymcert._checks import refuse
from asymcert.datasets import BinaryData
from asymcert.datasets.many import Labelled
from asymcert.models.base import BinaryClassifier
from asymcert.models.distance_net import DistanceClassifier
from asymcert.training.kind import Kind
from asymcert.training.linf_config import LINF_PRESETS, LinfConfig
from asymcert.training.linf_objectives import ConvexAbove, LinfObjective, Logits, objective_for
from asymcert.training.trainer import train_classes_by

# What linf-convex adds to a net's recipe. The only candidates are the net when it is trained, and the score at the end:
# of many, one that is best by chance would be deployed.
CONVEX_ABOVE = {"features": 34, "convex": (16,), "keep": "best", "validate_every": 10**6}
DRAWN = {"mnist": 2.0}  # by preset; on shirts and photographs it brought nothing


def _plain(recipe: LinfConfig, x: Tensor, classes: int, seed: int) -> LinfObjective:
    for name in ("convex", "features", "above", "drawn"):
        if getattr(recipe, name) != getattr(LinfConfig, name):
            raise refuse(name, "left out for model 'linf-net'", getattr(recipe, name), "Train a linf-convex.")
    return Logits(recipe, x, classes, seed)


def _convex(recipe: LinfConfig, x: Tensor, classes: int, seed: int) -> LinfObjective:
    if not recipe.convex:
        raise refuse("convex", "given for model 'linf-convex'", "nothing", "Train a linf-net.")
    return ConvexAbove(recipe, x, classes, seed)


LINF_NET = Kind("linf-net", LinfConfig, _plain, LINF_PRESETS)
MIXED = {name: recipe for name, recipe in LINF_PRESETS.items() if recipe.loss == "mixed"}
LINF_CONVEX = Kind(
    "linf-convex",
    LinfConfig,
    _convex,
    MIXED,
    lambda recipe, preset, data: replace(recipe, **CONVEX_ABOVE, drawn=DRAWN.get(preset, 0.0)),
)


def train_linf(data: BinaryData, config: LinfConfig | None = None, **options: Any) -> BinaryClassifier:
    """Train a linf-net, or with ``convex`` a linf-convex; `options` and errors are those of `asymcert.train`."""
    config = config if config is not None else LinfConfig()
    kind = LINF_CONVEX if options.get("convex", config.convex) else LINF_NET
    return kind.train(data, config=config, **options)


def train_classes(
    train: Labelled, val: Labelled, classes: tuple[str, ...], config: LinfConfig | None = None, **options: Any
) -> DistanceClassifier:
    """Train an l_inf-distance net for any number of classes.

    Records of epochs have p too, and at validations ``accuracy`` and ``certified``: shares of the validation samples
    that the net at p = inf gets right, and gets right within the radius trained for by the Lipschitz bound, up to
    rounding.

    Parameters
    ----------
    train, val, classes
        Samples and names, as `train_classes_by` takes them.
    config
        The recipe, by default `LinfConfig()`.
    options
        ``seed``, ``device``, ``checkpoint``, ``on_epoch``, and fields of `LinfConfig` to change. Errors are those of
        `train_classes_by`.
    """
    recipe = config if config is not None else LinfConfig()
    return train_classes_by(objective_for, recipe, train, val, classes, **options)
