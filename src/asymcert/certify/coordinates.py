"""The coordinates that planes are followed in: those of the input, or the sums that a low-pass makes of it."""

from __future__ import annotations

import torch
from torch import Tensor

from asymcert._floats import UNIT, up
from asymcert.features import LowPass

FAR = 1e15  # change of one coordinate where nothing limits the adversary


class Coordinates:
    """What a plane's fall is followed along, and what an adversary in x can do to it.

    Behind a low-pass P and a map that bends these are the sums ``z = P x``. A change costs in z what the cheapest
    change of pixels with that sum costs, and each sum stays between the sums of the pixels' least and greatest changes;
    in l_inf and l1 with equal costs nothing is lost by that. Where nothing bends, planes are followed in x itself.

    Parameters
    ----------
    low_pass
        What comes first, in float64; None if nothing does.
    input_shape
        Of one sample.
    affine
        Whether nothing that comes after it bends.
    """

    def __init__(self, low_pass: LowPass | None, input_shape: tuple[int, ...], affine: bool):
        self._first = low_pass
        self.low_pass = None if affine else low_pass
        self.shape = input_shape if self.low_pass is None else self.low_pass.output_shape(input_shape)

    def of(self, x: Tensor) -> Tensor:
        """(n, *input_shape) -> (n, d)."""
        return (x if self.low_pass is None else self.low_pass(x)).flatten(1)

    def blur(self, x: Tensor) -> Tensor | float:
        """Bound on the error of `of`: (n, d), or 0 where nothing is computed."""
        return 0.0 if self.low_pass is None else self._slack * self.of(x.abs())

    def slopes(self, slope: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives by coordinates (pieces, n, d), given those by what the map after a low-pass takes; and errors."""
        if self._first is None or self.low_pass is not None:
            return slope, error
        shape = (-1, *self._first.output_shape(self.shape))
        slope, error = (self._first.spread(part.view(shape)).flatten(1)[None] for part in (slope, error))
        return slope, (error + 8.0 * UNIT * slope.abs()) * up(16)

    def cost(self, cost: Tensor, norm: float) -> Tensor:
        """Of one unit of each coordinate, given those of the input (*input_shape): (1, d), rounded down."""
        return (cost if self.low_pass is None else self.low_pass.block_cost(cost, norm)).reshape(1, -1)

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest change of each coordinate, given those of the input (n, *input_shape); rounded outward."""
        if self.low_pass is None:
            return low.flatten(1), high.flatten(1)
        return self.of(low) * (1.0 + self._slack), self.of(high) * (1.0 + self._slack)

    def spread(self, change: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """A change of the input within `low` and `high` that makes a change (n, d) of coordinates.

        Shared out evenly over a block, but where pixels are at their ends the others take the rest.
        """
        if self.low_pass is None:
            return change.view_as(low)
        wanted = change.view(-1, *self.shape)
        even = torch.clamp(self.low_pass.inverse(wanted), low, high)
        rest = wanted - self.low_pass(even)
        side = torch.where(self.low_pass.inverse(rest) > 0, high - even, even - low).clamp(max=FAR)
        room = self.low_pass(side)
        share = self.low_pass.stretch(torch.where(room > 0, rest.abs() / room, 0.0).clamp(max=1.0))
        return torch.clamp(even + self.low_pass.inverse(rest).sign() * share * side, low, high)

    @property
    def _slack(self) -> float:
        assert self.low_pass is not None
        return (self.low_pass.operations + 4) * UNIT
