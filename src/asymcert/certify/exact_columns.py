"""The exact number of columns that an adversary must change, by branch and bound, for small numbers.

For each number k that refined planes leave open: sets of k columns that no plane rules out are gone through, the ones
that matter most first. A set is decided box by box: where the averaged planes at the box's worst known point prove that
none of the set's values in the box undoes the verdict, the box is done; else it is cut in two at an end of a ramp.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asymcert._floats import up
from asymcert.attacks.base import score
from asymcert.certify.evasion import fewest_columns
from asymcert.certify.planes import Planes
from asymcert.certify.refined import PlaneSearch
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel

CUTS, STEPS = 8, 2  # as the refined method has by default
BOX_CUTS = 4  # planes of one box
MOST_BOXES = 10_000  # of one sample

Values = NDArray[np.float64]


class UndecidedError(Exception):
    """Time, boxes or the resolution of numbers ran out."""


@dataclass
class CountBounds:
    """What is known of one sample: no `radius` columns undo the verdict, but `upper` do, as in `adversarial` (d,)."""

    radius: float
    upper: float
    adversarial: Tensor
    anchors: Tensor
    weights: Tensor


class CountSearch:
    """Branch and bound for one sensitive sample, all columns of one price.

    Parameters
    ----------
    model, planes
        The classifier that is run, and what its planes share.
    x
        (1, d), float64.
    threat
        An adversary of norm 0.
    time_limit
        Seconds; None for no limit.
    """

    def __init__(
        self, model: FeatureConvexClassifier, planes: Planes, x: Tensor, threat: ThreatModel, time_limit: float | None
    ):
        self.model, self.planes, self.x, self.threat = model, planes, x, threat
        self.columns = threat.columns(model.input_shape).to(x.device)
        self.end = math.inf if time_limit is None else time.monotonic() + time_limit
        self.boxes = 0

    def bounds(self) -> CountBounds:
        """The best bounds found; `upper` is the next number after `radius` wherever the search ended."""
        search = PlaneSearch(self.model, self.planes, self.x, self.threat)
        for _ in range(1, CUTS):
            search.add_cut()
            search.improve(STEPS)
        radius, upper, adversarial, anchors, weights = search.result()
        found = CountBounds(float(radius), float(upper), adversarial[0], anchors[0], weights[0])
        price = self.columns.equal_price
        if price is None:
            return found
        self._read_planes(search)
        try:
            while math.isfinite(found.radius) and found.radius + price < found.upper:
                flip = self._flip(round(found.radius / price) + 1)
                if flip is not None:
                    found.upper, found.adversarial = found.radius + price, flip
                elif round(found.radius / price) + 1 >= len(self.columns.price):
                    found.radius = math.inf
                else:
                    found.radius += price
        except UndecidedError:
            pass
        return found

    def _read_planes(self, search: PlaneSearch) -> None:
        """Amount and drops by column of the best average, and of each plane: float64 (w,) and (w, G)."""
        cuts, best = search.cuts, search.best_weights
        chosen = [best, *torch.eye(best.shape[1], dtype=best.dtype, device=best.device)[:, None]]
        read = [cuts.column_drops(weights) for weights in chosen]
        self.amount = np.array([float(amount) for _, amount in read])
        self.drop = np.stack([drops.drop[0].cpu().numpy() for drops, _ in read])
        self.worst = self.x[0] + read[0][0].change[0].clamp(-1e15, 1e15)

    def _flip(self, count: int) -> Tensor | None:
        """A change of at most `count` columns that undoes the verdict, (d,); None where there is none."""
        order = np.argsort(-self.drop[0], kind="stable")
        for chosen in self._sets(count, order):
            found = self._flip_of(chosen)
            if found is not None:
                return found
        return None

    def _sets(self, count: int, order: NDArray[np.int64]) -> Iterator[list[int]]:
        """Sets of columns that no plane rules out, those with the greatest drops first."""
        waiting: list[tuple[int, list[int]]] = [(0, [])]
        while waiting:
            start, chosen = waiting.pop()
            left = count - len(chosen)
            rest = -np.sort(-self.drop[:, order[start:]], axis=1)[:, :left]
            lost = (self.drop[:, chosen].sum(1) + rest.sum(1)) * up(2 * len(order) + 16)
            if bool((self.amount > lost).any()):
                continue
            if left == 0 or start == len(order):
                yield chosen
            else:
                waiting += [(start + 1, chosen), (start + 1, [*chosen, int(order[start])])]

    def _flip_of(self, chosen: list[int]) -> Tensor | None:
        """A change of these columns that undoes the verdict, (d,)."""
        free = torch.isin(self.columns.index, torch.tensor(chosen, device=self.x.device))
        low, high = self.threat.interval(self.x)
        categories = [own.unique() for own in self.columns.members if bool(free[own[0]])]
        for values in itertools.product(*(self._values(own, low, high) for own in categories)):
            base, numbers = self.x[0].clone(), free.clone()
            for own, value in zip(categories, values, strict=True):
                base[own], numbers[own] = value, False
            found = self._flip_within(base, numbers, low[0], high[0])
            if found is not None:
                return found
        return None

    def _values(self, own: Tensor, low: Tensor, high: Tensor) -> list[Tensor]:
        """What one category can become: a row of its inputs each."""
        value = self.x[0, own]
        others = torch.eye(len(own), dtype=self.x.dtype, device=self.x.device)[(value != 1) & (high[0, own] > 0)]
        return [value, *(others if bool(low[0, own][value == 1] < 0) else ())]

    def _flip_within(self, base: Tensor, numbers: Tensor, low: Tensor, high: Tensor) -> Tensor | None:
        """A point that differs from `base` in some `numbers` (bool (d,)) only and undoes the verdict."""
        knots = self.planes.pieces.knots
        least, most = (self.x[0] + end for end in (low, high))
        if len(knots):  # ramps are flat beyond their ends
            least, most = torch.maximum(least, knots.amin(0)), torch.minimum(most, knots.amax(0))
            least, most = torch.minimum(least, self.x[0]), torch.maximum(most, self.x[0])
        if not bool((least.isfinite() & most.isfinite())[numbers].all()):
            raise UndecidedError
        waiting = [(torch.where(numbers, least, base), torch.where(numbers, most, base))]
        while waiting:
            lower, upper = waiting.pop()
            self.boxes += 1
            if self.boxes > MOST_BOXES or time.monotonic() > self.end:
                raise UndecidedError
            done, point = self._settle(lower, upper)
            if point is not None:
                return point
            if not done:
                waiting += self._halves(lower, upper)
        return None

    def _settle(self, lower: Tensor, upper: Tensor) -> tuple[bool, Tensor | None]:
        """Whether no point of a box undoes the verdict, or one that does."""
        start = self.worst.clamp(lower, upper)[None]
        if self._undoes(start):
            return True, start[0]
        threat = ThreatModel(0, lower=lower, upper=upper, mutable=upper > lower)
        search = PlaneSearch(self.model, self.planes, start, threat)
        for cut in range(BOX_CUTS):
            if bool(search.best.isinf()):
                return True, None
            if cut + 1 < BOX_CUTS:
                search.add_cut()
                search.improve(STEPS)
        _, point = fewest_columns(self.model, search.cuts, search.best_weights, search.best)
        return False, point[0] if self._undoes(point) else None

    def _undoes(self, point: Tensor) -> bool:
        unlimited = torch.full((1,), math.inf, dtype=torch.float64)
        return bool(score(self.model, self.x, point - self.x, self.threat, unlimited).success)

    def _halves(self, lower: Tensor, upper: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The box cut at the middle one of the ramps' ends inside it, of the input that has most; or in the middle."""
        knots = self.planes.pieces.knots
        inside = (knots > lower) & (knots < upper)
        counts = inside.sum(0) if len(knots) else torch.zeros_like(lower)
        if bool((counts > 0).any()):
            place = int(counts.argmax())
            ends = knots[inside[:, place], place].unique()
            at = ends[len(ends) // 2]
        else:
            place = int((upper - lower).argmax())
            at = (lower[place] + upper[place]) / 2
            if not bool((lower[place] < at) & (at < upper[place])):
                raise UndecidedError
        first, second = upper.clone(), lower.clone()
        first[place], second[place] = at, at
        return [(lower, first), (second, upper)]
