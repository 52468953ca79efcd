"""What is trained and deployed: a net with logits, or a net and a convex score above it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import refuse
from asymcert.certify.enclosure import holds
from asymcert.convex import ConvexMLP
from asymcert.linf.feature_map import DistanceFeatures
from asymcert.linf.layers import COPIED, DistanceLinear
from asymcert.linf.net import LinfDistanceNet
from asymcert.models.distance_net import DistanceClassifier, others
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.thresholds import accuracies, choose_threshold, threshold_for_rate
from asymcert.threats.model import ThreatModel
from asymcert.training.distributed import Processes
from asymcert.training.linf_config import LinfConfig
from asymcert.training.linf_losses import TINY, class_weights, decay_norms, training_loss
from asymcert.training.objective import Objective

SENSITIVE = 1  # label of the class that must not be talked away
RATES = (
    1.0,
    1.33,
    1.75,
)  # of false alarms, as multiples of the balanced one: a validated score is seen along its front
SIZES = (0.5, 1.0, 2.0, 4.0)  # of changes, in radii to train for


class LinfObjective(Objective):
    """Distance layers, trained while their exponent p rises to infinity; the recipe's schedule sets it."""

    parallel: ClassVar[bool] = True
    recipe: LinfConfig

    def __init__(self, recipe: LinfConfig, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        self.net = recipe.net(self.input_shape, classes)
        self.mix = recipe.mix_start
        self.scale = nn.Parameter(torch.ones(()))  # of the logits in the cross-entropy
        self.partly_used = recipe.loss == "hinge"  # which needs no scale

    def advance(self, progress: float) -> None:
        """Set p, and the weight of the cross-entropy."""
        self.net.p, self.mix = self.recipe.moment(progress)

    def weights(self, labels: Tensor) -> Tensor:
        """See `class_weights`."""
        return class_weights(self.recipe, labels, self.classes)

    def optimizer(self) -> torch.optim.Optimizer:
        """One group for all weights, and a slower one for the learned scale."""
        weights = [parameter for parameter in self.parameters() if parameter is not self.scale]
        decay = self.recipe.weight_decay
        plain = replace(self.recipe, weight_decay=0.0)  # decay is of l_p norms, by hand
        optimizer = plain.optimizer_for([{"params": weights}, {"params": [self.scale], "lr": self.recipe.scale_rate}])
        if decay:
            optimizer.register_step_pre_hook(lambda *_: decay_norms(self.net, optimizer.param_groups[0]["lr"] * decay))
        return optimizer

    def facts(self) -> dict[str, Any]:
        """The exponent; JSON has no infinity."""
        return {"p": self.net.p if math.isfinite(self.net.p) else "inf"}

    def deployed_net(self) -> LinfDistanceNet:
        """A copy at p = inf, on the CPU, in eval mode."""
        net = copy.deepcopy(self.net).cpu().eval()
        net.p = math.inf
        return net


class Logits(LinfObjective):
    """The net's own logits."""

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """See `training_loss`."""
        return training_loss(self.recipe, self.net, x, labels, self.scale, self.mix, draws)

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

    def gap(self, x: Tensor, labels: Tensor) -> Tensor:
        """Label's logit before the best other one: (n,)."""
        logits = self.net(x)
        return logits.gather(1, labels[:, None])[:, 0] - others(logits, labels)

    def deploy(self, classes: tuple[str, ...]) -> DistanceClassifier:
        """An l_inf-distance net."""
        return DistanceClassifier(self.deployed_net(), classes=classes, info=self.info)


class ConvexAbove(LinfObjective):
    """A convex score of a net's distances, for two classes; label 1 is sensitive.

    The net is trained by itself, as `Logits` does it. Then the score joins: of the net's two distances and of further
    ones, which begin as copies of the last layer's inputs, it begins as the net's own margin. Its loss has the
    closed-form radius ``g / ||grad g||_1``, the features being 1-Lipschitz in l_inf, as it would be at thresholds that
    are drawn anew for each sample: a hinge at one threshold says nothing of samples that are far from it, and which
    threshold will be deployed is not known yet. Mean shifts are frozen by then.
    """

    def __init__(self, recipe: LinfConfig, x: Tensor, classes: int = 2, seed: int = 0):
        super().__init__(recipe, x, classes, seed)
        self.further = copies(self.net.layers[-1].weight.shape[1], recipe.features - 2, recipe.rho)  # pyright: ignore
        self.score = own_margin(ConvexMLP((recipe.features,), recipe.convex))
        self.start = nn.ModuleList(copy.deepcopy(self._parts())).requires_grad_(False)  # the net by itself
        self.register_buffer("joined", torch.tensor(False))  # whether the score trains yet
        self.partly_used = True
        self.range = float(x.min()), float(x.max())

    def advance(self, progress: float) -> None:
        """As in `LinfObjective`, and when the net's own training ends."""
        super().advance(progress)
        if progress >= self.recipe.alone and not self.joined:
            self.start.load_state_dict(nn.ModuleList(self._parts()).state_dict())
            self.joined.fill_(True)
        self.net.train(self.training and not self.joined)

    def forward(self, x: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """The net's own loss; then the mixed loss with twice the radius in place of the difference of two logits."""
        if not self.joined:
            return training_loss(self.recipe, self.net, x, labels, self.scale, self.mix, draws)
        radius = self.radius(x)
        if self.recipe.drawn:
            drawn = torch.rand(len(x), generator=draws, dtype=radius.dtype, device=radius.device)
            radius = radius + self.recipe.drawn * (1.5 * drawn - 0.5) * self.recipe.epsilon / self.recipe.deviation
        signed = torch.where(labels == SENSITIVE, radius, -radius)
        hinge = (1.0 - signed / self.recipe.radii(labels, 2)).clamp(0.0, 1.0)
        losses = self.mix * functional.softplus(-2.0 * self.scale * signed) + hinge
        weights = class_weights(self.recipe, labels, 2)
        return (weights * losses).sum() / weights.sum()

    def project_(self) -> None:
        """The score's."""
        self.score.project_()

    def radius(self, x: Tensor) -> Tensor:
        """Closed-form radius in units of the standardised input, negative where the verdict is not sensitive: (n,)."""
        hidden = self.net.hidden(x)
        features = torch.cat((self.net.layers[-1](hidden), self.further(hidden)), 1)
        score = self.score(features)
        (gradient,) = torch.autograd.grad(score.sum(), features, create_graph=True)
        return score / (gradient.abs().sum(1) + TINY)

    def validate(self, x: Tensor, labels: Tensor) -> dict[str, float]:
        """Accuracies at the threshold chosen on the same data, and what is ``certified``.

        That is the mean of the other class's accuracy and the sensitive class's certified accuracy, by enclosures
        within the range of the training inputs, averaged over thresholds (`RATES`) and radii (`SIZES`): it falls with
        either class, and a score that gains at one threshold what it loses at others is no better. Once the score
        trains, the standard error of its gain over the net by itself is subtracted, so that the net stays where the
        gain could be chance.
        """
        sensitive, x = labels.bool().cpu(), x.cpu()
        classes = ("other", "sensitive")
        withstood, shares = self._withstood(self.deploy(classes), x, sensitive)
        if not self.joined:
            return shares | {"certified": balanced_mean(withstood, sensitive)[0]}
        before, _ = self._withstood(self._classifier(self.start, classes), x, sensitive)
        error = balanced_mean(withstood - before, sensitive)[1]
        return shares | {"certified": balanced_mean(withstood, sensitive)[0] - error}

    def _withstood(
        self, model: FeatureConvexClassifier, x: Tensor, sensitive: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """Share of the thresholds and radii at which each sample is right, and certified if sensitive: (n,).

        Besides, the classes' accuracies at the first threshold.
        """
        scores = model.scores(x)
        threshold = choose_threshold(self.recipe.false_positive_rate, scores, sensitive)
        shares = accuracies(scores, sensitive, threshold)
        rates = [min(1.0, times * (1.0 - shares["accuracy_other"])) for times in RATES[1:]]
        thresholds = [threshold, *(threshold_for_rate(scores, sensitive, rate) for rate in rates)]
        low, high = min(self.range[0], float(x.min())), max(self.range[1], float(x.max()))
        threat, found = ThreatModel(math.inf, lower=low, upper=high), torch.zeros(len(x), dtype=torch.float64)
        for each in thresholds:
            placed, alarmed = model.with_threshold(each), sensitive & (scores > each)
            found[~sensitive] += (scores[~sensitive] <= each).double()
            for size in SIZES:
                held = holds(placed, x[alarmed].double(), threat, size * self.recipe.epsilon)
                found[alarmed] += held.double() / len(SIZES)
        return found / len(thresholds), shares

    def deploy(self, classes: tuple[str, ...]) -> FeatureConvexClassifier:
        """A feature-convex classifier: the further distances become units of the net's last layer."""
        return self._classifier(self._parts(), classes)

    def _parts(self) -> list[nn.Module]:
        """Net, further distances, score."""
        return [self.net, self.further, self.score]

    @torch.no_grad()
    def _classifier(self, parts: Iterable[Any], classes: tuple[str, ...]) -> FeatureConvexClassifier:
        net, further, score = (copy.deepcopy(part).cpu().eval() for part in parts)
        net.p, last = math.inf, net.layers[-1]
        for name in ("weight", "bias"):
            joined = torch.cat((getattr(last, name), getattr(further, name)))
            setattr(last, name, nn.Parameter(joined))
        net.classes, score = self.recipe.features, score.fold()
        for layer in (score.first, *score.direct):
            layer.weight.div_(net.deviation)
        return FeatureConvexClassifier(
            DistanceFeatures(net), score, input_shape=self.input_shape, **self.names(classes)
        )


def balanced_mean(values: Tensor, sensitive: Tensor) -> tuple[float, float]:
    """Mean of the two classes' means of values (n,), labels bool (n,), and its standard error."""
    parts = [values[sensitive], values[~sensitive]]
    error = math.sqrt(sum(float(part.var(correction=0)) / len(part) for part in parts)) / 2.0
    return float(sum(part.mean() for part in parts)) / 2.0, error


@torch.no_grad()
def copies(inputs: int, units: int, rho: float) -> DistanceLinear:
    """Units that begin as copies of their inputs, one after another."""
    layer = DistanceLinear(inputs, units, bias=True, rho=rho)
    layer.weight.zero_()[torch.arange(units), torch.arange(units) % inputs] = COPIED
    assert layer.bias is not None
    layer.bias.fill_(COPIED)
    return layer


@torch.no_grad()
def own_margin(score: ConvexMLP) -> ConvexMLP:
    """The score as the first distance minus the second: logits are minus distances, the sensitive one the second."""
    last, direct = score.hidden[-1], score.direct[-1]
    for weight in (last.weight, last.bias, direct.weight):
        weight.zero_()  # pyright: ignore[reportCallIssue]
    direct.weight[0, 0], direct.weight[0, 1] = 1.0, -1.0  # pyright: ignore[reportIndexIssue]
    return score


def objective_for(recipe: LinfConfig, x: Tensor, classes: int = 2, seed: int = 0) -> LinfObjective:
    """The objective of a recipe with or without a convex score; arguments of `Objective`."""
    if recipe.convex and classes != 2:
        raise refuse("convex", "empty for more than two classes", recipe.convex, "Use train_linf.")
    return (ConvexAbove if recipe.convex else Logits)(recipe, x, classes, seed)
