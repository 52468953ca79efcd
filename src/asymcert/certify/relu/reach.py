"""What an adversary can reach, and how far linear functions can fall there: lower bounds by weak duality.

For any prices a with 0 <= a_i <= |g_i|, and any change z (scaled by the costs) in the box and of size r,
``-g . z <= sum a_i |z_i| + sum (|g_i| - a_i) |z_i| <= r ||a||_q + sum (|g_i| - a_i) room_i``, where room_i is how far
the box lets z_i go down the slope. Prices come from the water level of the best change, in plain floating point; the
bound is evaluated for them with its rounding added, so it holds however good they are.

In l1 and l2 the coordinates that go as far as the box lets them are the first ones of an order that no radius changes:
sums along it, made once, give the bound at any radius without another pass over the coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from asymcert._floats import TINY, down, dual_exponent, scaled_norm, up
from asymcert.threats.model import ThreatModel

SQUARED = 1e-125  # the least number whose square, and sums of it, keep their precision


@dataclass(frozen=True, eq=False)
class Reach:
    """Admissible changes of samples, in scaled coordinates ``z = cost * change``, all float64.

    Parameters
    ----------
    x
        (n, d), the samples.
    low, high
        (n, d), least and greatest z, rounded outward.
    cost
        (1, d).
    norm
        p in [1, inf].
    """

    x: Tensor
    low: Tensor
    high: Tensor
    cost: Tensor
    norm: float

    @classmethod
    def of(cls, x: Tensor, threat: ThreatModel) -> Reach:
        """What `threat` allows from inputs (n, *input_shape), float64 inside its box."""
        low, high = threat.interval(x)
        cost = threat.cost_for(tuple(x.shape[1:])).to(x).reshape(1, -1)
        return cls(x.flatten(1), -_scaled(-low.flatten(1), cost), _scaled(high.flatten(1), cost), cost, threat.norm)

    @property
    def dual_norm(self) -> float:
        """The exponent q with 1/p + 1/q = 1."""
        return dual_exponent(self.norm)

    def rows(self, index: Tensor) -> Reach:
        """The same of some samples, by a mask or positions, repeated or not."""
        return replace(self, x=self.x[index], low=self.low[index], high=self.high[index])

    def largest(self, radius: Tensor) -> Tensor:
        """Bound on |x + change| for changes of size at most `radius` (n,): (n, d)."""
        room = torch.minimum(torch.maximum(-self.low, self.high), radius[:, None])
        return (self.x.abs() + room / self.cost) * up(8)


def _scaled(room: Tensor, cost: Tensor) -> Tensor:
    """Changes (n, d), nonnegative, times costs, rounded up: what is possible is never rounded to nothing."""
    least = TINY
    return torch.where(room > 0, (room * cost * up(4)).clamp(min=least), 0.0)


class Falls:
    """How far linear functions can fall from the samples, prepared for any radius.

    Parameters
    ----------
    coefficients
        (n or 1, m, d), by the change.
    reach
        What the adversary can do.
    """

    def __init__(self, coefficients: Tensor, reach: Reach):
        self.reach = reach
        least = SQUARED if reach.norm == 2 else TINY  # quotients keep their precision, and squares
        self.coefficients = coefficients
        steepness = (coefficients.abs() / reach.cost).clamp(min=least)
        self.steepness = torch.where(coefficients == 0, 0.0, steepness)  # (n or 1, m, d)
        room = torch.where(coefficients > 0, -reach.low[:, None], reach.high[:, None])
        self.room = torch.where(room > 0, room.clamp(min=least), 0.0)  # (n, m, d)
        self._sort()

    def at(self, radius: Tensor) -> Tensor:
        """Bound (n, m), rounded up, on the falls by changes of size at most `radius` (n,), inf allowed."""
        p = self.reach.norm
        if math.isinf(p):
            moved = torch.minimum(self.room, radius[:, None, None])
            return torch.where(self.steepness > 0, self.steepness * moved, 0.0).sum(2) * up(self.room.shape[2] + 16)
        if p == 1:
            return self._summed_one(radius)
        return self._summed_two(radius) if p == 2 else self.priced(radius)

    def priced(self, radius: Tensor) -> Tensor:
        """What `at` gives for 1 < p < inf, by prices of every coordinate."""
        level = self._water(radius, self._below(radius))
        caps = (self.room / level).pow(self.reach.norm - 1.0).nan_to_num(math.inf, math.inf)
        caps = torch.where(level.isinf() | ~radius.isfinite()[:, None, None], 0.0, caps)
        price = torch.minimum(self.steepness, caps.clamp(min=0.0))
        rest = self.steepness - price
        boxed = torch.where(rest > 0, rest * self.room, 0.0).sum(2)
        norm = scaled_norm(price.flatten(0, 1), self.reach.dual_norm).view(boxed.shape)
        priced = torch.where(norm > 0, norm * radius[:, None], 0.0)
        return (priced + boxed) * up(4.0 * (price.shape[2] + 16))

    def _summed_one(self, radius: Tensor) -> Tensor:
        """All prices are capped by the steepness of the first coordinate that the budget does not bring to its end."""
        below = self._below(radius)
        cap = _following(self.level, below)
        return self._bound(radius, cap, cap * _reached(self.budget, below), below)

    def _summed_two(self, radius: Tensor) -> Tensor:
        """Coordinates that meet the box are priced at their room by the level, the others at their steepness."""
        below = self._below(radius)
        met = _reached(self.level, below) * up(4)  # at a lower level prices would be above the steepness
        level = torch.maximum(self._water(radius, below), met).nan_to_num(math.inf, math.inf)
        spent = _reached(self.spent, below)
        ratio = torch.where(spent > 0, spent / level.square(), 0.0)
        price = (ratio + _following(self.wet, below)).sqrt()
        return self._bound(radius, price, torch.where(ratio > 0, ratio * level, 0.0), below)

    def _bound(self, radius: Tensor, price: Tensor, less: Tensor, below: Tensor) -> Tensor:
        """Rounded up: the dual norm of the prices times the radius, and what the box adds, whole and `less`."""
        margin = 8.0 * (self.room.shape[2] + 32)
        priced = torch.where(price > 0, price * radius[:, None, None], 0.0)
        whole = (priced + _reached(self._full, below)) * up(margin)
        return ((whole - less * down(margin)) * up(4))[:, :, 0].nan_to_num(math.inf, math.inf)

    @cached_property
    def _full(self) -> Tensor:
        """Falls by going to the box's end in each coordinate, summed along the order: (n, m, d)."""
        whole = torch.where(self.steepness > 0, self.steepness * self.room, 0.0)
        return whole.gather(2, self.order).cumsum(2)

    def _sort(self) -> None:
        """Budgets that bring the water to the levels at which one more coordinate meets the box: (n, m, d) each."""
        p, q = self.reach.norm, self.reach.dual_norm
        if math.isinf(p):
            return
        self.share = self.steepness if p == 1 else self.steepness.pow(q - 1.0)
        steep = self.steepness.expand_as(self.room)
        if p == 1:
            self.level, self.order = steep.sort(2, descending=True)
            self.budget = self.room.gather(2, self.order).cumsum(2)
            return
        meets = torch.where(steep > 0, self.room / self.share, math.inf)
        self.level, self.order = meets.sort(2)
        self.spent = torch.where(steep > 0, self.room, 0.0).gather(2, self.order).pow(p).cumsum(2)
        self.wet = steep.pow(q).gather(2, self.order).flip(2).cumsum(2).flip(2)
        before = torch.cat((torch.zeros_like(self.spent[:, :, :1]), self.spent[:, :, :-1]), 2)
        self.budget = (self.level.pow(p) * self.wet + before).nan_to_num(math.inf, math.inf)

    def worst(self, radius: Tensor) -> Tensor:
        """About the changes (n, m, d) of size `radius` (n,), finite, that bring each function down most."""
        p, size = self.reach.norm, radius[:, None, None]
        if math.isinf(p):
            spent = torch.minimum(self.room, size) * (self.steepness > 0)
        elif p == 1:
            before = torch.cat((torch.zeros_like(self.budget[:, :, :1]), self.budget[:, :, :-1]), 2)
            share = torch.minimum((size - before).clamp(min=0.0), self.room.gather(2, self.order))
            spent = torch.zeros_like(share).scatter_(2, self.order, share) * (self.steepness > 0)
        else:
            spent = torch.minimum(self.room, self._water(radius, self._below(radius)) * self.share)
        return -self.coefficients.sign() * spent.nan_to_num(0.0) / self.reach.cost

    def _below(self, radius: Tensor) -> Tensor:
        """Number of levels (n, m, 1) that a budget lifts the water above: so many coordinates meet the box."""
        budget = radius if self.reach.norm == 1 else radius.pow(self.reach.norm)
        wanted = budget[:, None, None].expand(*self.budget.shape[:2], 1)
        return torch.searchsorted(self.budget, wanted.contiguous())

    def _water(self, radius: Tensor, below: Tensor) -> Tensor:
        """Level (n, m, 1) for 1 < p < inf: coordinates move by ``level * share``, or as far as the box lets them."""
        p, last = self.reach.norm, below.clamp(max=self.budget.shape[2] - 1)
        left = (radius.pow(p)[:, None, None] - _reached(self.spent, last)).clamp(min=0.0)
        return torch.where(below > last, math.inf, (left / self.wet.gather(2, last)).pow(1.0 / p))


def _reached(sums: Tensor, count: Tensor) -> Tensor:
    """The last of the first `count` (n, m, 1) of each row's values (n, m, d), 0 where there is none."""
    return torch.where(count > 0, sums.gather(2, (count - 1).clamp(min=0)), 0.0)


def _following(values: Tensor, count: Tensor) -> Tensor:
    """The first value after so many, 0 where there is none; see `_reached`."""
    last = values.shape[2] - 1
    return torch.where(count > last, 0.0, values.gather(2, count.clamp(max=last)))
