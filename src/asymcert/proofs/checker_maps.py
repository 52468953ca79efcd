"""The checker's own feature maps in numpy: their values, where they bend, and the absolute terms of their rounding."""

import math
from functools import cached_property

import numpy as np

if __package__:
    from asymcert.proofs.checker_linear import KINDS, Linear
    from asymcert.proofs.checker_network import count, demand
else:  # run as a script, where only numpy is installed
    from checker_linear import KINDS, Linear  # pyright: ignore[reportMissingImports]
    from checker_network import count, demand  # pyright: ignore[reportMissingImports]

STAGE = 6  # roundings of one feature map, and of carrying a knot back through it
MOST_CENTRES = 2**16


class Scaled:
    """``x / number``."""

    def __init__(self, number, shape):
        demand(0 < number < math.inf, "a feature map's number is out of range")
        self.divisors, self.out_shape = np.array([number]), shape

    def __call__(self, x):
        """(n, *shape) -> (n, *out_shape)."""
        return x / self.divisors[0]

    def spread(self, values):
        """Each feature's input's value: (n, *shape) -> (n, *out_shape)."""
        return values

    def magnitude(self, size, shifts, exact):
        """Sums of absolute terms of the features of inputs of that size, which are `exact` or computed.

        Without shifts, the greatest derivative of each feature times the size.
        """
        return self(size)

    def bends(self, later):
        """Number of knots, where the map that follows has so many."""
        return later

    def back(self, knots, terms):
        """Knots of the map that follows, and their absolute terms, as knots of the inputs."""
        return knots * self.divisors[0], np.maximum(terms, np.abs(knots)) * self.divisors[0]


class Bent:
    """``(x - mean, |x - c_1|, ..., |x - c_k|)``, joined along the first axis."""

    divisors = np.ones(1)

    def __init__(self, mean, centres, shape):
        demand(np.broadcast_shapes(mean.shape, shape) == shape, "a mean has the wrong shape", ValueError)
        self.mean, self.centres, self.shape = mean, centres, shape
        self.out_shape = ((1 + len(centres)) * shape[0], *shape[1:])

    def __call__(self, x):
        """(n, *shape) -> (n, *out_shape)."""
        return np.concatenate((x - self.mean, *(np.abs(x - centre) for centre in self.centres)), 1)

    def spread(self, values):
        """See `Scaled`."""
        return np.concatenate([values] * (1 + len(self.centres)), 1)

    def magnitude(self, size, shifts, exact):
        """See `Scaled`."""
        return np.concatenate([size + shifts * np.abs(centre) for centre in (self.mean, *self.centres)], 1)

    def bends(self, later):
        """See `Scaled`."""
        return later * (1 + 2 * len(self.centres)) + len(self.centres)

    def back(self, knots, terms):
        """See `Scaled`."""
        (first, *rest), (own, *others) = (np.split(part, 1 + len(self.centres), 1) for part in (knots, terms))
        places, sizes = [first + self.mean], [np.maximum(own, np.abs(first)) + np.abs(self.mean)]
        for centre, absolute, size in zip(self.centres, rest, others, strict=True):
            places += [centre + absolute, centre - absolute, np.zeros((1, *self.shape)) + centre]
            sizes += 2 * [np.maximum(size, np.abs(absolute)) + np.abs(centre)] + [np.zeros((1, *self.shape))]
        return np.concatenate(places), np.concatenate(sizes)


