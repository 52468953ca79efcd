"""What is trained and deployed: a net with logits, or a net and a convex score above it."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import refuse
from asymcert.convex import ConvexMLP
from asymcert.linf.feature_map import DistanceFeatures
from asymcert.linf.layers import MeanShift
from asymcert.linf.net import LinfDistanceNet
from asymcert.models.distance_net import DistanceClassifier, others
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.training.distributed import Processes
from asymcert.training.linf_config import LinfConfig
from asymcert.training.linf_losses import TINY, class_weights, decay_norms, training_loss
from asymcert.training.objective import Objective

SENSITIVE = 1  # label of the class that must not be talked away


class LinfObjective(Objective):
    """Distance layers, trained while their exponent p rises to infinity; the recipe's schedule sets it."""

    parallel: ClassVar[bool] = True
    recipe: LinfConfig

    def __init__(self, recipe: LinfConfig, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        self.net = recipe.net(self.input_shape, recipe.features if recipe.convex else classes)
        self.mix = recipe.mix_start
        self.scale = nn.Parameter(torch.ones(()))  # of the logits in the cross-entropy
        self.partly_used = recipe.loss == "hinge"  # which needs no scale

    @abstractmethod
    def gap(self, x: Tensor, labels: Tensor) -> Tensor:
        """Twice the radius, in units of the standardised input, that each label is right by: (n,)."""

    def advance(self, progress: float) -> None:
        """Set p, and the weight of the cross-entropy."""
        self.net.p, self.mix = self.recipe.moment(progress)

    def weights(self, labels: Tensor) -> Tensor:
        """See `class_weights`."""
        return class_weights(self.recipe, labels, self.classes)

    def optimizer(self) -> torch.optim.Optimizer:
        """One group for the distance layers, and a slower one for the learned scale and a convex score."""
        net, ours = list(self.net.parameters()), {id(parameter) for parameter in self.net.parameters()}
        rest = [parameter for parameter in self.parameters() if id(parameter) not in ours]
        decay = self.recipe.weight_decay
        plain = replace(self.recipe, weight_decay=0.0)  # decay is of l_p norms, by hand
        optimizer = plain.optimizer_for([{"params": net}, {"params": rest, "lr": self.recipe.scale_rate}])
        if decay:
            optimizer.register_step_pre_hook(lambda *_: decay_norms(self.net, optimizer.param_groups[0]["lr"] * decay))
        return optimizer

    def facts(self) -> dict[str, Any]:
        """The exponent; JSON has no infinity."""
        return {"p": self.net.p if math.isfinite(self.net.p) else "inf"}

    @torch.no_grad()
    def validate(self, x: Tensor, labels: Tensor) -> dict[str, float]:
        """Shares that the net at p = inf gets right, and right within the radius trained for, up to rounding."""
        p, self.net.p = self.net.p, math.inf
        processes, size = Processes.current(), self.recipe.batch_size
        own, own_labels = processes.share(x), processes.share(labels)
        parts = zip(own.split(size), own_labels.split(size), strict=True)
        gap = torch.cat([self.gap(*part) for part in parts])
        needed = 2.0 * self.recipe.radii(own_labels, self.classes)
        self.net.p = p
        counts = processes.total(torch.stack(((gap > 0).double().sum(), (gap > needed).double().sum())))
        accuracy, certified = (counts / len(x)).tolist()
        return {"accuracy": accuracy} | ({} if self.recipe.head else {"certified": certified})

    def deployed_net(self) -> LinfDistanceNet:
        """A copy at p = inf, on the CPU, in eval mode."""
        net = copy.deepcopy(self.net).cpu().eval()
        net.p = math.inf
        return net


class Logits(LinfObjective):
    """The net's own logits."""

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """See `training_loss`."""
        return training_loss(self.recipe, self.net, x, labels, self.scale, self.mix)

    def gap(self, x: Tensor, labels: Tensor) -> Tensor:
        """Label's logit before the best other one."""
        logits = self.net(x)
        return logits.gather(1, labels[:, None])[:, 0] - others(logits, labels)

    def deploy(self, classes: tuple[str, ...]) -> DistanceClassifier:
        """An l_inf-distance net."""
        return DistanceClassifier(self.deployed_net(), classes=classes, info=self.info)


class ConvexAbove(LinfObjective):
    """A convex score of the net's distances, for two classes; label 1 is sensitive.

    Loss and gap use the closed-form radius ``g / ||grad g||_1``, the features being 1-Lipschitz in l_inf.
    """

    def __init__(self, recipe: LinfConfig, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        self.shift = MeanShift(recipe.features)
        self.score = ConvexMLP((recipe.features,), recipe.convex)

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """The mixed loss, twice the radius in place of the difference of two logits."""
        radius = self._radius(x)
        signed = torch.where(labels == SENSITIVE, radius, -radius)
        hinge = (1.0 - signed / self.recipe.radii(labels, 2)).clamp(0.0, 1.0)
        losses = self.mix * functional.softplus(-2.0 * self.scale * signed) + hinge
        weights = class_weights(self.recipe, labels, 2)
        return (weights * losses).sum() / weights.sum()

    def project_(self) -> None:
        """The score's."""
        self.score.project_()

    def gap(self, x: Tensor, labels: Tensor) -> Tensor:
        """Twice the radius, negative where the verdict is wrong; of the other class to first order only."""
        with torch.enable_grad():
            radius = self._radius(x).detach()
        return 2.0 * torch.where(labels == SENSITIVE, radius, -radius)

    def deploy(self, classes: tuple[str, ...]) -> FeatureConvexClassifier:
        """A feature-convex classifier: features in units of the raw input, the shift in the last layer's bias."""
        net, score = self.deployed_net(), copy.deepcopy(self.score).cpu().fold()
        with torch.no_grad():
            net.layers[-1].bias.sub_(self.shift.running.cpu())  # pyright: ignore
            for layer in (score.first, *score.direct):
                layer.weight.div_(net.deviation)  # pyright: ignore
        features = DistanceFeatures(net)
        return FeatureConvexClassifier(features, score, input_shape=self.input_shape, **self.names(classes))

    def _radius(self, x: Tensor) -> Tensor:
        features = self.shift(self.net.features(x))
        if not features.requires_grad:
            features.requires_grad_(True)
        score = self.score(features)
        (gradient,) = torch.autograd.grad(score.sum(), features, create_graph=True)
        return score / (gradient.abs().sum(1) + TINY)


def objective_for(recipe: LinfConfig, x: Tensor, classes: int = 2, seed: int = 0) -> LinfObjective:
    """The objective of a recipe with or without a convex score; arguments of `Objective`."""
    if recipe.convex and classes != 2:
        raise refuse("convex", "empty for more than two classes", recipe.convex, "Use train_linf.")
    return (ConvexAbove if recipe.convex else Logits)(recipe, x, classes, seed)
