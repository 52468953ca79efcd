"""How many columns a change must touch before a tangent plane falls by a given amount.

The plane falls by a sum of one term for each column, so the adversary who may change k columns takes the k greatest:
no change of at most k columns undoes the verdict if the k greatest drops add up to less than the amount. With prices
the least total price solves a knapsack problem, of which the fractional answer is a lower bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._floats import UNIT, down, up
from asymcert.certify.drops import Pieces
from asymcert.threats.columns import ColumnGroups


@dataclass(frozen=True)
class ColumnDrops:
    """What a plane can lose by each column, whatever value the adversary gives it.

    Parameters
    ----------
    drop
        (n, G): greatest fall by each column alone, rounded up, at least 0; inf where nothing limits it.
    change
        (n, d): for each column the change of its inputs that attains it.
    columns
        What counts as one.
    """

    drop: Tensor
    change: Tensor
    columns: ColumnGroups

    @classmethod
    def of(
        cls, pieces: Pieces, columns: ColumnGroups, slope: Tensor, error: Tensor, x: Tensor, low: Tensor, high: Tensor
    ) -> ColumnDrops:
        """Drops of planes of the derivatives `slope` (pieces, n, d), each wrong by at most `error`; see `Pieces`."""
        found = pieces.drops(slope, error, x, low, high, torch.ones_like(x[:1]))
        most = torch.where(found.ray > 0, math.inf, found.drop.amax(0).clamp(min=0.0))
        change = pieces.worst(slope, x, low, high)
        drop = columns.total(most) * up(x.shape[1] + 8)
        if len(columns.members):
            _choose_one(pieces, columns, slope, error, x, low, high, drop, change)
        return cls(drop, change, columns)

    def radius(self, amount: Tensor) -> Tensor:
        """The size up to which, itself included, no change brings the plane down by `amount` (n,): (n,).

        Whole columns where all have one price; infinite where all columns together do not suffice.
        """
        columns, order = self.columns, self._dearest
        drop, price = self.drop.gather(1, order), columns.price[order]
        total = drop.cumsum(1) * up(2 * drop.shape[1] + 8)
        safe = (total < amount[:, None]).sum(1)
        beyond = (amount > 0) & (safe == drop.shape[1])
        if columns.equal_price is not None:
            found = safe.double() * columns.equal_price
        else:
            found = _fractional(amount, drop, price, total, safe)
        return torch.where(beyond, math.inf, torch.where(amount > 0, found, 0.0))

    def answer(self, count: Tensor) -> Tensor:
        """The change (n, d) of the `count` (n,) columns that lower the plane most for their price."""
        rank = self._dearest.argsort(1)
        return torch.where((rank < count[:, None])[:, self.columns.index], self.change, 0.0)

    def needed(self, amount: Tensor) -> Tensor:
        """How many columns, taken in that order, bring the plane down by `amount`, or all: int64 (n,)."""
        total = self.drop.gather(1, self._dearest).cumsum(1)
        return ((total < amount[:, None]).sum(1) + 1).clamp(max=self.drop.shape[1])

    @property
    def _dearest(self) -> Tensor:
        """Columns by their drop for one unit of price, the greatest first: (n, G)."""
        return (self.drop / self.columns.price).argsort(dim=1, descending=True, stable=True)


def _choose_one(
    pieces: Pieces,
    columns: ColumnGroups,
    slope: Tensor,
    error: Tensor,
    x: Tensor,
    low: Tensor,
    high: Tensor,
    drop: Tensor,
    change: Tensor,
) -> None:
    """Set drop and change of exclusive columns: the 1 moves to the input where the plane is lowest, or stays."""
    members, flip = columns.members, 1.0 - 2.0 * x  # the flip takes 0 to 1 and 1 to 0
    fall = pieces.falls_at(slope, error, x, flip)[:, members]  # (n, E, M)
    on = x[:, members] == 1
    place = on.double().argmax(2, keepdim=True)
    free = low[:, members].gather(2, place)[..., 0] < 0
    lowest, chosen = torch.where(on | (high[:, members] <= 0), -math.inf, fall).max(2, keepdim=True)
    both = (fall.gather(2, place) + lowest)[..., 0]
    most = torch.where(free & both.isfinite(), both + both.abs() * UNIT, 0.0).clamp(min=0.0)
    drop[:, columns.exclusive] = most
    change[:, members.flatten()] = 0.0
    inputs = members.expand(len(x), *members.shape)
    moved = (most > 0).to(change)
    change.scatter_(1, inputs.gather(2, place)[..., 0], -moved)
    change.scatter_(1, inputs.gather(2, chosen)[..., 0], moved)


def _fractional(amount: Tensor, drop: Tensor, price: Tensor, total: Tensor, safe: Tensor) -> Tensor:
    """Least total price of drops, the last one in part, that add up to the amount, rounded down: (n,)."""
    paid = torch.cat((torch.zeros_like(price[:, :1]), price.cumsum(1)), 1).gather(1, safe[:, None])[:, 0]
    fallen = torch.cat((torch.zeros_like(total[:, :1]), total), 1).gather(1, safe[:, None])[:, 0]
    last = safe.clamp(max=drop.shape[1] - 1)[:, None]
    share = ((amount - fallen) / drop.gather(1, last)[:, 0]).clamp(0.0, 1.0).nan_to_num(0.0)
    return (paid + share * price.gather(1, last)[:, 0]) * down(2 * drop.shape[1] + 16)
