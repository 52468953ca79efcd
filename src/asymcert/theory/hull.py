"""Distances of points to a convex hull, with proof of both sides.

A point ``w A`` of the hull bounds the distance from above. A direction u with dual norm 1 bounds it from below: every
point of the hull is at least ``<u, x> - max_i <u, a_i>`` away. Whatever an iteration computes, the two numbers that are
handed out are evaluated anew in float64 and rounded outward.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import check_count, check_finite, check_number, refuse
from asymcert._floats import NORMS, TINY, UNIT, UP, dual_exponent
from asymcert.theory.proximal import Graph

CHECK_EVERY = 20  # iterations between two evaluations of the bounds, which cost about as much as one iteration
BYTES = 2**29  # of the weights of one chunk of points
COPIES = 6  # of the weights that an iteration holds at once


@dataclass(frozen=True)
class HullDistances:
    """Bounds on the distances of n points to a hull.

    Parameters
    ----------
    lower, upper
        Float64 (n,): proven bounds on the distance, in the units of the points; a positive `lower` proves that the
        point is outside the hull.
    directions
        Float64 (n, d): u of dual norm 1 (up to rounding) that proves `lower`.
    weights
        Float64 (n, m), rows on the simplex, whose point of the hull proves `upper`; None unless asked for.
    iterations
        The most that any point took.
    """

    lower: Tensor
    upper: Tensor
    directions: Tensor
    weights: Tensor | None
    iterations: int

    @property
    def gap(self) -> Tensor:
        """Float64 (n,): ``upper - lower``."""
        return self.upper - self.lower


@torch.no_grad()
def hull_distances(
    points: Tensor,
    generators: Tensor,
    norm: float = 2.0,
    *,
    tolerance: float = 1e-3,
    relative: float = 0.0,
    iterations: int = 2000,
    precision: torch.dtype = torch.float64,
    keep_weights: bool = False,
) -> HullDistances:
    """Distances of every point to the convex hull of the generators.

    All points of a chunk are iterated at once by the alternating direction method of multipliers in graph form; those
    whose gap is small enough leave. Memory is that of the data, of one (d, d) matrix and of half a gigabyte.

    Parameters
    ----------
    points, generators
        (n, ...) and (m, ...), flattened to d features.
    norm
        1, 2 or inf.
    tolerance, relative
        A point is done when the gap between its bounds is at most `tolerance`, in the units of the points, or at most
        `relative` times the upper bound.
    iterations
        The most for a point; its bounds hold whatever its gap is then.
    precision
        Of the iterations: float32 takes half the time and memory. The bounds are float64 in any case.
    keep_weights
        Whether to return the (n, m) weights.

    Raises
    ------
    InputError
        Shapes that do not fit, values that are not finite, another norm, or a tolerance that is not positive.

    Source: the method is that of Boyd, Parikh, Chu, Peleato, Eckstein, Distributed Optimization and Statistical
    Learning via the Alternating Direction Method of Multipliers, 2011, and of Fougner and Boyd, Parameter Selection and
    Preconditioning for a Graph Form Solver, 2015.
    """
    points, generators = _flat("points", points), _flat("generators", generators)
    if points.shape[1] != generators.shape[1]:
        raise refuse("generators", f"of {points.shape[1]} features, as the points", generators.shape[1])
    if norm not in NORMS:
        raise refuse("norm", "1, 2 or inf", norm)
    check_number("tolerance", tolerance, 0.0, open_low=True)
    check_count("iterations", iterations)
    check_number("relative", relative, 0.0, 1.0)
    if precision not in (torch.float32, torch.float64):
        raise refuse("precision", "torch.float32 or torch.float64", precision)
    hull = _Hull(generators, norm, precision)
    size = max(1, BYTES // (8 * COPIES * len(generators)))
    stop = _Stop(tolerance, relative, iterations)
    parts = [hull.solve(chunk, stop, keep_weights) for chunk in points.split(size)]
    return HullDistances(
        torch.cat([part.lower for part in parts]),
        torch.cat([part.upper for part in parts]),
        torch.cat([part.directions for part in parts]),
        torch.cat([part.weights for part in parts if part.weights is not None]) if keep_weights else None,
        max((part.iterations for part in parts), default=0),
    )


@dataclass(frozen=True)
class _Stop:
    """When a point is done."""

    tolerance: float
    relative: float
    iterations: int

    def still_open(self, lower: Tensor, upper: Tensor) -> Tensor:
        return upper - lower > (self.relative * upper).clamp(min=self.tolerance)


class _Best:
    """The best bounds so far of n points, and what proves them."""

    def __init__(self, points: Tensor, generators: int | None):
        n, d = points.shape
        self.lower, self.upper = points.new_zeros(n), points.new_full((n,), torch.inf)
        self.directions = points.new_zeros(n, d)
        self.weights = None if generators is None else points.new_zeros(n, generators)

    def raise_lower(self, index: Tensor, value: Tensor, direction: Tensor) -> None:
        """Keep those of the points `index` that are better."""
        better = value > self.lower[index]
        self.lower[index[better]], self.directions[index[better]] = value[better], direction[better]

    def reduce_upper(self, index: Tensor, value: Tensor, weights: Tensor) -> None:
        """Keep those of the points `index` that are better."""
        better = value < self.upper[index]
        self.upper[index[better]] = value[better]
        if self.weights is not None:
            self.weights[index[better]] = weights[better]


class _Hull:
    """The hull of `generators` (m, d), and what all points share."""

    def __init__(self, generators: Tensor, norm: float, precision: torch.dtype):
        self.generators, self.norm, self.precision = generators, norm, precision
        self.dual_norm = dual_exponent(norm)
        self.centre = generators.mean(0)
        self.largest = float(generators.abs().max())
        self.graph = Graph((generators - self.centre).to(precision), norm)

    def solve(self, points: Tensor, stop: _Stop, keep_weights: bool) -> HullDistances:
        """Bounds for one chunk of points."""
        best = _Best(points, len(self.generators) if keep_weights else None)
        left, used, balance_at = torch.arange(len(points), device=points.device), 0, CHECK_EVERY
        state = self.graph.start((points - self.centre).to(self.precision))
        while len(left) and used < stop.iterations:
            steps = min(CHECK_EVERY, stop.iterations - used)
            for _ in range(steps):
                self.graph.step(state)
            used += steps
            low, direction = self.below(points[left], state.subgradient.double())
            best.raise_lower(left, low, direction)
            high, weights = self.above(points[left], state.weights.double())
            best.reduce_upper(left, high, weights)
            if used >= balance_at:  # ever more rarely: the method converges once step sizes stay
                self.graph.balance(state)
                balance_at = used + max(CHECK_EVERY, used // 4)
            still_open = stop.still_open(best.lower[left], best.upper[left])
            left, state = left[still_open], state.rows(still_open)
        return HullDistances(best.lower, best.upper, best.directions, best.weights, used)

    def below(self, points: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Lower bounds (n,) on the distances that directions (n, d) prove, and the normalised directions."""
        size = torch.linalg.vector_norm(direction, self.dual_norm, dim=1, keepdim=True)
        direction = direction / size.clamp(min=TINY)
        value = (direction * points).sum(1) - (direction @ self.generators.T).amax(1)
        gamma = (points.shape[1] + 4) * UNIT * UP
        terms = (direction.abs() * points.abs()).sum(1) + direction.abs().sum(1) * self.largest
        proven = (value - gamma * terms * UP).clamp(min=0.0)
        return proven * (1.0 - 2 * gamma), direction  # the norm of the direction is 1 up to gamma

    def above(self, points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Upper bounds (n,) on the distances that nonnegative weights (n, m) prove, and the weights with sum 1."""
        weights = weights / weights.sum(1, keepdim=True)
        residual = points - weights @ self.generators
        gamma = (len(self.generators) + points.shape[1] + 4) * UNIT * UP
        rounding = 2 * gamma * (points.abs() + self.largest)
        return torch.linalg.vector_norm(residual.abs() + rounding, self.norm, dim=1) * (1.0 + 2 * gamma), weights


def _flat(name: str, values: Tensor) -> Tensor:
    if not isinstance(values, Tensor) or values.ndim < 2 or values.numel() == 0:
        got = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise refuse(name, "a tensor of shape (n, ...) with n of at least 1", got)
    check_finite(name, values)
    return values.detach().flatten(1).double()