class Thresholded:
    """``u - clip(u, -width, width)``, u being ``x - mean``."""

    divisors = np.ones(1)

    def __init__(self, mean, width, shape):
        demand(0 <= width < math.inf, "a feature map's number is out of range")
        demand(np.broadcast_shapes(mean.shape, shape) == shape, "a mean has the wrong shape", ValueError)
        self.mean, self.width, self.shape, self.out_shape = mean, width, shape, shape

    def __call__(self, x):
        """(n, *shape) -> (n, *out_shape)."""
        moved = x - self.mean
        return moved - np.clip(moved, -self.width, self.width)

    def spread(self, values):
        """See `Scaled`."""
        return values

    def magnitude(self, size, shifts, exact):
        """See `Scaled`."""
        return size + shifts * (np.abs(self.mean) + self.width)

    def bends(self, later):
        """See `Scaled`."""
        return later + 2

    def back(self, knots, terms):
        """See `Scaled`."""
        ends = np.zeros((2, *self.shape)) + self.width * np.array([-1.0, 1.0]).reshape(2, *[1] * len(self.shape))
        places = np.concatenate((knots + self.width * np.sign(knots), ends)) + self.mean
        sizes = np.concatenate((np.maximum(terms, np.abs(knots)), 0 * ends)) + self.width + np.abs(self.mean)
        return places, sizes


class Ramps:
    """``clip((x_j - low) / width, 0, 1)`` of the inputs j that are the ramps' sources; last of all maps.

    The ends are exact. A value that is computed from an exact input is wrong by a few roundings relative to itself, and
    it is at most 1. A rounding of the input is a change of it: one over the width times that. Where the input itself is
    converted to another type, which keeps the order of numbers, all that lies beyond an end is wrong by no more than
    the end would be.
    """

    def __init__(self, source, low, width, shape, first):
        self.low, self.divisors, self.high = low, width, low + width
        demand(source.shape == low.shape == width.shape and low.ndim == 1 and low.size > 0, "ramps have wrong shapes")
        known = len(shape) == 1 and ((source >= 0) & (source < shape[0]) & (np.floor(source) == source)).all()
        demand(known, "a ramp is of no input", ValueError)
        exact = (width > 0) & (self.high - low == width) & (self.high - width == low)
        demand(exact.all(), "the ends of a ramp are not exact, or in no order")
        self.source, self.shape, self.out_shape = source.astype(np.int64), shape, low.shape
        self.farthest = np.maximum(np.abs(low), np.abs(self.high)) if first else math.inf
        ends = np.unique(np.stack((np.tile(source, 2), np.concatenate((low, self.high)))), axis=1)
        self._own, self._ends = ends[0].astype(np.int64), ends[1]
        self._rank = np.arange(len(self._own)) - np.searchsorted(self._own, self._own)

    def __call__(self, x):
        """(n, d) -> (n, F)."""
        return np.clip((x[:, self.source] - self.low) / self.divisors, 0.0, 1.0)

    def spread(self, values):
        """See `Scaled`."""
        return values[:, self.source]

    def magnitude(self, size, shifts, exact):
        """See `Scaled`."""
        size = self.spread(size)
        return shifts + (not exact) * (np.minimum(size, self.farthest) if shifts else size) / self.divisors

    def bends(self, later):
        """See `Scaled`."""
        return int(self._rank.max()) + 1

    def back(self, knots, terms):
        """The ends of each input's ramps, which are exact; the last of them again where others have more."""
        knots = np.zeros((self.bends(0), *self.shape))
        knots[:, self._own] = self._ends
        knots[self._rank, self._own] = self._ends
        return knots, np.zeros_like(knots)


