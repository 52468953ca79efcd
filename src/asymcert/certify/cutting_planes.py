"""The cutting-plane loop behind exact radii, for one input.

The master's answers bound the radius from below and jump about; the best change known to undo the verdict bounds it
from above. Cuts are taken between the two: each either improves the best change or cuts the answer off, and deeper
than a cut at the answer would. Networks with many kinks need a fraction of the cuts this way.

Source: Kelley, The cutting-plane method for solving convex programs, 1960; cuts between the bounds as in Ben-Ameur and
Neto, Acceleration of cutting-plane and column generation algorithms, 2007.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asymcert._floats import scaled_norm
from asymcert.attacks import AttackResult, score
from asymcert.attacks.exact_size import rounding_slack
from asymcert.certify.cuts import Cuts
from asymcert.certify.masters import MASTERS, Answer, Master, Vector
from asymcert.certify.planes import Planes
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel

CLOSINGS = 4  # attempts to prove both bounds where the master says that they meet: rounding can keep them apart
TOWARDS = 0.6  # share of the way from the best change known to the master's answer at which the next cut is taken
LONGER = (1.0, 1.01, 1.03, 1.1, 1.2, 1.4, 2.0, 4.0, 10.0)  # multiples of an answer, to find a first change by
SHALLOWEST = 1e-8  # of the depths, in units of the margin: ten times what solvers resolve
FINEST, FARTHEST = 46, 12  # powers of two: how near to a change, and how far beyond it, a flip is looked for
BETWEEN = 30  # points tried between the last two of these


@dataclass(frozen=True)
class Bounds:
    """What the loop found for one input.

    Parameters
    ----------
    radius, upper
        Proven radius, rounded down, and size of the flip that was found, rounded up; inf where there is none.
    adversarial
        (*input_shape): the flip, else the best attempt at one.
    anchors, weights
        (K, *input_shape) and (K,): the cuts that prove the radius.
    """

    radius: float
    upper: float
    adversarial: Tensor
    anchors: Tensor
    weights: Tensor


class CuttingPlanes:
    """Cuts of one input, and the best bounds that were proven with them.

    Parameters
    ----------
    model
        The deployed classifier.
    planes
        What its cuts share.
    x
        (1, *input_shape), float64, inside the box and sensitive.
    threat
        The adversary, its norm being 1, 2 or inf.
    """

    def __init__(self, model: FeatureConvexClassifier, planes: Planes, x: Tensor, threat: ThreatModel):
        self.model, self.threat = model, threat
        self.cuts = Cuts(planes, x, threat)
        self.x = self.cuts.x
        self.low, self.high = threat.interval(self.x)
        self.cost = threat.cost_for(planes.model.input_shape).to(self.x)[None]
        self.radius, self.upper = 0.0, math.inf
        self.weights, self.adversarial = np.ones(1), self.x[0]
        self.margin = float(self.cuts.add(self.x))
        self._prove(self.weights)

    def run(self, tolerance: float, deadline: float, max_cuts: int) -> Bounds:
        """Add cuts until both bounds meet, nothing more can be proven, or time (``monotonic``) or cuts run out."""
        slope = self._slope()
        unit = self._unit(slope)
        if not 0 < unit < math.inf or not self.margin > 0 or math.isinf(self.radius):
            return self._bounds()
        master = self._master(slope, unit)
        closings, latest, depth, inside = 0, self.weights, 0.25 * tolerance, None
        while (answer := master.solve(depth)) is not None:
            change = self._change(answer, unit)
            inside = self._undone_along(change) if inside is None and answer.feasible else inside
            point = change if inside is None else inside + TOWARDS * (change - inside)
            inside = point if self._add_cut(master, point, unit) <= 0 else inside
            met = inside is not None and self._size(inside) <= self._size(change) * (1.0 + 0.25 * tolerance)
            last = len(master.values) >= max_cuts or time.monotonic() >= deadline
            if last or met or not answer.feasible:
                for weights in (answer.weights, latest):  # where nothing is feasible, the latest that was
                    self._prove(weights)
                self._flip(change if inside is None else inside)
                closings, depth = closings + 1, max(0.1 * depth, SHALLOWEST)
                if last or closings == CLOSINGS or self._closed(tolerance):
                    break
            latest = answer.weights if answer.feasible else latest
        return self._bounds()

    def _undone_along(self, change: Tensor) -> Tensor | None:
        """The shortest of some multiples of a change that undo the verdict in float64; None if none does."""
        tried = self._multiples(change, np.array(LONGER))
        undone = self.cuts.model.margin(self.x + tried) <= 0
        return tried[undone][:1] if bool(undone.any()) else None

    def _multiples(self, change: Tensor, multiples: Vector) -> Tensor:
        """Multiples (k,) of a change, kept inside the box: (k, *input_shape)."""
        tried = torch.from_numpy(multiples).to(self.x).view(-1, *[1] * (self.x.ndim - 1)) * change
        return torch.clamp(tried, self.low, self.high)

    def _size(self, change: Tensor) -> float:
        return float(self._sizes(change))

    def _sizes(self, change: Tensor) -> Tensor:
        return scaled_norm((change * self.cost).abs().flatten(1), self.threat.norm)

    def _master(self, slope: Tensor, unit: float) -> Master:
        """The master in units of the first margin and of about the radius, with the cut at the input."""
        low, high = ((end * self.cost / unit).flatten().cpu().numpy() for end in (self.low, self.high))
        master = MASTERS[self.threat.norm](low, high)
        master.add(1.0, self._scaled(slope, unit))
        return master

    def _add_cut(self, master: Master, change: Tensor, unit: float) -> float:
        """Give the master the tangent plane at the changed input, whose margin is returned."""
        margin = float(self.cuts.add(self.x + change))
        slope = self._slope()
        at_input = margin - float((slope * change).sum())
        master.add(at_input / self.margin, self._scaled(slope, unit))
        return margin

    def _slope(self) -> Tensor:
        """A subgradient of the margin by the input at the latest anchor, (1, *input_shape)."""
        anchor = self.cuts.anchors[:, -1].detach().requires_grad_(True)
        with torch.enable_grad():
            features = self.cuts.model.feature_map(anchor)
            (slope,) = torch.autograd.grad((features * self.cuts.gradient[:, -1]).sum(), anchor)
        return slope

    def _scaled(self, slope: Tensor, unit: float) -> Vector:
        return (slope / self.cost * (unit / self.margin)).flatten().cpu().numpy()

    def _unit(self, slope: Tensor) -> float:
        """About the radius: the bound of the first cut, or where rounding left nothing of it, its closed form."""
        if self.radius > 0:
            return self.radius
        dual = float(scaled_norm((slope / self.cost).abs().flatten(1), self.threat.dual_norm))
        return self.margin / dual if dual > 0 else math.inf

    def _change(self, answer: Answer, unit: float) -> Tensor:
        """The master's point as an admissible change, (1, *input_shape)."""
        point = torch.from_numpy(answer.point).to(self.x).view_as(self.x)
        return torch.clamp(point * unit / self.cost, self.low, self.high)

    def _closed(self, tolerance: float) -> bool:
        return math.isinf(self.radius) or self.upper - self.radius <= tolerance * self.upper

    def _prove(self, weights: Vector) -> None:
        """Keep the radius that the cuts with these weights prove, if it is the best; the last cuts may have none."""
        count = self.cuts.value.shape[1]
        padded = np.concatenate((weights, np.zeros(count - len(weights))))
        radius = float(self.cuts.radius(torch.from_numpy(padded).to(self.x)[None]).radius)
        if radius > self.radius:
            self.radius, self.weights = radius, padded

    def _flip(self, change: Tensor) -> None:
        """Walk along the ray of a change to where the deployed verdict flips; keep the least flip found."""
        steps = 2.0 ** np.arange(-FINEST, FARTHEST, 2.0)
        multiples = np.concatenate(([0.0], 1.0 - steps[::-1][steps[::-1] < 1], [1.0], 1.0 + steps))
        for _ in range(2):
            flipped = self._try(change, multiples)
            if not flipped.any():
                break
            first = max(1, int(flipped.argmax()))
            multiples = np.linspace(multiples[first - 1], multiples[first], BETWEEN + 2)[1:-1]

    def _try(self, change: Tensor, multiples: Vector) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which multiples of a change, kept inside the box, flip the deployed verdict; keeps the least."""
        tried = self._multiples(change, multiples)
        x = self.x.expand_as(tried)
        found = score(self.model, x, tried, self.threat, x.new_full((len(x),), math.inf))
        size = self._sizes(found.adversarial - x)
        undone = found.success & (found.margin <= -self._noise(found))
        size = torch.where(undone, size * (1.0 + 2.0 * rounding_slack(self.x)), math.inf)
        least = int(size.argmin())
        if float(size[least]) < self.upper:
            self.upper, self.adversarial = float(size[least]), found.adversarial[least]
        return undone.cpu().numpy()

    def _noise(self, found: AttackResult) -> float:
        """How far margins near the input's own came out from those in float64, twice.

        In single precision a margin depends on the batch that it is computed in; a flip should not.
        """
        if self.model.dtype == torch.float64:
            return 0.0
        margin = self.cuts.model.margin(found.adversarial)
        return 2.0 * float(torch.where(margin.abs() <= self.margin, (found.margin - margin).abs(), 0.0).max())

    def _bounds(self) -> Bounds:
        used = self.weights > 0
        anchors = self.cuts.anchors[0, : len(used)][torch.from_numpy(used).to(self.x.device)]
        return Bounds(self.radius, self.upper, self.adversarial, anchors, torch.from_numpy(self.weights[used]))
