"""What counts as one column where an adversary is measured by the number of columns that he changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import refuse


@dataclass(frozen=True)
class ColumnGroups:
    """The d inputs of a sample as G columns: each input alone, or all inputs of a category or a text together.

    Parameters
    ----------
    index
        Int64 (d,): the column of each input, 0 to G - 1.
    price
        Float64 (G,): what it costs to change the column, by however much.
    members
        Int64 (E, M): the inputs of each exclusive column, one of which is 1 and the others 0; the last one is repeated
        where others have more.
    """

    index: Tensor
    price: Tensor
    members: Tensor

    @classmethod
    def of(cls, groups: Tensor | None, exclusive: Tensor | None, cost: Tensor) -> ColumnGroups:
        """The columns that a threat model's parts, each of one sample's shape or None, and its costs describe.

        Raises
        ------
        InputError
            Inputs of one column that differ in cost, or of which some are exclusive and others are not.
        """
        flat_cost, d = cost.flatten(), cost.numel()
        index = torch.arange(d) if groups is None else groups.flatten().cpu().unique(return_inverse=True)[1]
        count = int(index.max()) + 1
        price = flat_cost.new_zeros(count).index_copy(0, index.to(cost.device), flat_cost)
        if not torch.equal(price[index.to(cost.device)], flat_cost):
            raise refuse("cost", "the same for all inputs of a group", "different ones", "Give one price per column.")
        members = torch.empty(0, 1, dtype=torch.int64)
        if exclusive is not None and bool(exclusive.any()):
            members = _members(index, exclusive.flatten().cpu())
        return cls(index.to(cost.device), price, members.to(cost.device))

    def to(self, device: torch.device) -> ColumnGroups:
        """The same on another device."""
        return ColumnGroups(self.index.to(device), self.price.to(device), self.members.to(device))

    @property
    def equal_price(self) -> float | None:
        """The price of every column, or None where they differ."""
        return float(self.price[0]) if bool((self.price == self.price[0]).all()) else None

    @property
    def exclusive(self) -> Tensor:
        """Numbers of the exclusive columns: int64 (E,)."""
        return self.index[self.members[:, 0]]

    def total(self, values: Tensor) -> Tensor:
        """Sums over the inputs of each column: (n, d) -> (n, G)."""
        return values.new_zeros(len(values), len(self.price)).index_add_(1, self.index, values)

    def changed(self, delta: Tensor) -> Tensor:
        """Which columns a change moves: (n, d) -> bool (n, G)."""
        return self.total((delta != 0).double()) > 0

    def size(self, delta: Tensor) -> Tensor:
        """Total price of the columns that a change moves: (n, d) -> float64 (n,)."""
        changed = self.changed(delta)
        equal = self.equal_price
        return (changed * self.price).sum(1) if equal is None else changed.double().sum(1) * equal

    def settled(self, x: Tensor) -> Tensor:
        """Which samples (n, d) have exactly one 1, and zeros, in every exclusive column: bool (n,)."""
        chosen = x[:, self.members]  # (n, E, M)
        binary = ((chosen == 0) | (chosen == 1)).all(2)
        one = self.total((x == 1).double())[:, self.exclusive] == 1
        return (binary & one).all(1)


def _members(index: Tensor, exclusive: Tensor) -> Tensor:
    """Inputs of each exclusive column, padded by its last one: (E, M)."""
    columns = index[exclusive].unique()
    if bool(exclusive.logical_not()[torch.isin(index, columns)].any()):
        raise refuse("exclusive", "true for all inputs of a group or for none", "some of them")
    lists = [(index == column).nonzero().flatten() for column in columns]
    most = max(map(len, lists))
    return torch.stack([torch.cat((own, own[-1:].expand(most - len(own)))) for own in lists])
