"""The checker's own low-pass in numpy: sums over blocks of pixels, and what an adversary can do to them."""

import math

import numpy as np

if __package__:
    from asymcert.proofs.checker_network import count, demand, dual_norm, gamma
else:  # run as a script, where only numpy is installed
    from checker_network import count, demand, dual_norm, gamma  # pyright: ignore[reportMissingImports]

MOST_LEVELS = 10
OTHERS = 8  # roundings of a sum's square root, quotient and conversion


class Blocks:
    """Sums of pixels over blocks of a channel, over the root of their number; blocks are cut off at the image's end."""

    def __init__(self, described, shape):
        levels = count(described["levels"], MOST_LEVELS)
        fits = len(shape) == 3 and list(shape[1:]) == [described["height"], described["width"]]
        demand(fits, "the low-pass is for other images", ValueError)
        self.shape, self.sides = shape, tuple(min(2**levels, side) for side in shape[1:])
        self.out_shape = (shape[0], *(math.ceil(size / side) for size, side in zip(shape[1:], self.sides, strict=True)))
        self.roundings = math.prod(self.sides) + OTHERS
        self.gamma = gamma(self.roundings)
        self._roots = np.sqrt(self._summed(np.ones((1, *shape))))

    def __call__(self, x):
        """(n, *shape) -> (n, *out_shape)."""
        return self._summed(x) / self._roots

    def magnitude(self, size):
        """Absolute terms of sums of inputs of that size."""
        return self(size)

    def outward(self, low, high, spill):
        """Sums of least and of greatest values (n, *shape), rounded outward."""
        errors = (self.gamma * (self(np.abs(end)) + spill) for end in (low, high))
        return tuple(self(end) + sign * error for end, sign, error in zip((low, high), (-2, 2), errors, strict=True))

    def cost(self, cost, norm):
        """What a change of each sum by 1 costs at least: by Hoelder's inequality, rounded down: *out_shape."""
        high, wide = self.sides
        costs, cheapest = np.broadcast_to(cost, self.shape), np.empty(self.out_shape)
        for place in np.ndindex(self.out_shape):
            channel, row, column = place
            own = costs[channel, row * high : (row + 1) * high, column * wide : (column + 1) * wide]
            cheapest[place] = math.sqrt(own.size) / dual_norm(1.0 / own, norm)
        return cheapest * (1.0 - gamma(OTHERS))

    def _summed(self, x):
        """Sums in the same order on every machine."""
        high, wide = self.sides
        rows, columns = self.out_shape[1:]
        ends = rows * high - x.shape[2], columns * wide - x.shape[3]
        padded = np.pad(x, ((0, 0), (0, 0), (0, ends[0]), (0, ends[1])))
        total = np.zeros((len(x), *self.out_shape))
        for down in range(high):
            for right in range(wide):
                total += padded[:, :, down::high, right::wide]
        return total
