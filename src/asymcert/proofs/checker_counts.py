"""The checker's own bound on what a plane falls by when an adversary pays for columns, whatever he changes in them.

The fall is a sum of one term for each column. Paying at most r for columns of prices p, which take D each, he gains at
most ``lambda r + sum max(D - lambda p, 0)``, for every lambda >= 0: weak duality. The best lambda is one of the ratios.
"""

import math

import numpy as np

if __package__:
    from asymcert.proofs.checker_network import U, demand, gamma, ordered_sum
else:  # run as a script, where only numpy is installed
    from checker_network import U, demand, gamma, ordered_sum  # pyright: ignore[reportMissingImports]


class Columns:
    """Which inputs are one column, its price, and which columns have exactly one 1 and zeros, before and after."""

    def __init__(self, groups, exclusive, cost, x):
        self.index = np.unique(groups.ravel(), return_inverse=True)[1].ravel()
        self.price = np.zeros(self.index.max() + 1)
        self.price[self.index] = cost.ravel()
        demand((self.price[self.index] == cost.ravel()).all(), "the inputs of a column differ in price")
        self.exclusive, self.on = exclusive.ravel(), (x == 1).ravel()
        chosen = np.bincount(self.index, self.exclusive)
        whole = (chosen == 0) | (chosen == np.bincount(self.index))
        demand(whole.all(), "some inputs of a column are exclusive, and others are not")
        flat = x.ravel()[self.exclusive]
        one = np.bincount(self.index, self.on & self.exclusive)[chosen > 0] == 1
        demand(((flat == 0) | (flat == 1)).all() and one.all(), "an exclusive column has not one 1 and zeros")

    def drops(self, greatest, flipped, mutable):
        """Upper bound on the fall by each column, of the greatest fall by each input and that of flipping 0 and 1."""
        free, count = ~self.exclusive, len(self.price)
        drops = np.bincount(self.index[free], np.maximum(greatest, 0.0)[free], count)
        left, taken = np.zeros(count), np.full(count, -math.inf)
        own, other = self.exclusive & self.on, self.exclusive & ~self.on
        left[self.index[own]] = flipped[own]
        np.maximum.at(taken, self.index[other], flipped[other])
        movable = np.bincount(self.index, mutable) > 0
        moved = np.where(movable & np.isfinite(taken), left + taken, 0.0)
        drops = drops + np.maximum(moved, 0.0)
        return drops * (1.0 + gamma(len(self.index) + 8))

    def bound(self, drops, radius):
        """Upper bound on the fall by columns of that total price."""
        total = ordered_sum(drops) * (1.0 + gamma(len(drops) + 8))
        if math.isinf(radius):
            return total
        ratio = drops / self.price
        order = np.argsort(-ratio, kind="stable")
        place = np.searchsorted(np.cumsum(self.price[order]), radius * (1.0 - 8 * U))
        dearest = ratio[order[place]] if place < len(order) else 0.0
        over = ordered_sum(np.maximum(drops - dearest * self.price, 0.0))
        return dearest * radius + over + gamma(2 * len(drops) + 32) * (total + dearest * radius)
