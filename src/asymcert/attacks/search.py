"""Random search: an attack that only asks for verdicts and margins, never for gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import check_count
from asymcert.attacks.base import Attack
from asymcert.attacks.problem import Problem
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel

LONGEST, SHORTEST = 2.0, 1e-3  # steps as shares of the budget; a longer one than 1 can cross the ball
REPEATS = 0.4  # chance of trying the last step that helped once more
JUMPS = 10  # steps between two jumps to the worst case of the fitted plane


@dataclass(frozen=True)
class RandomSearch(Attack):
    """Keep the best point so far; step from it along random coordinates, both ways, by random lengths.

    The number of coordinates that move and the length of the step are drawn anew for each sample, evenly over
    magnitudes, so that one coordinate and all of them, the whole budget and a thousandth of it get their turn. A step
    that helped may be repeated, and now and then the plane that fits the differences seen so far says where to jump.
    It sees no gradient: a wrong one, a masked one or one that is zero on a plateau does not mislead it.

    Parameters
    ----------
    steps
        Steps of each sample; each asks for two margins, a jump for one more.

    Source: Andriushchenko, Croce, Flammarion, Hein, ECCV 2020 (square attack), for the idea that random updates of
    random sets of coordinates at the edge of the ball suffice; the two-sided steps are those of SimBA, Guo et al.,
    ICML 2019; the plane is fitted by the method of Kaczmarz, 1937.
    """

    steps: int = 150

    def __post_init__(self) -> None:
        check_count("steps", self.steps)

    @property
    def name(self) -> str:
        """``random search, 150 steps``."""
        return f"random search, {self.steps} steps"

    def search(
        self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, size: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Best change found for each sample: (n, *input_shape), float64."""
        walk = _Walk(Problem(model, x, threat, size), generator)
        for index in range(1, self.steps + 1):
            if not bool((walk.least > 0).any()):
                break
            walk.step()
            if index % JUMPS == 0 or index == self.steps:
                walk.jump()
        return walk.problem.change(walk.best)


class _Walk:
    """Best points so far (n, d), their margins, and what was learned on the way."""

    def __init__(self, problem: Problem, generator: torch.Generator):
        self.problem, self.generator = problem, generator
        self.best = torch.zeros_like(problem.low)
        self.least = problem.margin(self.best)
        self.last = torch.zeros_like(self.best)  # the step that helped last
        self.slope = torch.zeros_like(self.best)  # of the fitted plane
        self.movable = problem.high > problem.low

    def step(self) -> None:
        """Try a step and its opposite, and let the plane learn from the difference."""
        step, start = self._draw(), self.best
        ends = [self.problem.shrink(start + way) for way in (step, -step)]
        margins = [self._try(end, end - start) for end in ends]
        moved = ends[0] - ends[1]
        missed = margins[0] - margins[1] - (self.slope * moved).sum(1)
        length = (moved**2).sum(1)
        share = torch.where(length > 0, missed / torch.where(length > 0, length, 1.0), 0.0)
        self.slope = torch.nan_to_num(self.slope + share[:, None] * moved, 0.0, 0.0, 0.0)

    def jump(self) -> None:
        """Try the worst case of the fitted plane."""
        target = self.problem.tangent_worst(self.slope)
        self._try(target, target - self.best)

    def _try(self, candidate: Tensor, step: Tensor) -> Tensor:
        margin = self.problem.margin(candidate)
        better = margin < self.least
        self.least = torch.where(better, margin, self.least)
        self.best = torch.where(better[:, None], candidate, self.best)
        self.last = torch.where(better[:, None], step, self.last)
        return margin

    def _draw(self) -> Tensor:
        """Signed steps on random coordinates (n, d), of random size; or, where there is one, the last that helped."""
        n, d = self.best.shape
        draws, order = self._random(4, n, 1), self._random(n, d)
        sign = torch.where(self._random(n, d) < 0.5, -1.0, 1.0)
        nearest = order.masked_fill(~self.movable, 2.0).argmin(1, keepdim=True)  # moves at least
        share = torch.exp(draws[0] * math.log(1.0 / d))  # of the coordinates: 1 / d to 1
        chosen = (order <= share).scatter(1, nearest, value=True) & self.movable
        length = self.problem.radius[:, None] * LONGEST * torch.exp(draws[1] * math.log(SHORTEST / LONGEST))
        amount = torch.linalg.vector_norm(chosen.to(sign), ord=self.problem.norm, dim=1, keepdim=True)
        fresh = length * sign * chosen / amount.clamp(min=1.0)
        again = (draws[2] < REPEATS) & self.last.any(1, keepdim=True)
        return torch.where(again, self.last * (0.5 + draws[3]), fresh)

    def _random(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, dtype=torch.float64).to(self.best)
