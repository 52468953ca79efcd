"""Training of one convex logit against concave ones."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import option
from asymcert.convex import ConvexMLP
from asymcert.features import Centre
from asymcert.models.convex_concave import ConvexConcaveClassifier
from asymcert.training.kind import Kind
from asymcert.training.objective import Scored
from asymcert.training.recipe import Recipe, instead


@dataclass(frozen=True)
class ConvexConcaveRecipe(Recipe):
    """How one convex logit is trained against concave ones."""

    epochs: int = instead("epochs", 20)
    learning_rate: float = instead("learning_rate", 0.005)
    schedule: str = instead("schedule", "constant")
    hidden: tuple[int, ...] = option((64, 32), "mlp: widths of the hidden layers.")


class ConvexConcave(Scored):
    """The cross-entropy of the logits ``(g_0, -g_1, ...)``, each g convex in the centred input.

    Parameters
    ----------
    recipe, x, classes, seed
        As in `Objective`.
    sensitive_class
        Label of the class with the convex logit, by default the last.
    """

    recipe: ConvexConcaveRecipe

    def __init__(
        self, recipe: ConvexConcaveRecipe, x: Tensor, classes: int = 2, seed: int = 0, sensitive_class: int = -1
    ):
        super().__init__(recipe, x, classes, seed)
        self.feature_map = Centre(x.mean(0))
        self.networks = nn.ModuleList(ConvexMLP(self.input_shape, recipe.hidden) for _ in range(classes))
        others = list(range(classes))
        self.sensitive_label = others.pop(sensitive_class)
        self.order = [self.sensitive_label, *others]

    def logits(self, x: Tensor) -> Tensor:
        """(n, *input_shape) -> (n, classes), the convex one first."""
        features = self.feature_map(x)
        values = [network(features) for network in self.networks]
        return torch.stack((values[0], *(-value for value in values[1:])), dim=1)

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Cross-entropy over all classes."""
        positions = torch.tensor(self.order, device=labels.device).argsort()
        return functional.cross_entropy(self.logits(x), positions[labels])

    def project_(self) -> None:
        """Every network's."""
        for network in self.networks:
            network.project_()  # pyright: ignore[reportCallIssue]

    def score(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """The convex logit before the greatest of the others."""
        logits = self.logits(x)
        return logits[:, 0] - logits[:, 1:].amax(1)

    def deploy(self, classes: tuple[str, ...]) -> ConvexConcaveClassifier:
        """In float64."""
        feature_map, (convex, *concave) = copy.deepcopy(self.feature_map).cpu(), copy.deepcopy(self.networks).cpu()
        named = {"classes": [classes[label] for label in self.order], "info": self.info}
        return ConvexConcaveClassifier(feature_map, convex, concave, input_shape=self.input_shape, **named)  # pyright: ignore


CONVEX_CONCAVE = Kind("convex-concave", ConvexConcaveRecipe, ConvexConcave, {"cpu": ConvexConcaveRecipe()})
