"""Projected gradient descent on the margin, in the adversary's own norm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import check_count, check_number
from asymcert.attacks.base import Attack
from asymcert.attacks.problem import Problem
from asymcert.attacks.projection import dual_direction
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel

SPARSITY = 0.05  # share of the coordinates that one l1 step moves
LAST_STEP = 0.01  # the last step's share of the first one's length


@dataclass(frozen=True)
class ProjectedGradient(Attack):
    """Steepest descent on the margin under the threat model's norm, projected onto ball and box.

    The first start is the worst case of the tangent plane at the input (exact for a linear score), the others are
    random points of the ball. The best point of all steps and starts is proposed. Where the margin is convex in the
    input, so are the sets searched, and long enough searches find the least margin.

    Parameters
    ----------
    steps
        Gradient steps of each start.
    restarts
        Number of starts, the first one included.
    step
        Length of the first step as a share of the budget; lengths fall geometrically to 1 % of it.

    Source: Madry et al., ICLR 2018; the sparse l1 step is that of Tramer and Boneh, NeurIPS 2019, with coordinates at
    their bounds left out as in Croce and Hein, ICML 2021.
    """

    steps: int = 40
    restarts: int = 3
    step: float = 0.5

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_count("restarts", self.restarts)
        check_number("step", self.step, 0.0, open_low=True)

    @property
    def name(self) -> str:
        """``projected gradient, 40 steps, 3 starts``, and the step where it is not the default."""
        step = "" if self.step == ProjectedGradient.step else f", first step {self.step!r}"
        return f"projected gradient, {self.steps} steps, {self.restarts} starts{step}"

    def search(
        self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, size: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Best change found for each sample: (n, *input_shape), float64."""
        problem = Problem(model, x, threat, size)
        margin, gradient = problem.evaluate(torch.zeros_like(problem.low))
        best, least = torch.zeros_like(problem.low), margin
        for restart in range(self.restarts):
            start = problem.tangent_worst(gradient) if restart == 0 else problem.random_start(generator)
            best, least = self._descend(problem, start, best, least)
            if not bool((least > 0).any()):
                break
        return problem.change(best)

    def _descend(self, problem: Problem, z: Tensor, best: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
        """Walk from the start `z`; return the best point so far and its margin."""
        for index in range(self.steps + 1):
            margin, gradient = problem.evaluate(z)
            better = margin < least
            best, least = torch.where(better[:, None], z, best), torch.where(better, margin, least)
            length = self.step * LAST_STEP ** (index / self.steps) * problem.radius
            z = problem.project(z + length[:, None] * _direction(problem, z, gradient))
        return best, least


def _direction(problem: Problem, z: Tensor, gradient: Tensor) -> Tensor:
    """Steepest descent of unit size; zero where the gradient is."""
    if problem.norm == 1:
        return _sparse_direction(problem, z, gradient)
    direction = dual_direction(gradient, problem.norm)
    size = torch.linalg.vector_norm(direction, ord=problem.norm, dim=1, keepdim=True)
    return direction / torch.where(size > 0, size, 1.0)


def _sparse_direction(problem: Problem, z: Tensor, gradient: Tensor) -> Tensor:
    """Equal shares of an l1 step on the steepest coordinates that still have room."""
    room = torch.where(gradient > 0, z > problem.low, z < problem.high)
    steepest = (gradient.abs() * room).topk(max(1, math.ceil(SPARSITY * z.shape[1])), dim=1)
    chosen = torch.zeros_like(z).scatter_(1, steepest.indices, (steepest.values > 0).to(z))
    return -gradient.sign() * chosen / chosen.sum(1, keepdim=True).clamp(min=1.0)