class FeatureMap:
    """A chain of coordinatewise maps of coordinates of `shape`; batches have one axis more.

    Coordinates are the inputs, or what linear maps that come first give: sums of a low-pass, bands.
    """

    def __init__(self, described, tensors, shape):
        self.shape = self.out_shape = shape
        self.linear, self.parts, self.bends = Linear(), [], 0
        with np.errstate(all="ignore"):
            self._append(described, tensors, "feature_map.")
        for part in reversed(self.parts):
            self.bends = part.bends(self.bends)

    def _append(self, described, tensors, prefix):
        kind = described["kind"]
        if kind == "Chain":
            for index, member in enumerate(described["maps"]):
                self._append(member, tensors, f"{prefix}maps.{index}.")
            return
        if kind in KINDS:
            demand(not self.parts, "a low-pass or bands after other maps are unknown to this checker")
            self.shape = self.out_shape = self.linear.append(described, tensors.get(f"{prefix}mixing"), self.shape)
            return
        demand(self.most_moved == math.inf, "a feature map after ramps is unknown to this checker")
        pick = {name: tensors.get(f"{prefix}{name}") for name in ("mean", "source", "low", "width")}
        part = _part(kind, described, pick, self.out_shape, first=not self.parts and not self.linear)
        if part is not None:
            self.parts.append(part)
            self.out_shape = part.out_shape

    @property
    def most_moved(self):
        """The most that any input can move a feature."""
        return 1.0 if self.parts and isinstance(self.parts[-1], Ramps) else math.inf

    @property
    def flat(self):
        """Whether nothing changes beyond the outermost knots, which are exact."""
        return not self.linear and len(self.parts) == 1 and self.most_moved == 1

    @cached_property
    def sources(self):
        """The flat position of each flat feature's input."""
        return self.spread(np.arange(math.prod(self.shape)).reshape(1, *self.shape)).ravel()

    @cached_property
    def most(self):
        """The most features that any input has."""
        return int(np.bincount(self.sources).max())

    @cached_property
    def steepest(self):
        """The greatest derivative of each feature."""
        return self.magnitude(np.ones((1, *self.shape)), 0.0, shifts=False, exact=False)[0]

    def __call__(self, x):
        """(n, *shape) -> (n, *out_shape)."""
        for part in self.parts:
            x = part(x)
        return x

    def spread(self, values):
        """Each feature's input's value: (n, *shape) -> (n, *out_shape)."""
        for part in self.parts:
            values = part.spread(values)
        return values

    def by_input(self, terms):
        """Sums over the features of each input, from first to last: (n, *out_shape) -> (n, *shape)."""
        size = math.prod(self.shape)
        places = np.arange(len(terms))[:, None] * size + self.sources
        return np.bincount(places.ravel(), terms.ravel(), len(terms) * size).reshape(len(terms), *self.shape)

    @property
    def roundings(self):
        """Of all maps."""
        return STAGE * len(self.parts) + self.linear.roundings

    def magnitude_of_inputs(self, size, spill, exact=True):
        """`magnitude` where coordinates come from inputs of at most this size."""
        return self.magnitude(self.linear.sums(size, spill), spill, exact=exact and not self.linear)

    def magnitude(self, size, spill, shifts=True, exact=True):
        """Sum of the absolute terms of each feature of coordinates of at most this size, spill added at every step.

        `exact` ones are numbers of the type that is computed in. Without shifts, of size 1, spill 0 and not exact:
        the greatest derivative of each feature.
        """
        size = size + spill
        for part in self.parts:
            size, exact = part.magnitude(size, shifts, exact) + spill, False
        return size

    def knots(self):
        """Coordinates (k, *shape) between which features are affine, and their absolute terms, 0 if exact."""
        knots = terms = np.zeros((0, *self.out_shape))
        for part in reversed(self.parts):
            knots, terms = part.back(knots, terms)
        return knots, terms


def _part(kind, described, pick, shape, first):
    """One map that a file describes; None if it changes nothing."""
    if kind == "Identity":
        return None
    if kind == "Standardise":
        return Scaled(float(described["deviation"]), shape)
    if kind == "Ramps":
        demand(count(described["inputs"], 2**40) == math.prod(shape), "the ramps are for other inputs", ValueError)
        return Ramps(pick["source"], pick["low"], pick["width"], shape, first)
    if kind == "SoftThreshold":
        return Thresholded(pick["mean"], float(described["width"]), shape)
    demand(kind in ("Centre", "CentreAbsolute", "Hinges"), f"a feature map {kind} is unknown to this checker")
    number = count(described["count"], MOST_CENTRES) if kind == "Hinges" else 0
    reach = float(described.get("reach", 1.0)) if number else 1.0
    demand(0 < reach * number < math.inf or not number, "a feature map's number is out of range")
    centres = [place * reach / (number + 1) for place in range(1, number + 1)]
    return Bent(pick["mean"], [pick["mean"]] if kind == "CentreAbsolute" else centres, shape)
