"""An attack on rounding: floating-point neighbours of points at the very edge of a certified ball."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import check_count
from asymcert.attacks.base import Attack, admissible
from asymcert.attacks.exact_size import rounding_slack
from asymcert.attacks.pgd import ProjectedGradient
from asymcert.attacks.problem import Problem
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel

SLACKS = 14  # the edge is approached from 2^14 units in the last place to half a unit
NEARBY = 3  # neighbours up to 2^3 units away


@dataclass(frozen=True)
class RoundingAttack(Attack):
    """Where the margin is all but zero, rounding decides: look for an input that rounds to the wrong side.

    From the worst case of the tangent plane and from the best point of projected gradient descent, both at the whole
    budget, it draws points a few units in the last place inside the edge, moves random coordinates to adjacent
    numbers of the model's floating-point type, then flips few coordinates at a time, greedily. Only points whose size
    is within the budget by a rigorous bound or in exact arithmetic count. On certificates that ignore rounding it
    succeeds where others, which stay a thousandth inside, do not.

    Parameters
    ----------
    roundings
        Random roundings of each start.
    flips
        Greedy flips after them.
    steps
        Gradient steps to the second start.

    Source: Jin, Ohrimenko, Rubinstein, Getting a-Round Guarantees, 2022; Zombori et al., ICLR 2021; Jia and Rinard,
    SAS 2021.
    """

    roundings: int = 30
    flips: int = 40
    steps: int = 20

    def __post_init__(self) -> None:
        for name in ("roundings", "flips", "steps"):
            check_count(name, getattr(self, name))

    @property
    def name(self) -> str:
        """``rounding, 30 roundings, 40 flips, 20 steps``."""
        return f"rounding, {self.roundings} roundings, {self.flips} flips, {self.steps} steps"

    @property
    def at_edge(self) -> bool:
        """True: it is to be given the greatest budget that a certificate speaks of."""
        return True

    def search(
        self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, size: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Best change found for each sample: (n, *input_shape), float64."""
        x = x.to(model.dtype).double()
        problem = Problem(model, x, threat, size)
        hunt = _Hunt(model, x, threat, size, generator)
        gradient = problem.evaluate(torch.zeros_like(problem.low))[1]
        worst = problem.change(problem.tangent_worst(gradient))
        descent = ProjectedGradient(steps=self.steps, restarts=1).search(model, x, threat, size, generator)
        for start in (worst, descent):
            for _ in range(self.roundings):
                if hunt.over:
                    break
                hunt.round(start)
        for _ in range(self.flips):
            if hunt.over:
                break
            hunt.flip()
        return hunt.best - x


class _Hunt:
    """The best admissible points of a batch, numbers of the model's floating-point type held in float64."""

    def __init__(
        self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, size: Tensor, generator: torch.Generator
    ):
        self.model, self.x, self.threat, self.size, self.generator = model, x, threat, size, generator
        self.low, self.high = threat.interval(x)
        self.lower = _bound(threat.lower, x, model.dtype, float("inf"))
        self.upper = _bound(threat.upper, x, model.dtype, float("-inf"))
        self.cost = threat.cost_for(tuple(x.shape[1:])).to(x)
        self.slack = rounding_slack(x)
        self.best = x
        self.least = model.margin(x).double()

    @property
    def over(self) -> bool:
        """Whether no verdict is left to undo."""
        return not bool((self.least > 0).any())

    def round(self, change: Tensor) -> None:
        """Try a random rounding of ``x + change`` a little inside."""
        n = len(self.x)
        epsilon = torch.finfo(self.model.dtype).eps
        inward = epsilon * 2.0 ** (self._random(n) * (SLACKS + 1) - 1)
        point = (self.x + change * self._rows(1.0 - inward)).to(self.model.dtype).double()
        moved = self._random(*self.x.shape) < self._rows(self._random(n))
        self._try(torch.where(moved, self._neighbour(point), point))

    def flip(self) -> None:
        """Move a few coordinates of the best point to their neighbours."""
        d = self.x[0].numel()
        share = self._rows(torch.exp(-self._random(len(self.x)) * torch.log(torch.tensor(float(d)))))
        chosen = self._random(*self.x.shape) <= share
        self._try(torch.where(chosen, self._neighbour(self.best), self.best), level=True)

    def _try(self, point: Tensor, level: bool = False) -> None:
        """Keep the points that are admissible and lower the margin; `level`: or do not raise it."""
        point = self._inside(point)
        margin = self.model.margin(point).double()
        better = (margin <= self.least) if level else (margin < self.least)
        better &= self.least > 0
        better[better.clone()] = self._counts(better, point, margin)
        self.best = torch.where(self._rows(better), point, self.best)
        self.least = torch.where(better, margin, self.least)

    def _counts(self, chosen: Tensor, point: Tensor, margin: Tensor) -> Tensor:
        """Admissible by the bound on the computed size; a point that undoes the verdict, in exact arithmetic."""
        x, point, size = self.x[chosen], point[chosen], self.size[chosen]
        fits = self.threat.size(point - x) * (1.0 + self.slack) <= size
        undone = ~(margin[chosen] > 0)
        fits[undone] = admissible(x[undone], point[undone], self.threat, size[undone])
        return fits

    def _inside(self, point: Tensor) -> Tensor:
        """Back into the box and to the allowed side; in l_inf, coordinates that rounding carried out too."""
        for _ in range(2 if self.threat.norm == float("inf") else 0):
            outside = (point - self.x).abs() * self.cost > self._rows(self.size)
            point = torch.where(outside, self._towards(point, self.x), point)
        point = torch.minimum(torch.maximum(point, self.lower), self.upper)
        wrong = ((point > self.x) & (self.high <= 0)) | ((point < self.x) & (self.low >= 0))
        return torch.where(wrong, self.x, point)

    def _neighbour(self, point: Tensor) -> Tensor:
        """A number of the model's type nearby, up or down, at one to a few units in the last place."""
        way = torch.where(self._random(*point.shape) < 0.5, -torch.inf, torch.inf)
        near = self._towards(point, way)
        units = torch.floor(2.0 ** (self._random(*point.shape) * NEARBY))
        return (point + units * (near - point)).to(self.model.dtype).double()

    def _towards(self, point: Tensor, goal: Tensor) -> Tensor:
        dtype = self.model.dtype
        return torch.nextafter(point.to(dtype), goal.to(dtype)).double()

    def _rows(self, values: Tensor) -> Tensor:
        return values.view(-1, *[1] * (self.x.ndim - 1))

    def _random(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, dtype=torch.float64).to(self.x)


def _bound(bound: float | Tensor | None, x: Tensor, dtype: torch.dtype, inward: float) -> Tensor:
    """The outermost numbers of `dtype` inside one side of the box, but not beyond `x`: (n, *input_shape)."""
    if not isinstance(bound, Tensor):
        return torch.full_like(x, -inward)
    bound = bound.to(x).expand_as(x)
    nearest = bound.to(dtype)
    outside = nearest.double() < bound if inward > 0 else nearest.double() > bound
    nearest = torch.where(outside, torch.nextafter(nearest, torch.full_like(nearest, inward)), nearest).double()
    return torch.minimum(nearest, x) if inward > 0 else torch.maximum(nearest, x)
