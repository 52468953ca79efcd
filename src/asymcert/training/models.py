"""The kinds of model that can be trained by name, and the way in to all of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from asymcert._checks import check_choice
from asymcert.datasets import BinaryData
from asymcert.training.cayley import CAYLEY
from asymcert.training.config import TrainConfig
from asymcert.training.convex_concave import CONVEX_CONCAVE
from asymcert.training.feature_convex import FEATURE_CONVEX
from asymcert.training.kind import Kind, of_texts
from asymcert.training.linf_nets import LINF_CONVEX, LINF_NET
from asymcert.training.recipe import Recipe
from asymcert.training.relu import RELU
from asymcert.training.smoothing import SMOOTHING, SPLITTING
from asymcert.training.text import TEXT
from asymcert.training.trainer import OnEpoch

KINDS = (FEATURE_CONVEX, LINF_NET, LINF_CONVEX, SMOOTHING, SPLITTING, CAYLEY, RELU, CONVEX_CONCAVE, TEXT)
MODELS: dict[str, Kind] = {kind.name: kind for kind in KINDS}


def train(
    data: BinaryData,
    model: str | None = None,
    preset: str | None = None,
    *,
    config: Recipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    on_epoch: OnEpoch | None = None,
    **fields: Any,
) -> Any:
    """Train a classifier.

    Parameters
    ----------
    data
        Training and validation splits are used; test data never are.
    model
        Its kind, by default ``text`` for texts and ``feature-convex`` for all else; or ``linf-net``,
        ``linf-convex``, ``smoothing``, ``splitting``, ``cayley``, ``relu`` or ``convex-concave``. Where an earlier
        version took a preset second, its name still works, with a warning.
    preset
        Name of a recipe of that kind: a data set's family, by default the one of the data's name, or for the published
        rivals a budget, ``cpu`` (by default) or ``gpu``. Not together with `config`.
    config
        A whole recipe of your own.
    seed
        Fixes initialisation, order and augmentation.
    device
        Where to train; the classifier comes back on the CPU.
    checkpoint
        File to write checkpoints to. If it exists, the run it holds is continued; a finished run is returned.
    on_epoch
        Called after each epoch with its record: epoch, loss, seconds, and at validations what the kind reports, such as
        accuracies and ``medians`` of the radius per norm.
    fields
        Fields of the kind's recipe to change.

    Returns
    -------
    BinaryClassifier
        Its threshold is chosen on the validation split.

    Raises
    ------
    InputError
        An unknown model, preset or field, a value outside its range, or data that is none.
    RunError
        Training diverged, or the checkpoint belongs to another configuration, seed or data set.
    """
    if preset is None and model is not None and model not in MODELS and model in FEATURE_CONVEX.presets:
        warnings.warn(f"Pass preset={model!r} by its name: second is the model.", DeprecationWarning, stacklevel=2)
        model, preset = FEATURE_CONVEX.name, model
    where: dict[str, Any] = {"seed": seed, "device": device, "checkpoint": checkpoint, "on_epoch": on_epoch}
    return kind_of(model or model_for(data)).train(data, preset, config=config, **where, **fields)


def model_for(data: BinaryData) -> str:
    """The kind of model that is trained by default."""
    return (TEXT if of_texts(data) else FEATURE_CONVEX).name


def kind_of(model: str) -> Kind:
    """The kind of that name; an `InputError` where there is none."""
    check_choice("model", model, tuple(MODELS))
    return MODELS[model]


def preset_for(data: BinaryData, name: str | None = None) -> TrainConfig:
    """The feature-convex preset called `name`; by default the one of the data's family, and ``table`` for others."""
    return FEATURE_CONVEX.recipe(data, name)


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's recorded recipe, with the defaults of fields that are newer than the run."""
    kind = MODELS.get(config.get("model", ""))
    newer = {} if kind is None else {item.name: item.default for item in fields(kind.config)}
    return newer | dict(config)
