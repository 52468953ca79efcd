"""Branch and bound over ReLUs: whether a verdict holds within a radius, for one sample."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import Enum

import torch
from torch import Tensor

from asymcert.attacks.base import admissible, score
from asymcert.certify.relu.reach import Reach
from asymcert.certify.relu.relu_bounds import Enclosure, Network
from asymcert.certify.relu.slopes import Bound, best_bound
from asymcert.models.relu import ReluClassifier
from asymcert.threats.model import ThreatModel

BATCH = 128  # parts that are bounded at a time, the weakest first
PARTS = 100_000  # more open parts than that and the search gives up
OFFSETS = 1e-3  # weight of a relaxation's offset beside its gap at the worst point, to choose a ReLU to split
BUDGET_SLACK = 1.0 + 1e-9  # room for rounding the changed input, so that a flip at the edge is not given up
SIZE_SLACK = 1.0 + 1e-12  # what the computed size of a change may lack, for up to a thousand million inputs


class Outcome(Enum):
    """Of a search."""

    HELD = "the verdict holds"
    UNDONE = "a change undoes it"
    OPEN = "out of time"


@dataclass(frozen=True, eq=False)
class Flip:
    """A known admissible change that undoes the verdict: its size, rounded up, and the changed input."""

    size: float
    point: Tensor


@dataclass(frozen=True, eq=False)
class _Parts:
    """Parts of the input set, each with some ReLUs fixed: lists hold (N, m_i) of each hidden layer."""

    signs: list[Tensor]
    slopes: list[Tensor]
    multipliers: list[Tensor]
    caution: Tensor  # (N,), of the ascent's steps
    value: Tensor  # (N,), lower bound of the margin, of the part it was split from until it is bounded itself

    def __len__(self) -> int:
        return len(self.value)

    def rows(self, index: Tensor) -> _Parts:
        signs, slopes, prices = (
            [part[index] for part in parts] for parts in (self.signs, self.slopes, self.multipliers)
        )
        return _Parts(signs, slopes, prices, self.caution[index], self.value[index])


@dataclass(frozen=True, eq=False)
class Search:
    """One sample, one radius.

    Parameters
    ----------
    model, threat
        The deployed classifier and the adversary.
    network, reach
        What bounds are computed from; `reach` is of this sample alone.
    x
        (1, *input_shape).
    ascents
        Gradient steps at each part.
    """

    model: ReluClassifier
    network: Network
    threat: ThreatModel
    reach: Reach
    x: Tensor
    ascents: int

    def run(self, radius: Tensor, enclosure: Enclosure, deadline: float) -> tuple[Outcome, Flip | None]:
        """Decide within `radius` (1,), with bounds of one row that hold there, until `deadline` (monotonic seconds)."""
        zeros = [torch.zeros_like(part) for part in enclosure.low]
        start = torch.full_like(radius, -torch.inf)
        waiting = _Parts(zeros, enclosure.default_slopes(), zeros, torch.ones_like(radius), start)
        while len(waiting):
            if time.monotonic() > deadline or len(waiting) > PARTS:
                return Outcome.OPEN, None
            order = waiting.value.argsort()
            chosen, waiting = waiting.rows(order[:BATCH]), waiting.rows(order[BATCH:])
            parts, bound, narrowed = self._bounded(chosen, radius, enclosure)
            flip = self._flip(bound.worst(self.reach.rows(_zeros(parts)), radius.expand(len(parts))), radius)
            if flip is not None:
                return Outcome.UNDONE, flip
            open_parts = parts.value <= 0
            if bool(open_parts.any()):
                if not parts.signs:  # a linear network: its bound is as good as rounding lets it be
                    return Outcome.OPEN, None
                halves = self._split(parts, bound, narrowed, radius, open_parts)
                waiting = halves if not len(waiting) else _joined(waiting, halves)
        return Outcome.HELD, None

    def _bounded(self, parts: _Parts, radius: Tensor, enclosure: Enclosure) -> tuple[_Parts, Bound, Enclosure]:
        rows = _zeros(parts)
        narrowed = enclosure.rows(rows).narrowed(parts.signs)
        bound = best_bound(
            self.network,
            self.reach.rows(rows),
            radius.expand(len(parts)),
            narrowed,
            self.ascents,
            parts.slopes,
            parts.signs,
            parts.multipliers,
            parts.caution,
        )
        value = torch.maximum(bound.value, parts.value)  # a part's bound holds for its halves
        return replace(parts, slopes=bound.slopes, multipliers=bound.multipliers, value=value), bound, narrowed

    def _flip(self, changes: Tensor, radius: Tensor) -> Flip | None:
        """The smallest of the proposed changes (N, d) that undoes the deployed verdict, if any does."""
        many = self.x.expand(len(changes), *self.x.shape[1:])
        return smallest_flip(self.model, many, changes.view(many.shape), self.threat, radius.expand(len(changes)))

    def _split(self, parts: _Parts, bound: Bound, narrowed: Enclosure, radius: Tensor, chosen: Tensor) -> _Parts:
        """Both halves of each chosen part by its most promising ReLU; parts without one stay as they are."""
        scores = torch.cat(self._scores(bound, narrowed, radius), 1)[chosen]
        parts = parts.rows(chosen)
        greatest, index = scores.max(1)
        signs, one = torch.cat(parts.signs, 1), torch.zeros_like(scores)
        one.scatter_(1, index[:, None], 1.0)
        splittable = greatest > -torch.inf
        sizes = [part.shape[1] for part in parts.signs]
        caution = torch.where(splittable, parts.caution, parts.caution / (1.0 + parts.caution))  # 1, 1/2, 1/3, ...
        on = list((signs + one * splittable[:, None]).split(sizes, 1))
        off = list((signs - one).split(sizes, 1))
        return _joined(replace(parts, signs=on, caution=caution), replace(parts, signs=off).rows(splittable))

    def _scores(self, bound: Bound, narrowed: Enclosure, radius: Tensor) -> list[Tensor]:
        """What each ReLU's relaxation gives away where the bound is least, -inf for stable ones: (N, m_i) each."""
        rows = torch.zeros(len(bound.value), dtype=torch.long, device=radius.device)
        values = self.reach.x[rows] + bound.worst(self.reach.rows(rows), radius.expand(len(rows)))
        scores = []
        relaxations = narrowed.relaxations(bound.slopes)
        for index, (passed, relaxed) in enumerate(zip(reversed(bound.linear.passed), relaxations, strict=True)):
            weight, bias = self.network.layers[index]
            before = values @ weight.t() + bias
            values = before.relu()
            coefficient = passed[:, 0]
            line = torch.where(
                coefficient >= 0, relaxed.slope_low * before, relaxed.slope_high * before + relaxed.offset
            )
            given = (coefficient * (values - line)).clamp(min=0.0) + OFFSETS * coefficient.abs() * relaxed.offset
            scores.append(torch.where(narrowed.unstable[index], given, -torch.inf))
        return scores


