"""Training of a plain perceptron, for any number of classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import option
from asymcert.training.objective import Objective
from asymcert.training.recipe import Recipe, instead


@dataclass(frozen=True)
class PerceptronRecipe(Recipe):
    """How a perceptron with one hidden layer is trained."""

    epochs: int = instead("epochs", 20)
    learning_rate: float = instead("learning_rate", 0.002)
    schedule: str = instead("schedule", "constant")
    width: int = option(128, "perceptron: hidden units.")


class Perceptron(Objective):
    """The cross-entropy of a perceptron's logits."""

    recipe: PerceptronRecipe

    def __init__(self, recipe: PerceptronRecipe, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        hidden, outputs = nn.Linear(x[0].numel(), recipe.width), nn.Linear(recipe.width, classes)
        self.network = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), outputs)

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Over all classes."""
        return functional.cross_entropy(self.network(x), labels)

    @torch.no_grad()
    def validate(self, x: Tensor, labels: Tensor) -> dict[str, float]:
        """Share of samples that get their class."""
        return {"accuracy": float((self.network(x).argmax(1) == labels).double().mean())}

    def deploy(self, classes: tuple[str, ...]) -> nn.Module:
        """The network, in float64, frozen."""
        return self.network.cpu().double().eval().requires_grad_(False)
