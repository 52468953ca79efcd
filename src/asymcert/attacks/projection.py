"""Norm balls cut by a box: the nearest point of such a set, and the point where a linear function is least.

Everything here is batched over rows of shape (n, d) with a radius for each row, and works in *scaled*
coordinates ``z = cost * delta``, in which the size of a change is the plain l_p norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

HALVINGS = 60  # of a bracket: more than the 53 bits of float64


def project(z: Tensor, radius: Tensor, low: Tensor, high: Tensor, norm: float) -> Tensor:
    """Move each row into ``{y : ||y||_p <= radius, low <= y <= high}``.

    For p = 1, 2 and inf the result is the nearest point in the Euclidean sense; for any other p it is a point of
    the set on the ray to the clipped row, not the nearest one. The radius is met up to rounding.

    Parameters
    ----------
    z
        (n, d), float64, scaled by the costs.
    radius
        (n,), nonnegative; inf leaves only the box.
    low, high
        (n, d), ``low <= 0 <= high``, infinite entries allowed.
    norm
        p in [1, inf].

    Returns
    -------
    Tensor
        (n, d).
    """
    if math.isinf(norm):
        bound = radius[:, None]
        return torch.clamp(z, torch.maximum(low, -bound), torch.minimum(high, bound))
    y = torch.clamp(z, low, high)
    outside = _size(y, norm) > radius
    if bool(outside.any()):
        rest = z[outside], radius[outside], low[outside], high[outside]
        y[outside] = _project_l1(*rest) if norm == 1 else _project_ray(*rest, norm)
    return y


def least_linear(gradient: Tensor, radius: Tensor, low: Tensor, high: Tensor, norm: float) -> Tensor:
    """Minimiser of ``gradient . y`` over ``{y : ||y||_p <= radius, low <= y <= high}``, row by row.

    The adversary's best answer to one tangent plane: a fractional knapsack for p = 1, water-filling along
    ``|gradient|^(q - 1)`` for p > 1 (q dual to p).

    Parameters
    ----------
    gradient
        (n, d), by the scaled coordinates.
    radius
        (n,), nonnegative and finite.
    low, high, norm
        As in `project`.

    Returns
    -------
    Tensor
        (n, d).
    """
    if norm == 1:
        return _knapsack(gradient, radius, low, high)
    direction = dual_direction(gradient, norm)

    def point(share: Tensor) -> Tensor:  # share in [0, 1] of an all but unlimited length
        length = radius * share / (1.0 - share * (1.0 - 2.0**-40))
        return torch.clamp(length[:, None] * direction, low, high)

    if math.isinf(norm):
        return torch.clamp(radius[:, None] * direction, low, high)
    inside, outside = torch.zeros_like(radius), torch.ones_like(radius)
    return point(_bisect(lambda share: _size(point(share), norm) <= radius, inside, outside))


def dual_direction(gradient: Tensor, norm: float) -> Tensor:
    """``-sign(gradient) * |gradient|^(q - 1)`` for p > 1, scaled to a largest entry of 1: (n, d) -> (n, d)."""
    size = gradient.abs()
    largest = size.amax(1, keepdim=True)
    exponent = 0.0 if math.isinf(norm) else 1.0 / (norm - 1.0)
    return -gradient.sign() * (size / torch.where(largest > 0, largest, 1.0)) ** exponent


def _project_l1(z: Tensor, radius: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Soft-threshold and clip; the threshold is the multiplier of the norm constraint, found by bisection."""
    sign, size = z.sign(), z.abs()

    def point(threshold: Tensor) -> Tensor:
        return torch.clamp(sign * (size - threshold[:, None]).clamp(min=0.0), low, high)

    inside, outside = size.amax(1), torch.zeros_like(radius)
    return point(_bisect(lambda threshold: _size(point(threshold), 1.0) <= radius, inside, outside))


def _project_ray(z: Tensor, radius: Tensor, low: Tensor, high: Tensor, norm: float) -> Tensor:
    """Shrink and clip for p = 2 (shrink = 1 / (1 + multiplier)); for other p, clip and shrink."""
    if norm != 2:
        z = torch.clamp(z, low, high)

    def point(shrink: Tensor) -> Tensor:
        return torch.clamp(z * shrink[:, None], low, high)

    inside, outside = torch.zeros_like(radius), torch.ones_like(radius)
    return point(_bisect(lambda shrink: _size(point(shrink), norm) <= radius, inside, outside))


def _knapsack(gradient: Tensor, radius: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Spend the radius on the coordinates of greatest slope, each up to its bound."""
    room = torch.minimum(torch.where(gradient > 0, -low, high), radius[:, None])
    order = gradient.abs().argsort(dim=1, descending=True)
    sorted_room = room.gather(1, order)
    left = (radius[:, None] - (sorted_room.cumsum(1) - sorted_room)).clamp(min=0.0)  # before each coordinate
    spent = torch.zeros_like(room).scatter_(1, order, torch.minimum(sorted_room, left))
    return -gradient.sign() * spent


def _bisect(holds: Callable[[Tensor], Tensor], inside: Tensor, outside: Tensor) -> Tensor:
    """Move `inside`, where the condition holds, as near to `outside` as it still holds: (n,) -> (n,)."""
    for _ in range(HALVINGS):
        middle = 0.5 * (inside + outside)
        good = holds(middle)
        inside, outside = torch.where(good, middle, inside), torch.where(good, outside, middle)
    return inside


def _size(z: Tensor, norm: float) -> Tensor:
    return torch.linalg.vector_norm(z, ord=norm, dim=1)
