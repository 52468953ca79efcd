"""What the recipes of all kinds of model have in common: passes, batches, optimiser, schedule, which epoch is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Self

import torch
from torch import nn

from asymcert._checks import check_choice, check_count, check_known, check_number, option, refuse

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("one-cycle", "cosine", "linear", "exponential", "constant")
KEEP = ("last", "best", "accurate")
RISE = 0.25  # one-cycle: part of training at which the rate peaks


@dataclass(frozen=True)
class Recipe:
    """Everything that a training run depends on besides the data and the seed.

    Every field is also a command-line option of the same name.

    Raises
    ------
    InputError
        A value outside its range.
    """

    epochs: int = option(60, "Passes over the training data.")
    batch_size: int = option(128, "Samples per step.")
    optimizer: str = option("adam", "Optimiser.", OPTIMIZERS)
    learning_rate: float = option(0.001, "Peak learning rate.")
    momentum: float = option(0.9, "sgd: momentum.")
    nesterov: bool = option(False, "sgd: Nesterov's momentum.")
    beta1: float = option(0.9, "adam: decay of the mean of gradients.")
    beta2: float = option(0.999, "adam: decay of the mean of their squares.")
    adam_epsilon: float = option(1e-8, "adam: added to the root of that mean.")
    weight_decay: float = option(
        0.0, "Decay of weights, adamw: apart from the gradient (linf: of each unit's l_p norm, ICML 2021)."
    )
    schedule: str = option("cosine", "Learning-rate schedule.", SCHEDULES)
    decay: float = option(0.99, "exponential: factor per epoch.")
    averaging: float = option(0.0, "Decay of the moving average of weights that is deployed; 0 deploys the last.")
    crop: int = option(0, "images: pixels of edge-padded random crops.")
    flip: bool = option(False, "images: random horizontal flips.")
    keep: str = option(
        "last", "Epoch to deploy; `best` by certified accuracy in validation, or accuracy; `accurate` by that.", KEEP
    )
    patience: int = option(0, "Stop after this many validations without a better one; 0 never stops early.")
    validate_every: int = option(1, "Epochs between validations.")
    false_positive_rate: float = option(
        -1.0, "Most false alarms in validation, a share; -1 balances accuracies.", low=-1, flags=("--max-fpr",)
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_kind(item, getattr(self, item.name))
        for name in ("momentum", "beta1", "beta2", "decay", "averaging"):
            check_number(name, getattr(self, name), 0.0, 1.0)
        for name in ("learning_rate", "adam_epsilon"):
            check_number(name, getattr(self, name), 0.0, open_low=True)
        if self.false_positive_rate != -1.0:
            check_number("false_positive_rate", self.false_positive_rate, 0.0, 1.0)

    @property
    def passes(self) -> int:
        """Passes over the training data in all."""
        return self.epochs

    def changed(self, owner: str, overrides: Mapping[str, Any]) -> Self:
        """The recipe with fields changed; an `InputError` names one that `owner` does not take, or out of range."""
        check_known(overrides, [item.name for item in fields(self)], owner)
        return replace(self, **overrides)

    def optimizer_for(self, groups: Iterable[nn.Parameter] | Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimiser at the start of training."""
        common: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay, "foreach": True}
        if self.optimizer in ("adam", "adamw"):
            kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
            return kind(groups, betas=(self.beta1, self.beta2), eps=self.adam_epsilon, **common)
        nesterov = self.nesterov and self.momentum > 0
        return torch.optim.SGD(groups, momentum=self.momentum, nesterov=nesterov, **common)

    def rate(self, progress: float, epoch: int) -> float:
        """Learning rate as a share of its peak, at `progress` in [0, 1]: a pure function, so resuming needs no state.

        one-cycle: cosine from 1/25 up to 1 over the first quarter, then cosine down to 0 (Smith and Topin, 2018).
        """
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "exponential":
            return self.decay**epoch
        if self.schedule == "linear":
            return 1.0 - progress
        if self.schedule == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * progress))
        if progress < RISE:
            return 1.0 - (1.0 - 1.0 / 25.0) * 0.5 * (1.0 + math.cos(math.pi * progress / RISE))
        return 0.5 * (1.0 + math.cos(math.pi * (progress - RISE) / (1.0 - RISE)))


def _check_kind(item: Field[Any], value: Any) -> None:
    """Refuse what is not of a field's kind: a choice, a bool, a count (from 0 where 0 is the default), a number."""
    name, default = item.name, item.default
    if item.metadata["choices"]:
        check_choice(name, value, item.metadata["choices"])
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise refuse(name, "True or False", repr(value))
    elif isinstance(default, int):
        check_count(name, value, min(default, 1))
    elif isinstance(default, float):
        check_number(name, value, item.metadata["low"])
    elif item.type == "Sequence[str]":
        if isinstance(value, str) or not all(isinstance(part, str) for part in value):
            raise refuse(name, "a sequence of names", repr(value), f"Write {name}=('name',).")
    else:
        for part in value:
            for count in part if isinstance(part, tuple) else (part,):
                check_count(name, count)


def instead(name: str, default: Any) -> Any:
    """The common field of that name with another default."""
    return field(default=default, metadata=Recipe.__dataclass_fields__[name].metadata)
