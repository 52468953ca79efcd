"""Training of feature-convex classifiers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from asymcert._floats import NORMS
from asymcert.convex import symmetrise
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.training.build import build_map, build_score, standardise
from asymcert.training.config import TrainConfig
from asymcert.training.kind import Kind
from asymcert.training.losses import classification_loss, needs_gradient, training_loss
from asymcert.training.objective import Objective
from asymcert.training.presets import PRESETS
from asymcert.training.validation import validate

STANDARDISED = 1000  # training samples that a standardised initialisation measures


class FeatureConvex(Objective):
    """A convex score of features, with the loss that its recipe names."""

    recipe: TrainConfig

    def __init__(self, recipe: TrainConfig, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        self.feature_map = build_map(recipe, x)
        self.score = build_score(recipe, self.feature_map.output_shape(self.input_shape))
        if recipe.initialisation == "standardised":
            standardise(self.score, self.feature_map(x[torch.randperm(len(x))[:STANDARDISED]]))
        self.lipschitz = {norm: self.feature_map.lipschitz(norm) for norm in NORMS}
        self.share = 0.0  # how much of the part that acts on the gradient counts yet

    def advance(self, progress: float) -> None:
        """Terms of the gradient grow over the warm-up."""
        self.share = min(1.0, progress / self.recipe.warmup) if self.recipe.warmup > 0 else 1.0

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """See `training_loss`."""
        features, sensitive = self.feature_map(x), labels.bool()
        if not needs_gradient(self.recipe):
            return classification_loss(self.score(features), sensitive)
        features.requires_grad_(True)
        scores = self.score(features)
        deployed = scores
        if self.recipe.batch_norm:  # samples depend on each other in training mode: regularise what is deployed
            self.score.eval()
            deployed = self.score(features)
            self.score.train()
        (gradient,) = torch.autograd.grad(deployed.sum(), features, create_graph=True)
        return training_loss(self.recipe, scores, deployed, gradient, sensitive, self.lipschitz, self.share)

    def project_(self) -> None:
        """The score's."""
        self.score.project_()

    def validate(self, x: Tensor, labels: Tensor) -> dict[str, Any]:
        """Accuracies and radii of what would be deployed."""
        model = self.deploy(("other", "sensitive")).float()
        return validate(model, x.cpu(), labels.bool().cpu(), self.recipe)

    def deploy(self, classes: tuple[str, ...]) -> FeatureConvexClassifier:
        """Folded, in float64."""
        feature_map, score = copy.deepcopy(self.feature_map).cpu(), copy.deepcopy(self.score).cpu()
        symmetric = symmetrise(score, self.recipe.mirror, self.recipe.shift)
        return FeatureConvexClassifier(feature_map, symmetric, **self.names(classes))


FEATURE_CONVEX = Kind("feature-convex", TrainConfig, FeatureConvex, PRESETS)
