"""What is trained and deployed: a net with logits, or a net and a convex score above it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import refuse
from asymcert.convex import ConvexMLP
from asymcert.linf.feature_map import DistanceFeatures
from asymcert.linf.layers import MeanShift
from asymcert.linf.net import LinfDistanceNet
from asymcert.models.base import BinaryClassifier
from asymcert.models.distance_net import DistanceClassifier, others
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.training.linf_config import LinfConfig
from asymcert.training.linf_losses import TINY, class_weights, training_loss

SENSITIVE = 1  # label of the class that must not be talked away


class Objective(nn.Module, ABC):
    """A loss with everything that is trained by it.

    Parameters
    ----------
    config
        The recipe.
    net
        The distance layers.
    """

    def __init__(self, config: LinfConfig, net: LinfDistanceNet):
        super().__init__()
        self.config, self.net = config, net
        self.scale = nn.Parameter(torch.ones(()))  # of the logits in the cross-entropy

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor, mix: float) -> Tensor:
        """Loss of one batch: (n, *input_shape), int64 (n,), weight of the cross-entropy -> ()."""

    @abstractmethod
    def gap(self, x: Tensor, labels: Tensor) -> Tensor:
        """Twice the radius, in units of the standardised input, that each label is right by: (n,)."""

    def project_(self) -> None:
        """Put weights back that must not be negative, after each step."""

    @abstractmethod
    def deploy(self, classes: tuple[str, ...], info: dict[str, Any]) -> BinaryClassifier:
        """The classifier, on the CPU, in float64."""


class Logits(Objective):
    """The net's own logits."""

    def forward(self, x: Tensor, labels: Tensor, mix: float) -> Tensor:
        """See `training_loss`."""
        return training_loss(self.config, self.net, x, labels, self.scale, mix)

    def gap(self, x: Tensor, labels: Tensor) -> Tensor:
        """Label's logit before the best other one."""
        logits = self.net(x)
        return logits.gather(1, labels[:, None])[:, 0] - others(logits, labels)

    def deploy(self, classes: tuple[str, ...], info: dict[str, Any]) -> DistanceClassifier:
        """An l_inf-distance net."""
        return DistanceClassifier(copy.deepcopy(self.net).cpu().eval(), classes=classes, info=info)


class ConvexAbove(Objective):
    """A convex score of the net's distances, for two classes; label 1 is sensitive.

    Loss and gap use the closed-form radius ``g / ||grad g||_1``, the features being 1-Lipschitz in l_inf.
    """

    def __init__(self, config: LinfConfig, net: LinfDistanceNet):
        super().__init__(config, net)
        self.shift = MeanShift(config.features)
        self.score = ConvexMLP((config.features,), config.convex)

    def forward(self, x: Tensor, labels: Tensor, mix: float) -> Tensor:
        """The mixed loss, twice the radius in place of the difference of two logits."""
        radius = self._radius(x)
        signed = torch.where(labels == SENSITIVE, radius, -radius)
        hinge = (1.0 - signed / self.config.radii(labels, 2)).clamp(0.0, 1.0)
        losses = mix * functional.softplus(-2.0 * self.scale * signed) + hinge
        weights = class_weights(self.config, labels, 2)
        return (weights * losses).sum() / weights.sum()

    def project_(self) -> None:
        """The score's."""
        self.score.project_()

    def gap(self, x: Tensor, labels: Tensor) -> Tensor:
        """Twice the radius, negative where the verdict is wrong; of the other class to first order only."""
        with torch.enable_grad():
            radius = self._radius(x).detach()
        return 2.0 * torch.where(labels == SENSITIVE, radius, -radius)

    def deploy(self, classes: tuple[str, ...], info: dict[str, Any]) -> FeatureConvexClassifier:
        """A feature-convex classifier: features in units of the raw input, the shift in the last layer's bias."""
        net, score = copy.deepcopy(self.net).cpu().eval(), copy.deepcopy(self.score).cpu().fold()
        with torch.no_grad():
            net.layers[-1].bias.sub_(self.shift.running.cpu())  # pyright: ignore
            for layer in (score.first, *score.direct):
                layer.weight.div_(net.deviation)  # pyright: ignore
        other, sensitive = classes
        shape = net.input_shape
        named = {"sensitive": sensitive, "other": other, "info": info}
        return FeatureConvexClassifier(DistanceFeatures(net), score, input_shape=shape, **named)

    def _radius(self, x: Tensor) -> Tensor:
        features = self.shift(self.net.features(x))
        if not features.requires_grad:
            features.requires_grad_(True)
        score = self.score(features)
        (gradient,) = torch.autograd.grad(score.sum(), features, create_graph=True)
        return score / (gradient.abs().sum(1) + TINY)


def objective_for(config: LinfConfig, input_shape: tuple[int, ...], classes: int) -> Objective:
    """An untrained objective, drawn from torch's global generator."""
    if not config.convex:
        return Logits(config, config.net(input_shape, classes))
    if classes != 2:
        raise refuse("convex", "empty for more than two classes", config.convex, "Name one class sensitive.")
    return ConvexAbove(config, config.net(input_shape, config.features))


def optimizer_for(objective: Objective) -> torch.optim.Adam:
    """Adam with one group for the distance layers, and a slower one for the learned scale and a convex score."""
    config, net = objective.config, list(objective.net.parameters())
    ours = {id(parameter) for parameter in net}
    rest = [parameter for parameter in objective.parameters() if id(parameter) not in ours]
    groups: list[dict[str, Any]] = [
        {"params": net, "lr": config.learning_rate, "peak": config.learning_rate},
        {"params": rest, "lr": config.scale_rate, "peak": config.scale_rate},
    ]
    return torch.optim.Adam(groups, betas=(config.beta1, config.beta2), eps=config.adam_epsilon)
