"""How far a tangent plane can fall when one input coordinate moves: exactly, for piecewise linear feature maps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._floats import UNIT, down, up
from asymcert.features import FeatureMap

ABOVE, BELOW = up(16), down(16)  # a handful of roundings


@dataclass(frozen=True)
class Drops:
    """Per sample and coordinate, the points of a concave majorant of (cost spent -> greatest fall of the plane).

    Parameters
    ----------
    reach
        (j, n, d): cost spent at each point, rounded down; 0 for points that do not exist.
    drop
        (j, n, d): fall of the plane there, rounded up; may be negative.
    ray
        (n, d): fall per unit of cost beyond all points where the adversary is unlimited, rounded up; else 0.
    """

    reach: Tensor
    drop: Tensor
    ray: Tensor

    def excess(self, price: Tensor) -> Tensor:
        """``max over budgets t of drop(t) - price * t`` for prices (n, d) of at least `ray`, rounded up: (n, d)."""
        return (self.drop * ABOVE - price * self.reach * BELOW).amax(0).clamp(min=0.0) * ABOVE


class Pieces:
    """The pieces of a coordinatewise feature map, in float64, and how planes fall along them."""

    def __init__(self, feature_map: FeatureMap, input_shape: tuple[int, ...]):
        self.knots = feature_map.knots(input_shape).flatten(1)  # (k, d)  # pyright: ignore
        slopes = feature_map.slopes(input_shape)  # (k + 1, *feature_shape)  # pyright: ignore
        d = self.knots.shape[1]
        self.slopes = slopes.reshape(len(slopes), -1, d)  # (k + 1, m, d): m functions of each coordinate
        self.steepest = self.slopes.abs().amax(0)  # (m, d)

    def falls(self, gradient: Tensor) -> Tensor:
        """Derivative of planes (n, m * d) on each piece: (k + 1, n, d)."""
        blocks = gradient.view(len(gradient), *self.steepest.shape)
        return torch.stack([(blocks * slope).sum(1) for slope in self.slopes])

    def uncertainty(self, gradient: Tensor, error: Tensor | float) -> Tensor:
        """Bound on the error of `falls` where the gradient's entries err by at most `error` (m * d): (n, d)."""
        roundings = 16 + 4 * len(self.slopes)
        size = (gradient.abs() * (roundings * UNIT) + error).view(len(gradient), *self.steepest.shape)
        return (size * self.steepest).sum(1) * ABOVE

    def drops(self, slope: Tensor, error: Tensor, x: Tensor, low: Tensor, high: Tensor, cost: Tensor) -> Drops:
        """Drops of planes with the derivatives `slope` (k + 1, n, d), each wrong by at most `error` (n, d).

        `x`, `low`, `high` are (n, d): inputs, least and greatest change; `cost` is (1, d).
        """
        if len(slope) == 1:
            return _affine_drops(slope[0], error, low, high, cost)
        ends = [low, *(torch.clamp(knot - x, low, high) for knot in self.knots), high]  # ascending changes
        reach, drop = _walk(slope, ends)
        back, fallen = _walk(-slope.flip(0), [-end for end in reversed(ends)])
        reach, drop = torch.cat((reach, back)), torch.cat((drop, fallen))
        unlimited = torch.stack((high.isinf(), low.isinf()))
        outward = torch.stack((-slope[-1], slope[0])) + error
        ray = torch.where(unlimited, outward, 0.0).amax(0).clamp(min=0.0) / cost * ABOVE
        finite = reach.isfinite()
        reach, drop = torch.where(finite, reach, 0.0), torch.where(finite, drop, 0.0)
        return Drops(reach * cost * BELOW, (drop + error * reach) * ABOVE, ray)


def _affine_drops(slope: Tensor, error: Tensor, low: Tensor, high: Tensor, cost: Tensor) -> Drops:
    """Drops where the plane is affine in the change: one point, or a ray."""
    room = torch.where(slope.abs() <= error, torch.maximum(-low, high), torch.where(slope > 0, -low, high))
    steep = (slope.abs() + error) * ABOVE
    unlimited = room.isinf()
    room = torch.where(unlimited, 0.0, room)
    ray = torch.where(unlimited, steep / cost * ABOVE, 0.0)
    return Drops((room * cost * BELOW)[None], (steep * room * ABOVE)[None], ray)


def _walk(slope: Tensor, ends: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Changes to the right at the end of each piece, and the fall of the plane there: (k + 1, n, d) each."""
    fallen, reach, drop = torch.zeros_like(ends[0]), [], []
    for piece, start, end in zip(slope, ends[:-1], ends[1:], strict=True):
        start, end = start.clamp(min=0.0), end.clamp(min=0.0)
        fallen = fallen - piece * (end - start)
        reach.append(end)
        drop.append(fallen)
    return torch.stack(reach), torch.stack(drop)
