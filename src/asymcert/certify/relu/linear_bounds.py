"""Certificates of ReLU networks by bounds on every layer: intervals, and linear bounds with optimised slopes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import check_count, option
from asymcert.certify.base import Certificate, Certifier, Threats
from asymcert.certify.relu.reach import Reach
from asymcert.certify.relu.relu_bounds import Enclosure, FirstLayer, Network, intervals
from asymcert.certify.relu.slopes import best_bound, tightened
from asymcert.models.base import BinaryClassifier
from asymcert.models.relu import ReluClassifier
from asymcert.threats.model import ThreatModel

CHUNK_VALUES = 2**22  # of the first layer's coefficients by sample, of which about ten such arrays are kept
DOUBLINGS = 40  # of the first radius tried, or as many quarterings


@dataclass(frozen=True, eq=False)
class Samples:
    """A chunk of samples with all that bounds at any radius need."""

    network: Network
    reach: Reach
    first: FirstLayer

    @classmethod
    def of(cls, network: Network, x: Tensor, threat: ThreatModel) -> Samples:
        """Prepare inputs (n, *input_shape), float64."""
        reach = Reach.of(x, threat)
        return cls(network, reach, FirstLayer(network, reach))

    def intervals(self, radius: Tensor) -> Enclosure:
        """Interval bounds at radii (n,), inf allowed."""
        return intervals(self.network, self.reach, self.first, radius)


@dataclass(frozen=True)
class ReluCertifier(Certifier, ABC):
    """What the certificates of ReLU networks share: bisection for the largest radius with a positive bound.

    Parameters
    ----------
    sound
        Whether bounds on all rounding errors are subtracted, the certifier's and the deployed classifier's.
    steps
        Halvings of the interval between a certified and an uncertified radius.
    """

    kind: ClassVar[type[BinaryClassifier]] = ReluClassifier

    sound: bool = option(True, "Subtract bounds on all rounding errors.")
    steps: int = option(16, "interval-bounds, crown, branch-and-bound: halvings of the radius.")

    def __post_init__(self) -> None:
        check_count("steps", self.steps, 0)

    def _certificates(self, model: ReluClassifier, x: Tensor, threats: Threats) -> list[Certificate]:
        network, margin = Network.of(model, self.sound), model.margin(x).double()
        return [self._certificate(model, network, x, margin, threat) for threat in threats]

    def _certificate(
        self, model: ReluClassifier, network: Network, x: Tensor, margin: Tensor, threat: ThreatModel
    ) -> Certificate:
        threat.check(x.to(model.device, torch.float64))
        radius = torch.zeros_like(margin)
        chosen = (margin > 0).nonzero()[:, 0]
        first = network.layers[0][0]
        for index in chosen.split(max(1, CHUNK_VALUES // (2 * first.numel()))):
            chunk = x.to(model.device, torch.float64)[index]
            radius[index] = self._radius(Samples.of(network, chunk, threat), margin[index])
        return Certificate(radius, margin, torch.full_like(margin, math.nan), threat, self.method, self.sound)

    @abstractmethod
    def _radius(self, samples: Samples, margin: Tensor) -> Tensor:
        """Radii (n,) of samples whose deployed margin is positive."""


@dataclass(frozen=True)
class IntervalBounds(ReluCertifier):
    """The largest radius, by bisection, at which interval bounds keep the verdict.

    The first layer's bounds are exact for the threat model (norm, costs, box, immutable features, directions).

    Sound when the deployed forward pass is in IEEE arithmetic without flushing to zero anything but numbers below the
    smallest normal one.

    Source: Gowal et al., 2018.
    """

    method: ClassVar[str] = "interval-bounds"

    def _radius(self, samples: Samples, margin: Tensor) -> Tensor:
        return interval_radius(samples, margin, self.steps)


@dataclass(frozen=True)
class Crown(ReluCertifier):
    """The largest radius, by bisection, at which linear bounds with optimised slopes keep the verdict.

    Each ReLU that may be on either side of its kink is replaced by a line below or above it, whichever serves, and the
    slopes of the lower lines are moved up the gradient of the bound. Never below `IntervalBounds` with the same steps.

    Parameters
    ----------
    ascents
        Gradient steps of the slopes at each radius.

    Sound when `IntervalBounds` is.

    Source: Zhang et al., NeurIPS 2018, Theorem 3.2; optimised slopes: Xu et al., ICLR 2021.
    """

    method: ClassVar[str] = "crown"

    ascents: int = option(20, "crown, branch-and-bound: gradient steps of the slopes.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("ascents", self.ascents, 0)

    def _radius(self, samples: Samples, margin: Tensor) -> Tensor:
        return crown_radius(samples, margin, self.steps, self.ascents)


def interval_radius(samples: Samples, margin: Tensor, steps: int) -> Tensor:
    """Largest radii (n,) that interval bounds certify, to `steps` halvings; inf where nothing admissible matters."""

    def certified(radius: Tensor) -> Tensor:
        return samples.intervals(radius).margin > 0

    start = torch.zeros_like(margin)
    everywhere = certified(torch.full_like(margin, math.inf))
    found = largest(certified, start, guess(samples, margin), steps)
    return torch.where(everywhere, math.inf, found)


def crown_radius(samples: Samples, margin: Tensor, steps: int, ascents: int) -> Tensor:
    """Largest radii (n,) that linear bounds with optimised slopes certify, at least those of intervals."""
    low = interval_radius(samples, margin, steps)

    def certified(radius: Tensor) -> Tensor:
        enclosure = tightened(samples.network, samples.reach, samples.intervals(radius), radius)
        if bool((enclosure.margin > 0).all()):
            return enclosure.margin > 0
        best = best_bound(samples.network, samples.reach, radius, enclosure, ascents)
        return torch.maximum(best.value, enclosure.margin) > 0

    finite = torch.where(low.isinf(), 0.0, low)
    found = largest(certified, finite, guess(samples, margin), steps)
    return torch.where(low.isinf(), math.inf, torch.maximum(found, finite))


def guess(samples: Samples, margin: Tensor) -> Tensor:
    """A radius (n,) to begin the search at: what the margin's scale and the largest weights make likely."""
    weight, _ = samples.network.layers[0]
    steep = (weight.abs() / samples.reach.cost).amax()
    for matrix, _ in samples.network.layers[1:]:
        steep = steep * matrix.abs().amax()
    return (margin / steep.clamp(min=1e-30)).clamp(1e-12, 1e12)


def largest(certified: Callable[[Tensor], Tensor], low: Tensor, start: Tensor, steps: int) -> Tensor:
    """Largest radius (n,) found with ``certified(radius)``, from `low`, which is known to hold, upward.

    Doubles (or halves) from `low`, or `start` where that is 0, until a certified and an uncertified radius meet, then
    bisects the interval between them.
    """
    high = torch.where(low > 0, 2.0 * low, start)
    held = certified(high)
    known, failed = torch.where(held, high, low), torch.where(held, math.inf, high)
    for _ in range(DOUBLINGS):
        growing, shrinking = failed.isinf(), known == 0
        if not bool((growing | shrinking).any()):
            break
        trial = torch.where(growing, 2.0 * known, torch.where(shrinking, failed / 4.0, known))
        held = certified(trial) | (~growing & ~shrinking)
        failed = torch.where(held, failed, trial)
        known = torch.where(held, trial, known)
    failed = torch.where(failed.isinf(), known, failed)
    for _ in range(steps):
        middle = (known + failed) / 2
        held = certified(middle)
        known, failed = torch.where(held, middle, known), torch.where(held, failed, middle)
    return known
