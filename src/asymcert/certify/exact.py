"""The exact robust radius of a network whose margin is convex in the input, to a relative gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import check_count, check_number, option, refuse
from asymcert._floats import NORMS
from asymcert.attacks.base import in_evaluation_mode
from asymcert.certify.base import Certificate, Certifier
from asymcert.certify.closed_form import deployed_margin, in_float64
from asymcert.certify.composition import check_composition_convex
from asymcert.certify.coordinates import coordinates_of
from asymcert.certify.cutting_planes import Bounds
from asymcert.certify.exact_columns import CountBounds, CountSearch
from asymcert.certify.masters import load_solver
from asymcert.certify.planes import Planes
from asymcert.certify.workers import Limits, solver
from asymcert.features import split_linear
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class Exact(Certifier):
    """The true robust radius, between a proven bound and an adversarial example, by cutting planes.

    Where the margin is convex in the input, the least admissible change that undoes the verdict is a convex programme.
    Its cuts are tangent planes: a solver finds the least change that they do not rule out, the tangent plane between
    that and the best change known to undo the verdict is the next cut, until the two meet. The solver is not trusted:
    its multipliers are the weights of an average of the cuts, whose radius is computed as for every other method; and
    a point counts as an adversarial example only after the deployed classifier has changed its verdict on it.

    Needs a coordinatewise feature map that is affine, or convex with a score that is nondecreasing in the features
    that bend, and a norm of 1, 2 or inf. Where columns are counted (norm 0, all of one price) any coordinatewise map
    will do, and the count is found by branch and bound; see `exact_columns`.

    Parameters
    ----------
    tolerance
        Relative gap ``(upper - radius) / upper`` at which a sample is done. Rounding can keep the gap open, above all
        that of a model deployed in single precision; the best bounds are then returned.
    time_limit
        Seconds for each sample, after which its best bounds so far are returned; None for no limit.
    workers
        Processes. Several are started afresh, so a script needs the usual ``if __name__ == "__main__":``.
    max_cuts
        Cuts for each sample, after which its best bounds so far are returned.
    sound
        Whether bounds on all rounding errors are subtracted.

    Source: Kelley, The cutting-plane method for solving convex programs, 1960; Ben-Ameur and Neto, Acceleration of
    cutting-plane and column generation algorithms, 2007.
    """

    method: ClassVar[str] = "exact"
    kind: ClassVar[type[BinaryClassifier]] = FeatureConvexClassifier
    counts: ClassVar[bool] = True

    tolerance: float = option(1e-4, "exact, branch-and-bound: relative gap to stop at.")
    time_limit: float | None = option(None, "exact, branch-and-bound: seconds for each sample.")
    workers: int = option(1, "exact: processes.")
    max_cuts: int = option(400, "exact: planes for each sample.")
    sound: bool = option(True, "Subtract bounds on all rounding errors.")

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 1e-7, 1.0)  # solvers do not resolve finer ones
        if self.time_limit is not None:
            check_number("time_limit", self.time_limit, 0.0)
        check_count("workers", self.workers)
        check_count("max_cuts", self.max_cuts)

    def _certificates(
        self, model: FeatureConvexClassifier, x: Tensor, threats: Sequence[ThreatModel]
    ) -> list[Certificate]:
        x = x.to(model.device, torch.float64)
        counted = [threat for threat in threats if threat.norm == 0]
        others = [threat for threat in threats if threat.norm != 0]
        found = dict(zip(map(id, counted), self._count(model, x, counted), strict=True))
        found |= zip(map(id, others), self._measure(model, x, others), strict=True)
        return [found[id(threat)] for threat in threats]

    def _count(self, model: FeatureConvexClassifier, x: Tensor, threats: Sequence[ThreatModel]) -> list[Certificate]:
        """Certificates in columns."""
        if not threats:
            return []
        planes = Planes(model, self.sound)
        for threat in threats:
            planes.check(threat)
        if len(model.input_shape) > 1:
            what = f"of rows (d,) for method {self.method!r} where columns are counted"
            raise refuse("model", what, f"inputs of shape {model.input_shape}", "Use method refined.")
        margin = deployed_margin(model, x, planes.model.margin(x))
        sensitive = (margin > 0).nonzero().flatten().tolist()
        certificates = []
        for threat in threats:
            threat.check(x)
            searches = (CountSearch(model, planes, x[row : row + 1], threat, self.time_limit) for row in sensitive)
            certificates.append(self._gather(x, margin, [search.bounds() for search in searches], threat))
        return certificates

    def _measure(self, model: FeatureConvexClassifier, x: Tensor, threats: Sequence[ThreatModel]) -> list[Certificate]:
        """Certificates in l_p."""
        if not threats:
            return []
        for threat in threats:
            _check_norm(threat.norm)
            _check_coordinates(model, threat.norm)
            if threat.limits is not None and threat.limits.loose:
                what = "lists of values, or columns between others, which are no box"
                raise refuse("threat", f"of intervals for method {self.method!r}", what, "Use method refined.")
        check_composition_convex(model)
        for threat in threats:
            threat.check(x)
        limits = Limits(self.tolerance, self.time_limit, self.max_cuts)
        with in_evaluation_mode(model):
            margin = deployed_margin(model, x, in_float64(model).margin(x))
            sensitive = margin > 0
            workers = min(self.workers, max(1, int(sensitive.sum())))
            with solver(model, self.sound, limits, workers) as solve:
                return [self._gather(x, margin, solve.bounds(x[sensitive], threat), threat) for threat in threats]

    def _gather(
        self, x: Tensor, margin: Tensor, found: Sequence[Bounds | CountBounds], threat: ThreatModel
    ) -> Certificate:
        """One certificate from the bounds of the sensitive samples; cuts are padded with weight 0."""
        most = max((len(bounds.weights) for bounds in found), default=1)
        radius, upper = torch.zeros_like(margin), torch.zeros_like(margin)
        adversarial, anchors = x.clone(), torch.stack([x] * most, dim=1)
        weights = x.new_zeros(len(x), most)
        weights[:, 0] = 1.0
        for index, bounds in zip((margin > 0).nonzero().flatten().tolist(), found, strict=True):
            count = len(bounds.weights)
            # Without the bounds on rounding, a radius may come out above the flip by a few units in the last place.
            radius[index] = bounds.radius if self.sound else min(bounds.radius, bounds.upper)
            upper[index], adversarial[index] = bounds.upper, bounds.adversarial
            anchors[index, :count], weights[index, :count] = bounds.anchors, bounds.weights.to(weights)
        slope = torch.full_like(margin, math.nan)
        proof = {"adversarial": adversarial, "anchors": anchors, "weights": weights}
        return Certificate(radius, margin, slope, threat, self.method, self.sound, upper=upper, **proof)


def _check_norm(norm: float) -> None:
    """Refuse norms without a solver, and solvers that are not installed."""
    if norm not in NORMS:
        raise refuse("norm", "1, 2 or inf for method 'exact'", norm, "Use method='refined', which takes every norm.")
    load_solver("highspy")
    if norm == 2:
        load_solver("clarabel")


def _check_coordinates(model: FeatureConvexClassifier, norm: float) -> None:
    """Refuse what is measured in another norm behind bands, where bounds cannot meet."""
    maps, _ = split_linear(model.feature_map)
    measured = coordinates_of(maps, model.input_shape, affine=False).norm(norm)
    if measured != norm:
        remedy = "Use method='refined', which takes every norm."
        raise refuse("norm", f"{measured:g} for method 'exact' behind bands, which measure in it", norm, remedy)
