"""The checker's own bands in numpy: the Haar transform of images whose channels an orthonormal matrix mixes."""

import math

import numpy as np

if __package__:
    from asymcert.proofs.checker_network import U, count, demand, dual_norm, gamma, ordered_sum
else:  # run as a script, where only numpy is installed
    from checker_network import U, count, demand, dual_norm, gamma, ordered_sum  # pyright: ignore[reportMissingImports]

MOST_LEVELS, MOST_CHANNELS = 10, 64
OTHERS = 8  # roundings of conversion, and of what the bounds themselves are computed by


class Bands:
    """Sums and differences of 2 x 2 pixels, halved, and again of the sums; changes are measured in l2."""

    def __init__(self, described, mixing, shape):
        self.levels = count(described["levels"], MOST_LEVELS)
        fits = len(shape) == 3 and list(shape[1:]) == [described["height"], described["width"]]
        demand(fits and np.shape(mixing) == 2 * shape[:1], "the bands are for other images", ValueError)
        count(shape[0], MOST_CHANNELS)
        self.mixing, self.inputs = mixing, math.prod(shape)
        self._ends = [(0, -size % 2**self.levels) for size in shape[1:]]
        self.out_shape = (
            shape[0] * math.prod(size + end for size, (_, end) in zip(shape[1:], self._ends, strict=True)),
        )
        self.roundings = shape[0] + 8 * self.levels + OTHERS
        self.gamma = gamma(self.roundings)

    def __call__(self, x):
        """(n, *shape) -> (n, coefficients): the last sums, then details from coarse to fine."""
        return self._pyramid(x, self.mixing, -1.0)

    def magnitude(self, size):
        """Absolute terms of bands of inputs of that size."""
        return self._pyramid(size, np.abs(self.mixing), 1.0)

    def outward(self, low, high, spill):
        """Least and greatest bands of values (n, *shape) between two, rounded outward."""
        terms = self.magnitude(np.maximum(np.abs(low), np.abs(high)) + spill)
        middle, half = self(low / 2 + high / 2), self.magnitude(high / 2 - low / 2) + 6 * self.gamma * terms
        return middle - half, middle + half

    def cost(self, cost, norm):
        """The least cost of any input, over how far a change in l_p can be in l2, rounded down: *out_shape.

        The mixing stretches by at most the root of the greatest row sum of ``|M M^T|``; d numbers, of l_p norm 1, are
        of l2 norm at most ``||1||_q / sqrt(d)`` for p above 2, q being dual to p.
        """
        terms = self.mixing[:, None] * self.mixing
        sums = np.abs(ordered_sum(terms, 2)) + gamma(len(terms) + OTHERS) * ordered_sum(np.abs(terms), 2)
        stretch = math.sqrt(ordered_sum(sums, 1).max() * (1.0 + gamma(len(terms) + OTHERS)))
        if norm > 2:
            stretch *= dual_norm(np.ones(self.inputs), norm) / math.sqrt(self.inputs)
        return np.full(self.out_shape, cost.min() / stretch * (1.0 - OTHERS * U))

    def _pyramid(self, x, mixing, sign):
        """Bands by the given mixing; differences are taken where `sign` is -1, sums where it is 1."""
        padded = np.pad(x, ((0, 0), (0, 0), *self._ends))
        low, details = np.zeros(padded.shape), []
        for channel in range(len(mixing)):
            low += mixing[:, channel, None, None] * padded[:, [channel]]
        for _ in range(self.levels):
            a, b, c, d = (low[:, :, down::2, right::2] / 2 for down in (0, 1) for right in (0, 1))
            upper, lower, above, below = a + b, c + d, a + sign * b, c + sign * d
            low, bands = upper + lower, (upper + sign * lower, above + below, above + sign * below)
            details.insert(0, np.stack(bands, 1).reshape(len(x), -1))
        return np.concatenate((low.reshape(len(x), -1), *details), 1)
