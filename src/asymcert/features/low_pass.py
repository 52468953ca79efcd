"""Sums over blocks of pixels: what a classifier that must not mind small changes can look at."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from asymcert._checks import check_norm, refuse
from asymcert._floats import down, dual_exponent, scaled_norm, up
from asymcert.features.linear import LinearMap


class LowPass(LinearMap):
    """``z = P x``: sums over blocks of ``2^levels x 2^levels`` pixels of a channel, over the root of their number.

    The rows of P are orthonormal and share no pixel. So a change of size r in l_p moves the sum of a block of m pixels
    by at most ``m^(1/2 - 1/p) r``, spread evenly it moves it by just that, and blocks spend the change apart: an
    adversary in x is one in z with a cost for each block, and nothing is lost.

    Parameters
    ----------
    levels
        How many times blocks double; at the lower and right edge they are cut off where they do not fit.
    height, width
        Of the images.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, height, width) -> (n, c, ceil(height / 2^levels), ceil(width / 2^levels))."""
        return self._blocks(x).sum((3, 5)) * self.scale(x)

    def inverse(self, z: Tensor) -> Tensor:
        """``P^T z``, each block's value shared out evenly: the least change of pixels that P makes z of."""
        return self.stretch(z * self.scale(z))

    def stretch(self, z: Tensor) -> Tensor:
        """Each block's value at all of its pixels."""
        high, wide = self.sides
        return z.repeat_interleave(high, 2).repeat_interleave(wide, 3)[:, :, : self.height, : self.width]

    def output_cost(self, cost: Tensor, norm: float) -> Tensor:
        """``sqrt(m) / ||1 / cost||_q`` of a block of m pixels, by Hoelder's inequality, q being dual to p = `norm`."""
        inverse = self._blocks(1.0 / cost.double()[None])[0].transpose(2, 3).flatten(3)  # (c, rows, columns, pixels)
        steepest = scaled_norm(inverse.flatten(0, 2), dual_exponent(norm)).view(inverse.shape[:3])
        return down(math.prod(self.sides) + 16) / (steepest * self.scale(steepest))

    def lipschitz(self, norm: float) -> float:
        """The greatest ``m^(1/2 - 1/p)`` of any block of m pixels, rounded up."""
        inverse = 1.0 / check_norm(norm)
        pixels = self._pixels(torch.empty(0, dtype=torch.float64))
        return float(pixels.pow(0.5 - inverse).max()) * up(32)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(c, height, width) -> (c, blocks, blocks).

        Raises
        ------
        InputError
            Samples are no images of that size.
        """
        if len(input_shape) != 3 or tuple(input_shape[1:]) != (self.height, self.width):
            wanted = f"(channels, {self.height}, {self.width}), as the low-pass is for"
            raise refuse("input_shape", wanted, tuple(input_shape), "Leave the low-pass out for what is no image.")
        high, wide = self.sides
        return (input_shape[0], math.ceil(self.height / high), math.ceil(self.width / wide))

    def feature_cost(self, cost: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """The least cost of each block's pixels."""
        negated = -cost.expand(input_shape)[None]
        return -functional.max_pool2d(negated, self.sides, ceil_mode=True)[0]

    def magnitude(self, size: Tensor) -> Tensor:
        """The sums of sizes."""
        return self(size)

    @property
    def operations(self) -> int:
        """A sum's, besides those of any map."""
        return super().operations + math.prod(self.sides)

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of a block that fits."""
        return min(2**self.levels, self.height), min(2**self.levels, self.width)

    def _pixels(self, like: Tensor) -> Tensor:
        """How many pixels each block has, (rows, columns), of the kind of another tensor."""
        return self._blocks(like.new_ones(1, 1, self.height, self.width)).sum((3, 5))[0, 0]

    def scale(self, like: Tensor) -> Tensor:
        """What each block's sum is multiplied with: (rows, columns)."""
        return self._pixels(like).rsqrt()

    def _blocks(self, x: Tensor) -> Tensor:
        """Pixels by block, zeros where the image ends: (n, c, height, width) -> (n, c, rows, high, columns, wide)."""
        high, wide = self.sides
        return self.padded(x, high, wide).unflatten(3, (-1, wide)).unflatten(2, (-1, high))
