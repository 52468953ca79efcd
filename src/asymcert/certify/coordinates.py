"""The coordinates that planes are followed in: those of the input, or the sums that a low-pass makes of it."""

from __future__ import annotations

import torch
from torch import Tensor

from asymcert._floats import UNIT
from asymcert.features import FeatureMap, LowPass, split_low_pass

FAR = 1e15  # change of one coordinate where nothing limits the adversary


class Coordinates:
    """What the coordinatewise part of a feature map takes, and what an adversary in x can do to it.

    Of a low-pass P that is ``z = P x``. A change costs in z what the cheapest change of pixels with that sum costs, and
    each sum stays between the sums of the pixels' least and greatest changes; in l_inf and l1 with equal costs nothing
    is lost by that.

    Parameters
    ----------
    feature_map
        Of a classifier, in float64.
    input_shape
        Of one sample.
    """

    def __init__(self, feature_map: FeatureMap, input_shape: tuple[int, ...]):
        self.low_pass: LowPass | None
        self.low_pass, self.rest = split_low_pass(feature_map)
        self.input_shape = input_shape
        self.shape = input_shape if self.low_pass is None else self.low_pass.output_shape(input_shape)

    def of(self, x: Tensor) -> Tensor:
        """(n, *input_shape) -> (n, d)."""
        return (x if self.low_pass is None else self.low_pass(x)).flatten(1)

    def blur(self, x: Tensor) -> Tensor | float:
        """Bound on the error of `of`: (n, d), or 0 where nothing is computed."""
        return 0.0 if self.low_pass is None else self._slack * self.of(x.abs())

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
        even = torch.clamp(self.low_pass.spread(wanted), low, high)
        rest = wanted - self.low_pass(even)
        side = torch.where(self.low_pass.spread(rest) > 0, high - even, even - low).clamp(max=FAR)
        room = self.low_pass(side)
        share = self.low_pass.stretch(torch.where(room > 0, rest.abs() / room, 0.0).clamp(max=1.0))
        return torch.clamp(even + self.low_pass.spread(rest).sign() * share * side, low, high)

    @property
    def _slack(self) -> float:
        assert self.low_pass is not None
        return (self.low_pass.operations + 4) * UNIT
