"""What a kind of model brings to the one training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from asymcert.datasets import BinaryData
from asymcert.models.thresholds import accuracies, balanced_threshold


class Objective(nn.Module, ABC):
    """A loss with everything that is trained by it, drawn from torch's global generator.

    Parameters
    ----------
    recipe
        What it is trained by.
    x
        Training inputs (n, *input_shape), for their shape and what is measured on them.
    classes
        How many there are; the label of the sensitive one is the last.
    seed
        Of draws that the deployed classifier keeps.
    """

    parallel: ClassVar[bool] = False  # whether processes may share its batches
    partly_used = False  # whether some of its parameters play no part in the loss

    def __init__(self, recipe: Any, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__()
        self.recipe, self.input_shape, self.classes = recipe, tuple(x.shape[1:]), classes
        self.sensitive_label = classes - 1
        self.info: dict[str, Any] = {}  # of the deployed classifier; the trainer knows it

    def meet(self, data: BinaryData) -> Self:
        """Learn what training inputs alone do not say, such as which of them are one column."""
        return self

    def advance(self, progress: float) -> None:
        """Set what depends on the part of training in [0, 1) that is done."""

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Loss of one batch, in train mode: (n, *input_shape), int64 (n,), source of all draws -> ()."""

    def weights(self, labels: Tensor) -> Tensor:
        """Weight of each sample in a batch's loss: int64 (n,) -> (n,)."""
        return torch.ones_like(labels, dtype=torch.float32)

    def optimizer(self) -> torch.optim.Optimizer:
        """The optimiser at the start of training; each group's rate is its peak."""
        return self.recipe.optimizer_for(self.parameters())

    def project_(self) -> None:
        """Put weights back where they may be, after each step."""

    def facts(self) -> dict[str, Any]:
        """What an epoch's record says besides loss and validation."""
        return {}

    @abstractmethod
    def validate(self, x: Tensor, labels: Tensor) -> dict[str, Any]:
        """Figures on validation data, in eval mode; ``certified``, or else ``accuracy``, says which epoch is best."""

    @abstractmethod
    def deploy(self, classes: tuple[str, ...]) -> Any:
        """What is trained for, on the CPU and of threshold 0; classes are named by label."""

    def names(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """Arguments of a classifier of two classes that say what it is about."""
        other, sensitive = classes
        return {"other": other, "sensitive": sensitive, "info": self.info}


class Scored(Objective):
    """An objective whose validation is the accuracy of a score for the sensitive class."""

    network: Any  # a module

    def score(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Scores of one batch, the greater the more sensitive, here from two logits: (n,)."""
        logits = self.network(x)
        return logits[:, 1] - logits[:, 0]

    @torch.no_grad()
    def validate(self, x: Tensor, labels: Tensor) -> dict[str, Any]:
        """Accuracies at the threshold that balances them, and their mean."""
        draws = torch.Generator(x.device).manual_seed(0)
        parts = zip(x.split(self.recipe.batch_size), labels.split(self.recipe.batch_size), strict=True)
        scores, sensitive = torch.cat([self.score(*part, draws) for part in parts]), labels == self.sensitive_label
        scores, sensitive = scores.cpu(), sensitive.cpu()
        shares = accuracies(scores, sensitive, balanced_threshold(scores, sensitive))
        return {"accuracy": sum(shares.values()) / 2, **shares}
