"""The kinds of model that can be trained by name, each with its recipe and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from asymcert._checks import check_choice, refuse
from asymcert.datasets import BinaryData
from asymcert.models.base import BinaryClassifier
from asymcert.training.config import TrainConfig
from asymcert.training.linf_config import LINF_PRESETS, LinfConfig
from asymcert.training.linf_nets import train_linf
from asymcert.training.loop import train
from asymcert.training.presets import family_of, preset_for

Recipe = TrainConfig | LinfConfig
MODELS: dict[str, type[Recipe]] = {"feature-convex": TrainConfig, "linf-net": LinfConfig, "linf-convex": LinfConfig}
CONVEX_ABOVE = {"features": 16, "convex": (16,)}  # what linf-convex adds to a recipe
FARTHER = 1.2  # its radius in training by the net's: then both are as accurate on MNIST's validation data


def recipe_for(
    model: str, data: BinaryData, preset: str | None = None, overrides: Mapping[str, Any] | None = None
) -> Recipe:
    """The recipe of a model for some data, with fields changed.

    Parameters
    ----------
    model
        A key of `MODELS`.
    data
        Its family decides where no preset is named.
    preset
        Name of a preset of that kind of model.
    overrides
        Fields to change.

    Raises
    ------
    InputError
        Model, preset or a field is unknown, or a value is outside its range.
    """
    check_choice("model", model, tuple(MODELS))
    known = [item.name for item in fields(MODELS[model])]
    for name in overrides or {}:
        if name not in known:
            raise refuse(name, f"left out for model {model!r}", "a value", "It belongs to another kind of model.")
    if MODELS[model] is TrainConfig:
        return replace(preset_for(data, preset), **(overrides or {}))
    name = family_of(data, LINF_PRESETS) if preset is None else preset
    check_choice("preset", name, tuple(LINF_PRESETS))
    base = LINF_PRESETS[name]
    convex = CONVEX_ABOVE | {"epsilon": FARTHER * base.epsilon} if model == "linf-convex" else {}
    recipe = replace(base, **(convex | dict(overrides or {})))
    if bool(recipe.convex) != (model == "linf-convex"):
        raise refuse("convex", f"{'given' if convex else 'left out'} for model {model!r}", recipe.convex)
    return recipe


def train_recipe(data: BinaryData, recipe: Recipe, **options: Any) -> BinaryClassifier:
    """Train what a recipe is for; options are ``seed``, ``device``, ``checkpoint`` and ``on_epoch`` of `train`."""
    if isinstance(recipe, LinfConfig):
        return train_linf(data, recipe, **options)
    return train(data, config=recipe, **options)


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """Kind of model and all fields, for a run's facts."""
    if isinstance(recipe, TrainConfig):
        kind = "feature-convex"
    else:
        kind = "linf-convex" if recipe.convex else "linf-net"
    return {"model": kind, **asdict(recipe)}
