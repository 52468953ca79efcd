"""How l_inf-distance nets are trained: schedule of p, losses, weight decay, and the published constants."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_choice, check_count, check_number, refuse
from asymcert.linf.layers import DistanceLayer
from asymcert.linf.net import LinfDistanceNet

LOSSES = ("mixed", "hinge")
HINGE_MIX = 0.75  # share of the worst class in the hinge; the rest averages all classes


@dataclass(frozen=True)
class LinfConfig:
    """A recipe for one l_inf-distance net.

    Parameters
    ----------
    width, depth, convolutions, groups, head, centre, deviation
        Of the net; see `LinfDistanceNet`.
    epsilon
        Radius to train for, in units of the raw input.
    epsilon_other
        The same for samples of all classes but the last, which is the sensitive one; 0 for no difference. A smaller one
        leaves room for larger sensitive radii.
    sensitive_weight
        Weight of the sensitive class's samples in the loss, the others' being 1. Chosen so that both classes are right
        equally often without a threshold, which would be paid for in radius.
    loss
        ``mixed`` (ICLR 2022) or ``hinge`` (ICML 2021).
    mix_start, mix_end
        mixed: weight of the cross-entropy, decaying exponentially in step with p.
    p_start, p_end
        Range of finite exponents, in equal ratios; p = inf afterwards.
    rise_from, rise_until
        Parts of training at which p begins to rise, and at which it is inf.
    learning_rate, scale_rate
        Peaks for the weights, and for the learned scale of the logits in the cross-entropy; cosine to 0.
    beta1, beta2, adam_epsilon
        Of Adam; gradients through p-norms are tiny, hence the small epsilon.
    weight_decay
        Decoupled decay of each unit's l_p norm (ICML 2021: 0.005).
    epochs, batch_size
        Passes over the data, and samples per step.
    crop, flip
        images: pixels of edge-padded random crops, and horizontal flips.
    validate_every
        Epochs between validations.

    Raises
    ------
    InputError
        A value outside its range.

    Source: Zhang, Jiang, He, Wang, ICLR 2022, section 4 and appendix; Zhang, Cai, Lu, He, Wang, ICML 2021.
    """

    width: int = 128
    depth: int = 4
    convolutions: tuple[tuple[int, int, int], ...] = ()
    groups: int = 1
    head: int = 0
    centre: float = 0.0
    deviation: float = 0.3081
    epsilon: float = 0.45
    epsilon_other: float = 0.0
    sensitive_weight: float = 1.0
    loss: str = "mixed"
    mix_start: float = 0.05
    mix_end: float = 0.0002
    p_start: float = 8.0
    p_end: float = 1000.0
    rise_from: float = 25 / 450
    rise_until: float = 400 / 450
    learning_rate: float = 0.03
    scale_rate: float = 0.006
    beta1: float = 0.9
    beta2: float = 0.99
    adam_epsilon: float = 1e-10
    weight_decay: float = 0.0
    epochs: int = 20
    batch_size: int = 512
    crop: int = 0
    flip: bool = False
    validate_every: int = 1

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, LOSSES)
        for name in ("epochs", "batch_size", "validate_every"):
            check_count(name, getattr(self, name))
        for name in (
            "deviation",
            "epsilon",
            "mix_start",
            "mix_end",
            "learning_rate",
            "adam_epsilon",
            "sensitive_weight",
        ):
            check_number(name, getattr(self, name), 0.0, open_low=True)
        for name in ("epsilon_other", "scale_rate", "weight_decay"):
            check_number(name, getattr(self, name), 0.0)
        for name in ("rise_from", "rise_until", "beta1", "beta2"):
            check_number(name, getattr(self, name), 0.0, 1.0)
        if not 1 <= self.p_start <= self.p_end < math.inf:
            raise refuse("p_start", "at least 1 and at most p_end, both finite", f"{self.p_start} and {self.p_end}")
        if self.rise_from > self.rise_until:
            raise refuse("rise_from", "at most rise_until", f"{self.rise_from} and {self.rise_until}")

    def net(self, input_shape: tuple[int, ...], classes: int) -> LinfDistanceNet:
        """An untrained net, drawn from torch's global generator."""
        names = ("width", "depth", "convolutions", "groups", "head", "centre", "deviation")
        return LinfDistanceNet(input_shape, classes, **{name: getattr(self, name) for name in names})

    def radii(self, labels: Tensor, classes: int) -> Tensor:
        """Radius to train each sample for, in units of the standardised input: int64 (n,) -> (n,)."""
        other = self.epsilon_other or self.epsilon
        return torch.where(labels == classes - 1, self.epsilon, other) / self.deviation

    def moment(self, progress: float) -> Moment:
        """What the schedule says at `progress` in [0, 1] of training."""
        span = self.rise_until - self.rise_from
        ratio = (progress - self.rise_from) / span if span else math.inf if progress >= self.rise_until else 0.0
        ratio = min(max(ratio, 0.0), 1.0)
        p = math.inf if ratio >= 1.0 else self.p_start * (self.p_end / self.p_start) ** ratio
        mix = self.mix_start * (self.mix_end / self.mix_start) ** ratio
        return Moment(p, mix, 0.5 * (1.0 + math.cos(math.pi * progress)))