def smallest_flip(
    model: ReluClassifier, x: Tensor, changes: Tensor, threat: ThreatModel, budget: Tensor
) -> Flip | None:
    """The smallest of changes (n, *input_shape), made admissible, of one sample that undoes the deployed verdict."""
    result = score(model, x, changes, threat, budget * BUDGET_SLACK)
    undone = result.success & (threat.size(result.adversarial - x) < torch.inf)
    if not bool(undone.any()):
        return None
    points = result.adversarial[undone]
    sizes = threat.size(points - x[undone]) * SIZE_SLACK
    fits = admissible(x[undone], points, threat, sizes)
    sizes = torch.where(fits, sizes, torch.inf)
    least = int(sizes.argmin())
    # A margin at the level of rounding may change its sign with the size of the batch: ask about this one alone.
    alone = bool(fits[least]) and not bool(model.predict(points[least : least + 1])[0])
    return Flip(float(sizes[least]), points[least]) if alone else None


def _zeros(parts: _Parts) -> Tensor:
    """Every part is of sample 0."""
    return torch.zeros(len(parts), dtype=torch.long, device=parts.value.device)


def _joined(first: _Parts, second: _Parts) -> _Parts:
    def both(one: list[Tensor], other: list[Tensor]) -> list[Tensor]:
        return [torch.cat(pair) for pair in zip(one, other, strict=True)]

    signs, slopes = both(first.signs, second.signs), both(first.slopes, second.slopes)
    multipliers = both(first.multipliers, second.multipliers)
    caution = torch.cat((first.caution, second.caution))
    return _Parts(signs, slopes, multipliers, caution, torch.cat((first.value, second.value)))
