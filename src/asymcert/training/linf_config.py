"""Recipes of l_inf-distance nets, published and for a CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from asymcert._checks import check_number, option, refuse
from asymcert.linf.layers import MOST_LEFT_OUT
from asymcert.linf.net import PUBLISHED, LinfDistanceNet
from asymcert.training.recipe import Recipe, instead

FINE = 0.03  # learning rate with a convex network above the net, as a share of the net's own
LOSSES = ("mixed", "hinge")
POSITIVE = ("deviation", "epsilon", "mix_start", "mix_end", "sensitive_weight")


@dataclass(frozen=True)
class LinfConfig(Recipe):
    """A recipe for one l_inf-distance net.

    Lengths are in units of the raw input. `epsilon_other` and `sensitive_weight` serve the asymmetric use: they leave
    room for larger sensitive radii, and balance the classes without a threshold, which would be paid for in radius.

    Raises
    ------
    InputError
        A value outside its range.

    Source: Zhang, Jiang, He, Wang, ICLR 2022, section 4 and appendix; Zhang, Cai, Lu, He, Wang, ICML 2021.
    """

    epochs: int = instead("epochs", 20)
    batch_size: int = instead("batch_size", 512)
    learning_rate: float = instead("learning_rate", 0.03)
    beta2: float = instead("beta2", 0.99)
    adam_epsilon: float = instead("adam_epsilon", 1e-10)  # gradients through p-norms are tiny
    width: int = option(128, "linf: units of a layer.")
    depth: int = option(4, "linf: distance layers after the convolutions, the last one included.")
    convolutions: tuple[tuple[int, int, int], ...] = option((), "linf: channels,kernel,stride of each, by semicolons.")
    groups: int = option(1, "linf: parts that hidden layers but the first are divided into.")
    rho: float = option(
        0.0, "linf: probability that a unit leaves an input out in training; above 0 units sort.", low=0
    )
    head: int = option(0, "linf-net: units of a linear-tanh-linear head; 0 for none.")
    features: int = option(64, "linf-convex: distances that the convex network sees, the net's own two included.")
    convex: tuple[int, ...] = option((), "linf-convex: widths of the convex network's hidden layers.")
    above: int = option(12, "linf-convex: epochs after the net's own, in which the convex network joins it.")
    drawn: float = option(
        0.0, "linf-convex: it trains at thresholds up to so many radii lower, and half as many higher.", low=0
    )
    centre: float = option(0.0, "linf: subtracted from inputs.", low=-math.inf)
    deviation: float = option(0.3081, "linf: what centred inputs are divided by.")
    epsilon: float = option(0.45, "linf: radius to train for.")
    epsilon_other: float = option(0.0, "linf: the same for all classes but the sensitive one; 0 for no difference.")
    sensitive_weight: float = option(1.0, "linf: weight of sensitive samples in the loss, the others' being 1.")
    loss: str = option("mixed", "linf: mixed (ICLR 2022), or hinge (ICML 2021).", LOSSES)
    mix_start: float = option(0.05, "linf: weight of the cross-entropy at first, decaying in step with p.")
    mix_end: float = option(0.0002, "linf: weight of the cross-entropy at p = inf.")
    p_start: float = option(8.0, "linf: exponent at first.")
    p_end: float = option(1000.0, "linf: last finite exponent, reached in equal ratios; inf afterwards.")
    rise_from: float = option(25 / 450, "linf: part of training at which p begins to rise.")
    rise_until: float = option(400 / 450, "linf: part of training at which p is inf.")
    scale_rate: float = option(0.006, "linf: learning rate of the learned scale of the logits.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in POSITIVE:
            check_number(name, getattr(self, name), 0.0, open_low=True)
        for name in ("rise_from", "rise_until"):
            check_number(name, getattr(self, name), 0.0, 1.0)
        check_number("rho", self.rho, 0.0, MOST_LEFT_OUT)
        if not 1 <= self.p_start <= self.p_end < math.inf:
            raise refuse("p_start", "at least 1 and at most p_end, both finite", f"{self.p_start} and {self.p_end}")
        if self.rise_from > self.rise_until:
            raise refuse("rise_from", "at most rise_until", f"{self.rise_from} and {self.rise_until}")
        if self.convex and self.head:
            raise refuse("head", "0 below a convex network", self.head, "Use one of `head` and `convex`.")
        if self.convex and self.loss != "mixed":
            raise refuse("loss", "'mixed' below a convex network", repr(self.loss))
        if self.convex and self.features < 3:
            raise refuse("features", "at least 3, two of them the net's own", self.features)

    @property
    def passes(self) -> int:
        """The net's own epochs, and those with the convex network."""
        return self.epochs + (self.above if self.convex else 0)

    @property
    def alone(self) -> float:
        """Part of training in which the net is trained by itself."""
        return self.epochs / self.passes

    def rate(self, progress: float, epoch: int) -> float:
        """As in `Recipe` for the net's own training, and once more, lower, for what follows."""
        if self.alone == 1 or progress < self.alone:
            return super().rate(_steady(progress / self.alone), epoch)
        return FINE * super().rate((progress - self.alone) / (1.0 - self.alone), epoch - self.epochs)

    def net(self, input_shape: tuple[int, ...], classes: int) -> LinfDistanceNet:
        """An untrained net, drawn from torch's global generator."""
        names = ("width", "depth", "convolutions", "groups", "head", "centre", "deviation", "rho")
        return LinfDistanceNet(input_shape, classes, **{name: getattr(self, name) for name in names})

    def radii(self, labels: Tensor, classes: int) -> Tensor:
        """Radius to train each sample for, in units of the standardised input: int64 (n,) -> (n,)."""
        other = self.epsilon_other or self.epsilon
        return torch.where(labels == classes - 1, self.epsilon, other) / self.deviation

    def moment(self, progress: float) -> Moment:
        """What the schedule says at `progress` in [0, 1] of training; it ends with the net's own."""
        progress = min(progress / self.alone, 1.0)
        span = self.rise_until - self.rise_from
        ratio = (progress - self.rise_from) / span if span else math.inf if progress >= self.rise_until else 0.0
        ratio = _steady(min(max(ratio, 0.0), 1.0))
        p = math.inf if ratio >= 1.0 else self.p_start * (self.p_end / self.p_start) ** ratio
        mix = self.mix_start * (self.mix_end / self.mix_start) ** ratio
        return Moment(p, mix)


