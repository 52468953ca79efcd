"""Training of feature-convex classifiers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from asymcert._floats import NORMS, norm_name
from asymcert.certify.closed_form import slope_bound, tangent_plane
from asymcert.convex import ConvexConvNet, ConvexMLP, symmetrise
from asymcert.convex.base import WeightOptions
from asymcert.datasets.binary import channel_mean
from asymcert.features import Centre, CentreAbsolute, FeatureMap, Hinges, Identity, SoftThreshold
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.thresholds import accuracies, choose_threshold
from asymcert.threats.model import ThreatModel
from asymcert.training.config import TrainConfig
from asymcert.training.kind import Kind
from asymcert.training.losses import classification_loss, needs_gradient, training_loss
from asymcert.training.objective import Objective
from asymcert.training.presets import PRESETS

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
        """Accuracies and radii of what would be deployed, at the ``threshold`` chosen on the same data.

        ``medians`` of the closed-form radius are over the sensitive class, wrong predictions counting 0, by norm's
        name; ``certified`` is its certified accuracy at the target radii, averaged over norms.
        """
        model, sensitive = self.deploy(("other", "sensitive")).float(), labels.bool().cpu()
        threats = [ThreatModel(norm) for norm in NORMS]
        scores, slopes = [], []
        for chunk in model.chunks(x.cpu()):
            margin, gradient = tangent_plane(model, chunk)
            scores.append(margin.double() + model.threshold)
            size = gradient.double().abs().flatten(1)
            slopes.append(torch.stack([slope_bound(model, size, threat) for threat in threats]))
        score, slope = torch.cat(scores).cpu(), torch.cat(slopes, dim=1).cpu()
        threshold = choose_threshold(self.recipe.false_positive_rate, score, sensitive)
        reached = torch.where(score > threshold, (score - threshold) / slope, 0.0)
        radii = reached[:, sensitive]  # (norms, sensitive samples)
        targets = self.recipe.targets or {2.0: float(radii[1].median())}
        certified = [(radii[NORMS.index(norm)] > target).double().mean() for norm, target in targets.items()]
        return {
            "threshold": threshold,
            **accuracies(score, sensitive, threshold),
            "medians": {norm_name(norm): float(row.median()) for norm, row in zip(NORMS, radii, strict=True)},
            "certified": float(torch.stack(certified).mean()),
        }

    def deploy(self, classes: tuple[str, ...]) -> FeatureConvexClassifier:
        """Folded, in float64."""
        feature_map, score = copy.deepcopy(self.feature_map).cpu(), copy.deepcopy(self.score).cpu()
        symmetric = symmetrise(score, self.recipe.mirror, self.recipe.shift)
        return FeatureConvexClassifier(feature_map, symmetric, input_shape=self.input_shape, **self.names(classes))


def build_map(config: TrainConfig, x: Tensor) -> FeatureMap:
    """The configured feature map, centred at a mean of training inputs `x` where it centres."""
    if config.feature_map == "identity":
        return Identity()
    mean = x.mean(0) if config.centre_on == "pixel" else channel_mean(x)
    if config.feature_map == "soft-threshold":
        return SoftThreshold(mean, config.soft_width)
    if config.feature_map == "hinges":
        return Hinges(mean, config.hinge_count)
    return Centre(mean) if config.feature_map == "centre" else CentreAbsolute(mean)


def build_score(config: TrainConfig, input_shape: tuple[int, ...]) -> ConvexMLP | ConvexConvNet:
    """The configured convex network on features of `input_shape`, freshly initialised by torch's generator."""
    weights = WeightOptions(config.nonnegativity, config.initialisation)  # pyright: ignore[reportArgumentType]
    if config.architecture == "mlp":
        return ConvexMLP(input_shape, config.hidden, config.passthrough, config.batch_norm, weights, config.monotone)
    names = ("channels", "depth", "first_kernel", "kernel", "stride", "passthrough", "pool", "pool_size", "batch_norm")
    chosen = {name: getattr(config, name) for name in (*names, "monotone")}
    return ConvexConvNet(input_shape, weights=weights, **chosen)


@torch.no_grad()
def standardise(score: ConvexMLP | ConvexConvNet, features: Tensor) -> None:
    """Let a network with standardised initialisation measure its units on (n, *input_shape), and centre its score."""
    score(features)
    score.layers[-1].bias -= score(features).mean()


FEATURE_CONVEX = Kind("feature-convex", TrainConfig, FeatureConvex, PRESETS)
