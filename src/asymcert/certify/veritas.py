"""Radii of sums of trees, by searching boxes for an input that undoes the verdict: the solver Veritas."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor

from asymcert._checks import check_number, option
from asymcert._floats import UP, up
from asymcert.attacks.base import admissible
from asymcert.certify.base import Certificate, Certifier, Threats
from asymcert.certify.masters import load_solver
from asymcert.certify.trees import sum_error
from asymcert.models.base import BinaryClassifier
from asymcert.models.trees import TreeSum
from asymcert.threats.model import ThreatModel

START = 1.0  # radius to begin with where the whole box could not be decided
SHARE = 0.5  # of the time that is left, for one decision
LEAST = 1e-12  # radius below which the search ends
STEPS = 100  # of the solver between two looks at the clock


@dataclass(frozen=True)
class Veritas(Certifier):
    """The l_inf radius of a sum of trees, by bisection: each box is proved free of flips, or a flip is found in it.

    Exact within the tolerance unless time runs out, and then a lower bound. Costs, boxes, immutable features and
    directions are all used. In l_p with p < inf the same radius holds, since no change is longer in l_inf.

    Parameters
    ----------
    sound
        Whether the rounding of the sums is subtracted.
    tolerance
        Stop when the radius is within this share of a known flip's size.
    time_limit
        Seconds for each sample and box.

    Sound when Veritas's bounds are, up to rounding; every flip that it finds is checked with the deployed classifier.

    Source: Devos, Meert, Davis, Versatile Verification of Tree Ensembles, ICML 2021.
    """

    method: ClassVar[str] = "veritas"
    kind: ClassVar[type[BinaryClassifier]] = TreeSum

    sound: bool = option(True, "Subtract bounds on all rounding errors.")
    tolerance: float = option(0.01, "veritas: relative gap at which the search ends.")
    time_limit: float = option(1.0, "veritas: seconds for each sample.")

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 0.5)
        check_number("time_limit", self.time_limit, 0.0, open_low=True)

    def _certificates(self, model: TreeSum, x: Tensor, threats: Threats) -> list[Certificate]:
        solver = load_solver("veritas", self.method, "trees")
        boxes = _Boxes(solver, add_tree(solver, model), model, sum_error(model) if self.sound else 0.0)
        margin, x = model.margin(x), x.to(model.device, model.dtype)
        known: dict[str, tuple[Tensor, Tensor]] = {}  # norms share their box
        certificates = []
        for threat in threats:
            box = replace(threat, norm=math.inf, name=None)
            key = json.dumps(box.to_dict())
            if key not in known:
                known[key] = self._search(boxes, x, margin, box)
            certificates.append(self._certificate(x, margin, threat, *known[key]))
        return certificates

    def _search(self, boxes: _Boxes, x: Tensor, margin: Tensor, threat: ThreatModel) -> tuple[Tensor, Tensor]:
        """Radii (n,) in l_inf, and the smallest changed inputs (n, d) that undo the verdict, or the inputs."""
        threat.check(x)
        radius, point = torch.zeros_like(margin), x.clone()
        for index in (margin > 0).nonzero()[:, 0].tolist():
            found = self._bisect(boxes, x[index : index + 1], threat)
            radius[index], point[index] = found
        return radius, point

    def _bisect(self, boxes: _Boxes, x: Tensor, threat: ThreatModel) -> tuple[float, Tensor]:
        """Of one sample (1, d)."""
        deadline = time.monotonic() + self.time_limit
        low, high, nearest, radius = 0.0, math.inf, x[0], math.inf
        while low < high * (1.0 - self.tolerance) and high > LEAST and (left := deadline - time.monotonic()) > 0:
            safe, flip = boxes.decide(x, threat, radius, SHARE * left)
            if safe:
                low = radius
            elif flip is not None and float(threat.size(flip - x)) <= radius:
                high, nearest = float(threat.size(flip - x)), flip[0]
            else:
                high = min(radius, high)
            if low == math.inf:
                break
            radius = (low + high) / 2.0 if high < math.inf else max(2.0 * low, START)
        return (low if self.sound else min(low, high)), nearest

    def _certificate(
        self, x: Tensor, margin: Tensor, threat: ThreatModel, radius: Tensor, point: Tensor
    ) -> Certificate:
        size = threat.size(point - x) * up(x.shape[1] + 16)
        upper = torch.where(margin > 0, torch.where((point == x).all(1), math.inf, size), 0.0)
        nothing = torch.full_like(margin, math.nan)
        parts = {"upper": upper, "adversarial": point}
        return Certificate(radius, margin, nothing, threat, self.method, self.sound, **parts)


@dataclass(frozen=True)
class _Boxes:
    """Decides whether a box around an input holds a flip; `error` bounds the rounding of margins."""

    solver: ModuleType
    ensemble: Any
    model: TreeSum
    error: float

    def decide(self, x: Tensor, threat: ThreatModel, radius: float, seconds: float) -> tuple[bool, Tensor | None]:
        """Whether no admissible change of l_inf size up to `radius` undoes the verdict; or one (1, d), or neither."""
        low, high = self._ends(x, threat, radius)
        config = self.solver.Config(self.solver.HeuristicType.MIN_OUTPUT)
        config.ignore_state_when_worse_than = self.error
        config.stop_when_num_solutions_exceeds = 1
        config.stop_when_optimal = True
        after = torch.nextafter(high, torch.full_like(high, math.inf))  # the solver's intervals lack their end
        ends = zip(low[0].tolist(), after[0].tolist(), strict=True)
        search = config.get_search(self.ensemble, [self.solver.Interval(*pair) for pair in ends])
        reason = search.step_for(seconds, STEPS)
        if search.num_solutions() == 0:
            return reason == self.solver.StopReason.NO_MORE_OPEN, None
        point = self._nearest(x, search.get_solution(0).box())
        flips = bool(admissible(x, point, threat, torch.full((1,), math.inf))) and not bool(self.model(point) > 0)
        return False, point if flips else None

    def _ends(self, x: Tensor, threat: ThreatModel, radius: float) -> tuple[Tensor, Tensor]:
        """Least and greatest value of each input (1, d), rounded outward."""
        low, high = threat.interval(x)
        far = radius / threat.cost_for(self.model.input_shape).to(x) * UP
        low, high = torch.maximum(low, -far), torch.minimum(high, far)
        infinite = torch.full_like(x, math.inf)
        start = torch.where(low < 0, torch.nextafter(x + low, -infinite), x)
        return start, torch.where(high > 0, torch.nextafter(x + high, infinite), x)

    def _nearest(self, x: Tensor, box: dict[int, Any]) -> Tensor:
        """The input of a solution's box that is nearest to `x`: (1, d)."""
        point = x.clone()
        for feature, interval in box.items():
            value, end = float(x[0, feature]), math.nextafter(interval.hi, -math.inf)
            point[0, feature] = min(max(value, interval.lo), end)
        return point


def add_tree(solver: ModuleType, model: TreeSum) -> Any:
    """The same trees in the solver's form, the threshold subtracted."""
    trees = model.trees
    ensemble = solver.AddTree(1, solver.AddTreeType.REGR)
    ensemble.set_base_score(0, float(trees.base.double()) - model.threshold)
    arrays = [getattr(trees, name).tolist() for name in ("feature", "split", "left", "right", "value")]
    for root in trees.root.tolist():
        _copy(ensemble.add_tree(), root, *arrays)
    return ensemble


def _copy(tree: Any, root: int, feature: list, split: list, left: list, right: list, value: list) -> None:
    waiting = [(root, tree.root())]
    while waiting:
        node, place = waiting.pop()
        if left[node] == node:
            tree.set_leaf_value(place, 0, value[node])
        else:
            tree.split(place, feature[node], split[node])
            waiting += [(left[node], tree.left(place)), (right[node], tree.right(place))]