def _steady(part: float) -> float:
    """To single precision: a net below a convex network is trained as it is by itself, to the bit, whatever rounds."""
    return float(np.float32(part))


class Moment(NamedTuple):
    """State of the schedule: exponent, and weight of the cross-entropy."""

    p: float
    mix: float


_LARGE = LinfConfig(**PUBLISHED["mnist"], epochs=450, centre=0.1307, crop=1)
_CIFAR = replace(_LARGE, **PUBLISHED["cifar10"], epochs=1300, centre=0.4734, crop=3, flip=True)
_CIFAR = replace(_CIFAR, rise_from=100 / 1300, rise_until=1250 / 1300)
_ICML = {"loss": "hinge", "weight_decay": 0.005, "learning_rate": 0.02}
_ICML |= {"epochs": 400, "rise_from": 50 / 400, "rise_until": 350 / 400}
# Small nets want a heavy cross-entropy at first: with the published weight they do not leave the start in a few epochs.
_SMALL = LinfConfig(mix_start=1.0, batch_size=128, epochs=16, rise_until=0.9, crop=1)
_SHIRTS: dict[str, Any] = {"epsilon_other": 0.04, "sensitive_weight": 0.5}
_ANIMALS: dict[str, Any] = {"width": 96, "depth": 3, "batch_size": 48, "crop": 3, "flip": True}
LINF_PRESETS: dict[str, LinfConfig] = {
    "mnist": replace(_SMALL, width=200, epsilon=0.27, centre=0.1307, epochs=48),
    "fashion": replace(_SMALL, **_SHIRTS, epsilon=0.3, centre=0.286, deviation=0.352, epochs=20),
    "cifar10": replace(_SMALL, **_ANIMALS, epsilon=0.03, centre=0.4734, deviation=0.2009, epochs=90),
    "table": replace(_SMALL, width=64, depth=3, epsilon=0.05, deviation=0.3, batch_size=32, epochs=40, crop=0),
    "mnist-0.1": replace(_LARGE, epsilon=0.3),
    "mnist-0.3": replace(_LARGE, epsilon=0.45),
    "mnist-0.3-hinge": replace(_LARGE, **_ICML, epsilon=0.45),
    "cifar10-2": replace(_CIFAR, epsilon=0.03922, mix_end=0.002),
    "cifar10-8": replace(_CIFAR, epsilon=0.09411, mix_start=0.1, mix_end=0.0005),
    "cifar10-16": replace(_CIFAR, epsilon=0.15685, mix_start=0.1, mix_end=0.0002),
}