@dataclass(frozen=True)
class Moment:
    """State of the schedule: exponent, weight of the cross-entropy, learning rate as a share of its peak."""

    p: float
    mix: float
    rate: float


_LARGE = {"width": 5120, "depth": 5, "epochs": 450}
_MNIST = {**_LARGE, "centre": 0.1307, "crop": 1}
_CIFAR = {"width": 5120, "depth": 6, "epochs": 1300, "deviation": 0.2009, "centre": 0.4734, "crop": 3, "flip": True}
_CIFAR |= {"rise_from": 100 / 1300, "rise_until": 1250 / 1300}
_ICML = {"loss": "hinge", "weight_decay": 0.005, "learning_rate": 0.02}
_ICML |= {"epochs": 400, "rise_from": 50 / 400, "rise_until": 350 / 400}
LINF_PRESETS: dict[str, LinfConfig] = {
    "mnist-0.1": LinfConfig(**_MNIST, epsilon=0.3),
    "mnist-0.3": LinfConfig(**_MNIST, epsilon=0.45),
    "mnist-0.3-hinge": LinfConfig(**(_MNIST | _ICML), epsilon=0.45),
    "cifar10-2": LinfConfig(**_CIFAR, epsilon=0.03922, mix_end=0.002),
    "cifar10-8": LinfConfig(**_CIFAR, epsilon=0.09411, mix_start=0.1, mix_end=0.0005),
    "cifar10-16": LinfConfig(**_CIFAR, epsilon=0.15685, mix_start=0.1, mix_end=0.0002),
}
OPTIONS = tuple(item.name for item in fields(LinfConfig))


def training_loss(
    config: LinfConfig, net: LinfDistanceNet, x: Tensor, labels: Tensor, scale: Tensor, mix: float
) -> Tensor:
    """Loss of one batch: inputs (n, *input_shape), int64 labels (n,), learned scale () of the logits."""
    features = net.features(x)
    logits = -features if net.head is None else net.head(features)
    gaps = worst_gaps(net, features, logits, labels, config.radii(labels, net.classes))
    if config.loss == "hinge":
        excess = gaps.clamp(min=0.0)
        losses = HINGE_MIX * excess.amax(1) + (1.0 - HINGE_MIX) * excess.mean(1)
    else:
        losses = mix * functional.cross_entropy(scale * logits, labels, reduction="none")
        losses = losses + gaps.clamp(0.0, 1.0).amax(1)
    weights = torch.where(labels == net.classes - 1, config.sensitive_weight, 1.0)
    return (weights * losses).sum() / weights.sum()


def worst_gaps(net: LinfDistanceNet, features: Tensor, logits: Tensor, labels: Tensor, epsilon: Tensor) -> Tensor:
    """How far each class can come within a change of `epsilon` (n,) of the standardised input: (n, classes).

    Nonpositive where the class provably stays behind the label's, at p = inf; 0 for the label itself. Without a head in
    units of ``2 epsilon``, 1 being a tie at the input; behind one, an interval bound in units of the logits.
    """
    own, epsilon = labels[:, None], epsilon[:, None]
    if net.head is None:
        gaps = 1.0 + (logits - logits.gather(1, own)) / (2.0 * epsilon)
    else:
        first, last = net.head.first, net.head.last
        middle, reach = first(features), epsilon * first.weight.abs().sum(1)
        low, high = torch.tanh(middle - reach), torch.tanh(middle + reach)
        difference = last.weight[None] - last.weight[labels][:, None]  # (n, classes, hidden)
        worst = torch.where(difference > 0, high[:, None], low[:, None])
        gaps = (difference * worst).sum(2) + last.bias - last.bias[labels][:, None]
    return gaps.scatter(1, own, 0.0)


@torch.no_grad()
def decay_norms(net: nn.Module, amount: float) -> None:
    """Step down the gradient of each unit's ``||w||_p^2 / 2`` at its layer's p; ordinary decay for other weights."""
    for module in net.modules():
        for name, weight in module.named_parameters(recurse=False):
            if not isinstance(module, DistanceLayer) or name != "weight":
                weight.mul_(1.0 - amount)
            elif math.isinf(module.p):
                largest = weight.abs().argmax(1, keepdim=True)
                weight.scatter_add_(1, largest, -amount * weight.gather(1, largest))
            else:
                size = torch.linalg.vector_norm(weight, ord=math.inf, dim=1, keepdim=True).clamp(min=1e-30)
                share = weight.abs() / size
                norm = share.pow(module.p).sum(1, keepdim=True).pow(1.0 / module.p)
                weight.sub_(amount * weight * (share / norm).pow(module.p - 2.0))


def optimizer_for(config: LinfConfig, net: nn.Module, scale: nn.Module) -> torch.optim.Adam:
    """Adam with one group for the weights and one for the learned scale."""
    groups: list[dict[str, Any]] = [
        {"params": list(net.parameters()), "lr": config.learning_rate, "peak": config.learning_rate},
        {"params": list(scale.parameters()), "lr": config.scale_rate, "peak": config.scale_rate},
    ]
    return torch.optim.Adam(groups, betas=(config.beta1, config.beta2), eps=config.adam_epsilon)
