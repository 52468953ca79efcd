"""How far a tangent plane can fall when one input coordinate moves: exactly, for piecewise linear feature maps."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._floats import UNIT, down, up
from asymcert.features import CoordinatewiseMap

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

    def __init__(self, feature_map: CoordinatewiseMap, input_shape: tuple[int, ...]):
        self.knots = feature_map.knots(input_shape).flatten(1)  # (k, d)
        slopes = feature_map.slopes(input_shape).flatten(1)  # (k + 1, F)
        self._index, self._slopes = _active(slopes, feature_map.sources(input_shape).to(slopes.device), self.inputs)

    @property
    def inputs(self) -> int:
        """Number d of coordinates."""
        return self.knots.shape[1]

    def to(self, like: Tensor) -> Pieces:
        """The same pieces on the device and in the type of a tensor; certificates need float64."""
        moved = copy.copy(self)
        moved.knots, moved._slopes, moved._index = (
            self.knots.to(like),
            self._slopes.to(like),
            self._index.to(like.device),
        )
        return moved

    def falls(self, gradient: Tensor) -> Tensor:
        """Derivative of planes (n, F) on each piece: (k + 1, n, d)."""
        return self._by_piece(gradient, self._slopes)

    def uncertainty(self, gradient: Tensor, error: Tensor | float) -> Tensor:
        """Bound on the error of `falls` where the gradient's entries err by at most `error` (F,): (k + 1, n, d)."""
        roundings = 16 + 4 * len(self._slopes[0])
        return self._by_piece(gradient.abs() * (roundings * UNIT) + error, self._slopes.abs()) * ABOVE

    def _by_piece(self, values: Tensor, slopes: Tensor) -> Tensor:
        """Sum of slopes times values (n, F) over the features that each coordinate moves on each piece."""
        total = sum(values[:, index] * slope for index, slope in zip(self._index, slopes, strict=True))
        assert isinstance(total, Tensor)
        return total.movedim(1, 0).contiguous()

    def drops(
        self,
        slope: Tensor,
        error: Tensor,
        x: Tensor,
        low: Tensor,
        high: Tensor,
        cost: Tensor,
        blur: Tensor | float = 0.0,
    ) -> Drops:
        """Drops of planes with the derivatives `slope`, each wrong by at most `error`: both (k + 1, n, d).

        `x`, `low`, `high` are (n, d): coordinates, each wrong by at most `blur`, least and greatest change; `cost` is
        (1, d).
        """
        if len(slope) == 1:
            return _affine_drops(slope[0], error[0], low, high, cost)
        ends = self.ends(x, low, high)
        reach, drop = walk(slope - error, ends, x)
        back, fallen = walk(-slope.flip(0) - error.flip(0), [-end for end in reversed(ends)], -x)
        drop = torch.cat((drop, fallen)) + self._misplaced(slope, blur)
        unlimited = torch.stack((high.isinf(), low.isinf()))
        outward = torch.stack((error[-1] - slope[-1], error[0] + slope[0]))
        ray = torch.where(unlimited, outward, 0.0).amax(0).clamp(min=0.0) / cost * ABOVE
        reach = torch.cat((reach, back))
        finite = reach.isfinite()
        reach, drop = torch.where(finite, reach, 0.0), torch.where(finite, drop, 0.0)
        return Drops(reach * cost * BELOW, drop * ABOVE, ray)

    def falls_at(self, slope: Tensor, error: Tensor, x: Tensor, change: Tensor) -> Tensor:
        """Fall of planes when one coordinate at a time moves by `change` (n, d), rounded up; as `drops`: (n, d)."""
        if len(slope) == 1:
            found = error[0] * change.abs() - slope[0] * change
        else:
            ends = self.ends(x, change.clamp(max=0.0), change.clamp(min=0.0))
            _, forth = walk(slope - error, ends, x)
            _, back = walk(-slope.flip(0) - error.flip(0), [-end for end in reversed(ends)], -x)
            found = torch.where(change > 0, forth[-1], back[-1]) + self._misplaced(slope)
        return torch.where(change == 0, 0.0, found + found.abs() * (16.0 * UNIT))

    def worst(self, slope: Tensor, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The change (n, d) between `low` and `high` at which planes of the derivatives `slope` fall most."""
        if len(slope) == 1:
            return torch.where(slope[0] > 0, low, high)
        ends = self.ends(x, low, high)
        _, drop = walk(slope, ends, x)
        _, fallen = walk(-slope.flip(0), [-end for end in reversed(ends)], -x)
        changes = torch.stack([*ends[1:], *reversed(ends[:-1])]) - x
        most, chosen = torch.cat((drop, fallen)).nan_to_num(-math.inf, math.inf).max(0)  # no slope times no end
        return torch.where(most > 0, changes.gather(0, chosen[None])[0].clamp(low, high), 0.0)

    def ends(self, x: Tensor, low: Tensor, high: Tensor) -> list[Tensor]:
        """Where pieces end within reach, ascending: the lowest value, all knots, the highest; the box rounded outward.

        In the values themselves, not in changes: knots that lie close together stay as far apart as they are.
        """
        least = x + low - 2.0 * UNIT * (x.abs() + low.abs())
        most = x + high + 2.0 * UNIT * (x.abs() + high.abs())
        return [least, *(torch.clamp(knot, least, most) for knot in self.knots), most]

    def _misplaced(self, slope: Tensor, blur: Tensor | float = 0.0) -> Tensor:
        """Bound on what falls are off where knots, with a few roundings, and coordinates were computed: (n, d)."""
        return (slope.diff(dim=0).abs() * ((self.knots.abs() * (4.0 * UNIT))[:, None] + blur)).sum(0)


def _active(slopes: Tensor, sources: Tensor, inputs: int) -> tuple[Tensor, Tensor]:
    """The features that each of `inputs` coordinates moves on each piece, and how steeply: (a, k + 1, d) each.

    Rows beyond those that there are have slope 0. `slopes` is (k + 1, F), `sources` (F,).
    """
    piece, feature = slopes.nonzero(as_tuple=True)
    place = piece * inputs + sources[feature]
    order = place.argsort(stable=True)
    place, feature, piece = place[order], feature[order], piece[order]
    rank = torch.arange(len(place), device=place.device) - torch.searchsorted(place, place)
    size = (int(rank.max()) + 1 if len(rank) else 1, len(slopes) * inputs)
    index, steepness = sources.new_zeros(size), slopes.new_zeros(size)
    index[rank, place], steepness[rank, place] = feature, slopes[piece, feature]
    return index.view(-1, len(slopes), inputs), steepness.view(-1, len(slopes), inputs)


def _affine_drops(slope: Tensor, error: Tensor, low: Tensor, high: Tensor, cost: Tensor) -> Drops:
    """Drops where the plane is affine in the change: one point, or a ray."""
    room = torch.where(slope.abs() <= error, torch.maximum(-low, high), torch.where(slope > 0, -low, high))
    steep = (slope.abs() + error) * ABOVE
    unlimited = room.isinf()
    room = torch.where(unlimited, 0.0, room)
    ray = torch.where(unlimited, steep / cost * ABOVE, 0.0)
    return Drops((room * cost * BELOW)[None], (steep * room * ABOVE)[None], ray)


def walk(slope: Tensor, ends: list[Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Changes from `x` to the right at the end of each piece, and the fall of the plane there: (k + 1, n, d) each."""
    fallen, reach, drop = torch.zeros_like(x), [], []
    for piece, start, end in zip(slope, ends[:-1], ends[1:], strict=True):
        start, end = torch.maximum(start, x), torch.maximum(end, x)
        fallen = fallen - piece * (end - start)
        reach.append(end - x)
        drop.append(fallen)
    return torch.stack(reach), torch.stack(drop)
