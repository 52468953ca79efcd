"""The coordinates that planes are followed in: those of the input, or what a low-pass or bands make of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asymcert._floats import UNIT, down, norm_ratio, up
from asymcert.features import LowPass, shape_after
from asymcert.features.linear import LinearMap

FAR = 1e15  # change of one coordinate where nothing limits the adversary


class Coordinates:
    """What a plane's fall is followed along, and what an adversary in x can do to it: here the inputs themselves.

    Parameters
    ----------
    input_shape
        Of one sample.
    """

    mixes = False  # whether coordinates are others than the inputs

    def __init__(self, input_shape: tuple[int, ...]):
        self.shape = input_shape

    def norm(self, norm: float) -> float:
        """The norm that changes of coordinates are measured in, where those of inputs are in l_p, p = `norm`."""
        return norm

    def of(self, x: Tensor) -> Tensor:
        """(n, *input_shape) -> (n, d)."""
        return x.flatten(1)

    def blur(self, x: Tensor) -> Tensor | float:
        """Bound on the error of `of`: (n, d), or 0 where nothing is computed."""
        return 0.0

    def slopes(self, slope: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives by coordinates (pieces, n, d), given those by what the bending map takes; and errors."""
        return slope, error

    def cost(self, cost: Tensor, norm: float) -> Tensor:
        """Of one unit of each coordinate, given those of the input (*input_shape): (1, d), rounded down."""
        return cost.reshape(1, -1)

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest change of each coordinate, given those of the input (n, *input_shape); rounded outward."""
        return low.flatten(1), high.flatten(1)

    def spread(self, change: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """A change of the input within `low` and `high` that makes about a change (n, d) of coordinates."""
        return change.view_as(low)


class PooledInputs(Coordinates):
    """The inputs before a low-pass after which nothing bends: a box costs nothing there, in l2 either."""

    def __init__(self, low_pass: LowPass, input_shape: tuple[int, ...]):
        super().__init__(input_shape)
        self.low_pass = low_pass

    def slopes(self, slope: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        """Carried back to pixels."""
        shape = (-1, *self.low_pass.output_shape(self.shape))
        slope, error = (self.low_pass.inverse(part.view(shape)).flatten(1)[None] for part in (slope, error))
        return slope, (error + 8.0 * UNIT * slope.abs()) * up(16)


class Sums(Coordinates):
    """The sums ``z = P x`` of a low-pass.

    A change costs in z what the cheapest change of pixels with that sum costs, and each sum stays between the sums of
    the pixels' least and greatest changes; in l_inf and l1 with equal costs nothing is lost by that.
    """

    mixes = True

    def __init__(self, low_pass: LowPass, input_shape: tuple[int, ...]):
        super().__init__(low_pass.output_shape(input_shape))
        self.low_pass = low_pass
        self._slack = (low_pass.operations + 4) * UNIT

    def of(self, x: Tensor) -> Tensor:
        """The sums."""
        return self.low_pass(x).flatten(1)

    def blur(self, x: Tensor) -> Tensor:
        """So many roundings of the sums of absolute values."""
        return self._slack * self.of(x.abs())

    def cost(self, cost: Tensor, norm: float) -> Tensor:
        """That of the cheapest change of a block."""
        return self.low_pass.output_cost(cost, norm).reshape(1, -1)

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """The sums of both ends."""
        return self.of(low) * (1.0 + self._slack), self.of(high) * (1.0 + self._slack)

    def spread(self, change: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Shared out evenly over a block, but where pixels are at their ends the others take the rest."""
        wanted = change.view(-1, *self.shape)
        even = torch.clamp(self.low_pass.inverse(wanted), low, high)
        rest = wanted - self.low_pass(even)
        side = torch.where(self.low_pass.inverse(rest) > 0, high - even, even - low).clamp(max=FAR)
        room = self.low_pass(side)
        share = self.low_pass.stretch(torch.where(room > 0, rest.abs() / room, 0.0).clamp(max=1.0))
        return torch.clamp(even + self.low_pass.inverse(rest).sign() * share * side, low, high)


class Bands(Coordinates):
    """Orthonormal bands, perhaps of a low-pass's sums: changes are measured in l2, a box limits each by itself."""

    mixes = True

    def __init__(self, maps: tuple[LinearMap, ...], input_shape: tuple[int, ...]):
        super().__init__(shape_after(maps, input_shape))
        self.maps = maps
        self._slack = (sum(part.operations for part in maps) + 4) * UNIT

    def norm(self, norm: float) -> float:
        """2."""
        return 2.0

    def of(self, x: Tensor) -> Tensor:
        """The bands."""
        for part in self.maps:
            x = part(x)
        return x.flatten(1)

    def blur(self, x: Tensor) -> Tensor:
        """So many roundings of the sums of absolute terms."""
        return self._slack * self._terms(x.abs())

    def cost(self, cost: Tensor, norm: float) -> Tensor:
        """The least cost of any input or sum, over what the bands stretch a change and its length in l2 is more."""
        count = math.prod(self.shape)
        for part in self.maps:
            cost, norm = part.output_cost(cost, norm), part.feature_norm(norm)
        return (cost.min() / norm_ratio(2.0, norm, count) * down(16)).expand(1, count)

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """The bands of the middle, and as far from them as half the room of all inputs takes each by itself."""
        if not bool(low.isfinite().all() and high.isfinite().all()):
            everything = low.new_full((len(low), math.prod(self.shape)), math.inf)
            return -everything, everything
        middle = self.of((low + high) / 2)
        error = 4.0 * self._slack * self._terms(torch.maximum(low.abs(), high.abs()))
        half = self._terms((high - low) / 2) + error
        return middle - half, middle + half

    def spread(self, change: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The change of least length, cut off where pixels end."""
        change = change.view(-1, *self.shape)
        for part in reversed(self.maps):
            change = part.inverse(change)
        return torch.clamp(change, low, high)

    def _terms(self, size: Tensor) -> Tensor:
        """Sums of absolute terms of bands of inputs of that size: (n, d)."""
        for part in self.maps:
            size = part.magnitude(size)
        return size.flatten(1)


def coordinates_of(maps: tuple[LinearMap, ...], input_shape: tuple[int, ...], affine: bool) -> Coordinates:
    """The coordinates behind the linear maps that a feature map begins with; `affine`: whether nothing bends there."""
    if not maps:
        return Coordinates(input_shape)
    first, *others = maps
    if others or not isinstance(first, LowPass):
        return Bands(maps, input_shape)
    return PooledInputs(first, input_shape) if affine else Sums(first, input_shape)
