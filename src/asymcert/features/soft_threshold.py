"""Shrinkage towards the mean: small deviations count as none."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import check_number, refuse
from asymcert.features.maps import Centre


class SoftThreshold(Centre):
    """``sign(u) * max(|u| - width, 0)`` with ``u = x - mean``: ignores noise of size `width` around the mean.

    Lipschitz constant 1 in every norm.

    Parameters
    ----------
    mean
        As in `Centre`.
    width
        Nonnegative, in the units of the input.
    """

    def __init__(self, mean: Tensor, width: float):
        super().__init__(mean)
        check_number("width", width, 0.0)
        if math.isinf(width):
            raise refuse("width", "finite", width)
        self.width = float(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, *shape)."""
        u = super().forward(x)
        return u - u.clamp(-self.width, self.width)

    def knots(self, input_shape: tuple[int, ...]) -> Tensor:
        """Both ends of the flat part."""
        mean = self.mean.double().expand(input_shape)
        return torch.stack((mean - self.width, mean + self.width))

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """One for each value; of the flat part's the middle one, its ends being knots."""
        return self.mean + values + self.width * values.sign()

    def options(self) -> dict[str, Any]:
        """The width."""
        return {"width": self.width}
