"""The feature maps of the package."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import check_finite, check_norm, check_number, refuse
from asymcert._floats import above
from asymcert.features.base import CoordinatewiseMap


class Identity(CoordinatewiseMap):
    """The features are the input: an input-convex classifier."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """The values themselves."""
        return values

    def lipschitz(self, norm: float) -> float:
        """1 in every norm."""
        check_norm(norm)
        return 1.0

    def options(self) -> dict[str, Any]:
        """None."""
        return {}


class Centre(CoordinatewiseMap):
    """``x - mean``: moves the data's centre to the origin.

    Parameters
    ----------
    mean
        Broadcasts against one sample, such as (C, 1, 1) for images or (d,) for tables.
    """

    mean: Tensor

    def __init__(self, mean: Tensor):
        super().__init__()
        check_finite("mean", mean)
        self.register_buffer("mean", mean.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, *shape)."""
        return x - self.mean

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """One for each value."""
        return values + self.mean

    def lipschitz(self, norm: float) -> float:
        """1 in every norm."""
        check_norm(norm)
        return 1.0

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Same as the input's.

        Raises
        ------
        InputError
            The mean does not broadcast to a sample of that shape.
        """
        try:
            self.mean.expand(input_shape)
        except RuntimeError:
            raise refuse("mean", f"broadcastable to {input_shape}", f"shape {tuple(self.mean.shape)}") from None
        return input_shape

    def options(self) -> dict[str, Any]:
        """None besides the mean."""
        return {}


class CentreAbsolute(Centre):
    """``(x - mean, |x - mean|)``, joined along the first axis of a sample.

    Lipschitz constant ``2^(1/p)``: 2 in l1, sqrt 2 in l2, 1 in l_inf, since both halves can move by the
    full change of the input.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, section 4.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, ...) -> (n, 2c, ...)."""
        centred = x - self.mean
        return torch.cat((centred, centred.abs()), dim=1)

    def lipschitz(self, norm: float) -> float:
        """``2^(1/p)``, rounded up."""
        norm = check_norm(norm)
        return 1.0 if math.isinf(norm) else above(2.0 ** (1.0 / norm))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Twice as many channels; refuses what `Centre` refuses."""
        super().output_shape(input_shape)
        return (2 * input_shape[0], *input_shape[1:])

    def knots(self, input_shape: tuple[int, ...]) -> Tensor:
        """The mean, where the absolute value bends."""
        return self.mean.double().expand(input_shape).unsqueeze(0)

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """One from the first half, two from the second."""
        centred, absolute = values.chunk(2, dim=1)
        return self.mean + torch.cat((centred, absolute, -absolute))


class Standardise(CoordinatewiseMap):
    """``x / deviation`` by one positive scalar; Lipschitz constant ``1 / deviation`` in every norm."""

    def __init__(self, deviation: float):
        super().__init__()
        check_number("deviation", deviation, 0.0, open_low=True)
        if math.isinf(deviation):
            raise refuse("deviation", "finite", deviation)
        self.deviation = float(deviation)

    def forward(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, *shape)."""
        return x / self.deviation

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """One for each value."""
        return values * self.deviation

    def lipschitz(self, norm: float) -> float:
        """``1 / deviation``, rounded up."""
        check_norm(norm)
        return above(1.0 / self.deviation)

    def options(self) -> dict[str, Any]:
        """The deviation."""
        return {"deviation": self.deviation}
