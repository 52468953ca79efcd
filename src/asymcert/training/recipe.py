"""How a baseline's network is trained."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from asymcert._checks import check_choice, check_count, check_number, refuse

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("cosine", "constant")
BUDGETS = ("cpu", "gpu")  # of a method: what a CPU can train, or the published network and recipe


@dataclass(frozen=True)
class Recipe:
    """Optimiser, schedule and augmentation of one training run. The defaults are those of randomized smoothing.

    Parameters
    ----------
    epochs, batch_size
        Passes over the data, and samples per step.
    optimizer
        ``sgd``, with Nesterov's momentum, or ``adam``.
    learning_rate
        At the start.
    momentum
        sgd: in [0, 1).
    weight_decay
        Of all parameters, as a term of the loss.
    schedule
        ``cosine``, down to 0 at the end, or ``constant``.
    crop, flip
        images: pixels of edge-padded random crops, and horizontal flips.

    Raises
    ------
    InputError
        A value outside its range.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, appendix, for the defaults.
    """

    epochs: int = 60
    batch_size: int = 128
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    crop: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        for name in ("epochs", "batch_size"):
            check_count(name, getattr(self, name))
        check_count("crop", self.crop, 0)
        check_number("learning_rate", self.learning_rate, 0.0, open_low=True)
        check_number("momentum", self.momentum, 0.0, 1.0)
        check_number("weight_decay", self.weight_decay, 0.0)
        if not isinstance(self.flip, bool):
            raise refuse("flip", "True or False", repr(self.flip))

    def optimizer_for(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser at the start of training."""
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
        return torch.optim.SGD(
            parameters,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.momentum > 0,
        )

    def rate(self, progress: float) -> float:
        """Learning rate at `progress` in [0, 1] of training."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))
