"""Averages of several tangent planes: better radii than one plane's, and at any time a valid one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import check_count, option
from asymcert._floats import UP
from asymcert.attacks import score
from asymcert.certify.alerts import alerts, at_alerts
from asymcert.certify.base import Certificate, Certifier, join
from asymcert.certify.cuts import Cuts, PlaneRadius
from asymcert.certify.evasion import fewest_columns
from asymcert.certify.planes import Planes
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel

ROUGHLY = 6  # tightenings of radii that are only compared; that of the best weights is tightened to the end
STEP = 0.7  # of the weights' logarithms
FARTHEST = 2.0  # times the average answer: where an evasion is looked for
BISECTIONS = 8
AVERAGE = 2.0  # how much more the latest answer counts than the ones before


@dataclass(frozen=True)
class Refined(Certifier):
    """Tangent planes at the worst points of the planes so far, averaged with weights that improve step by step.

    Any convex combination of tangent planes lies below the margin, so *every* choice of weights gives a valid radius,
    and the best one is kept. Each round adds the plane at the running average of the adversary's answers, then moves
    weight towards the planes that are highest at its latest answer (multiplicative weights). A point at which the
    deployed verdict is undone bounds the true radius from above.

    Parameters
    ----------
    cuts
        Planes per sample, that at the input included: as many forward and backward passes.
    steps
        Improvements of the weights after each new plane.
    sound
        Whether bounds on all rounding errors are subtracted.
    """

    method: ClassVar[str] = "refined"
    kind: ClassVar[type[BinaryClassifier]] = FeatureConvexClassifier
    counts: ClassVar[bool] = True
    edits: ClassVar[bool] = True

    cuts: int = option(8, "refined: tangent planes for each sample.")
    steps: int = option(2, "refined: improvements of the weights after each plane.")
    sound: bool = option(True, "Subtract bounds on all rounding errors.")

    def __post_init__(self) -> None:
        check_count("cuts", self.cuts)
        check_count("steps", self.steps)

    def _certificates(
        self, model: FeatureConvexClassifier, x: Tensor, threats: Sequence[ThreatModel]
    ) -> list[Certificate]:
        planes = Planes(model, self.sound)
        return [self._certify(model, planes, x, threat) for threat in threats]

    def _certify(self, model: FeatureConvexClassifier, planes: Planes, x: Tensor, threat: ThreatModel) -> Certificate:
        planes.check(threat)
        chunks = []
        for chunk in planes.chunks(x, self.cuts):
            margin, sensitive = alerts(model, chunk, threat)
            search = partial(self._search, model, planes, threat)
            chunks.append((margin, *at_alerts(sensitive, chunk, self.cuts, search)))
        margin, radius, upper, adversarial, anchors, weights = join(chunks)
        slope = torch.full_like(margin, torch.nan)
        parts = {"upper": upper, "adversarial": adversarial, "anchors": anchors, "weights": weights}
        return Certificate(radius, margin, slope, threat, self.method, self.sound, **parts)

    def _search(
        self, model: FeatureConvexClassifier, planes: Planes, threat: ThreatModel, x: Tensor
    ) -> tuple[Tensor, ...]:
        """What `PlaneSearch.result` has of sensitive samples."""
        search = PlaneSearch(model, planes, x, threat)
        for _ in range(1, self.cuts):
            search.add_cut()
            search.improve(self.steps)
        return search.result()


class PlaneSearch:
    """State of a chunk's sensitive samples: the cuts, current and best weights, the adversary's answers."""

    def __init__(self, model: FeatureConvexClassifier, planes: Planes, x: Tensor, threat: ThreatModel):
        self.model, self.x, self.threat = model, x, threat
        self.cuts = Cuts(planes, x, threat)
        self.cuts.add(x)
        self.weights = torch.ones_like(self.cuts.value)
        plane = self.cuts.radius(self.weights)
        self.best, self.best_weights = plane.radius, self.weights
        self.average, self.answers = plane.change, 1

    def add_cut(self) -> None:
        """Add the plane at the average answer."""
        self.cuts.add(self.x + self.average)
        new = torch.full_like(self.weights[:, :1], 1.0 / (self.weights.shape[1] + 1))
        self.weights = torch.cat((self.weights * (1.0 - new), new), 1)
        self.best_weights = torch.cat((self.best_weights, torch.zeros_like(new)), 1)

    def improve(self, steps: int) -> None:
        """Move weight towards the planes that are highest where the adversary answers."""
        for step in range(steps):
            plane = self._evaluate()
            value = self.cuts.at(plane.change)
            highest = value.abs().amax(1, keepdim=True)
            rate = STEP / (1.0 + step) ** 0.5
            weights = self.weights * torch.exp(rate * value / torch.where(highest > 0, highest, 1.0))
            self.weights = weights / weights.sum(1, keepdim=True)
        self._evaluate()

    def result(self) -> tuple[Tensor, ...]:
        """Radius, upper bound, adversarial input, anchors, weights."""
        radius = torch.maximum(self.best, self.cuts.radius(self.best_weights).radius)
        if self.threat.norm == 0:
            upper, adversarial = fewest_columns(self.model, self.cuts, self.best_weights, radius)
        else:
            upper, adversarial = self._evade()
            if self.cuts.rounding is None:  # rounding may then put a flip a few units inside; otherwise it is a fault
                upper = torch.maximum(upper, radius)
        return radius, upper, adversarial, self.cuts.anchors, self.best_weights

    def _evaluate(self) -> PlaneRadius:
        plane = self.cuts.radius(self.weights, ROUGHLY)
        better = plane.radius > self.best
        self.best = torch.where(better, plane.radius, self.best)
        self.best_weights = torch.where(better[:, None], self.weights, self.best_weights)
        self.answers += 1
        share = AVERAGE / (self.answers + AVERAGE - 1)
        self.average = self.average + share * (plane.change - self.average)
        return plane

    def _evade(self) -> tuple[Tensor, Tensor]:
        """Shortest evasion found beyond the average answer: size (n,), inf where there is none, and input."""
        low, high = self.threat.interval(self.x)
        shape = (-1, *[1] * (self.x.ndim - 1))
        near, far = torch.ones_like(self.best), torch.full_like(self.best, FARTHEST)
        for _ in range(BISECTIONS):
            middle = 0.5 * (near + far)
            change = torch.clamp(self.average * middle.view(shape), low, high)
            undone = self.cuts.model(self.x + change) <= 0
            near, far = torch.where(undone, near, middle), torch.where(undone, middle, far)
        change = torch.clamp(self.average * far.view(shape), low, high)
        found = score(self.model, self.x, change, self.threat, torch.full_like(far, torch.inf))
        size = torch.where(found.success, found.size * UP, torch.inf)
        return size, torch.where(found.success.view(shape), found.adversarial, self.x + self.average)
