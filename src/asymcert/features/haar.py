"""Orthonormal bands of images: where textures and edges lie, at several scales."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asymcert._checks import check_norm, refuse
from asymcert._floats import UNIT, down, up
from asymcert.features.linear import LinearMap

ORTHONORMAL = 1e-5  # how far products of rows may be off; what they are off is part of the Lipschitz constant
SIGNS = torch.tensor([[[1, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]])  # (band, 2, 2)


class Haar(LinearMap):
    """``w = U x``: the Haar transform of images, and channels mixed by an orthonormal matrix.

    Each level replaces the image by four of half its size: sums over 2 x 2 pixels, halved, and their differences along
    rows, columns and diagonals; the next level goes on with the sums. U keeps all lengths in l2, so there an adversary
    in x is one in w of the same size, up to the rounding of the mixing that is stored. In other norms changes are
    measured in l2, too.

    Parameters
    ----------
    mixing
        (channels, channels), rows orthonormal: colours by `opponent_colours`, or the identity.
    levels
        Of the transform.
    height, width
        Of the images; zeros are put at the lower and right edge where 2^levels does not divide them. The certificates
        then let these change, too: they hold, and are smaller than where it does.

    Raises
    ------
    InputError
        The mixing's rows are not orthonormal.

    Source: A. Haar, Mathematische Annalen 69, 1910; Mallat's pyramid, IEEE PAMI 11, 1989.
    """

    mixing: Tensor

    def __init__(self, mixing: Tensor, levels: int, height: int, width: int):
        super().__init__(levels, height, width)
        self.register_buffer("mixing", mixing.detach().float().double())  # the same in every type that it runs in
        self._check_mixing()

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, height, width) -> (n, coefficients): the last level's sums, then details from coarse to fine."""
        return self._pyramid(torch.einsum("oc,nchw->nohw", self.mixing.to(x), self._padded(x)), SIGNS)

    def inverse(self, z: Tensor) -> Tensor:
        """``U^T z``: (n, coefficients) -> (n, c, height, width)."""
        rows, columns = (size // 2**self.levels for size in self.sides)
        count = len(self.mixing) * rows * columns
        low, rest = z[:, :count].view(-1, len(self.mixing), rows, columns), z[:, count:]
        for _ in range(self.levels):
            size = 3 * low.shape[1:].numel()
            details, rest = rest[:, :size], rest[:, size:]
            bands = torch.cat((low[:, None], details.reshape(-1, 3, *low.shape[1:])), 1)
            whole = torch.einsum("bij,nbcrk->ncrikj", SIGNS.to(z) / 2, bands)
            low = whole.flatten(4).flatten(2, 3)
        return torch.einsum("oc,nohw->nchw", self.mixing.to(low), low)[:, :, : self.height, : self.width]

    def feature_norm(self, norm: float) -> float:
        """2, whatever the input's."""
        check_norm(norm)
        return 2.0

    def lipschitz(self, norm: float) -> float:
        """1 up to l2, beyond it ``d^(1/2 - 1/p)`` for d inputs, times what the stored mixing stretches; rounded up."""
        conversion = max(0.0, 0.5 - 1.0 / check_norm(norm))
        return self._stretch * (len(self.mixing) * self.height * self.width) ** conversion * up(32)

    def output_cost(self, cost: Tensor, norm: float) -> Tensor:
        """The least cost of any input, over the Lipschitz constant."""
        least = cost.double().min() / self.lipschitz(norm) * down(8)
        return least.expand(self.output_shape(tuple(cost.shape)))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(c, height, width) -> (coefficients,).

        Raises
        ------
        InputError
            Samples are no images of that form.
        """
        mine = (len(self.mixing), self.height, self.width)
        if tuple(input_shape) != mine:
            raise refuse("input_shape", f"{mine}, as the bands are for", tuple(input_shape), "Leave the bands out.")
        return (len(self.mixing) * math.prod(self.sides),)

    def magnitude(self, size: Tensor) -> Tensor:
        """The same sums of absolute terms."""
        mixed = torch.einsum("oc,nchw->nohw", self.mixing.abs().to(size), self._padded(size))
        return self._pyramid(mixed, torch.ones_like(SIGNS))

    @property
    def operations(self) -> int:
        """Sums over channels and four pixels at each level, besides those of any map."""
        return super().operations + len(self.mixing) + 8 * self.levels

    @property
    def activations(self) -> int:
        """One pyramid and what each level is made from."""
        return 3 * math.prod(self.output_shape((len(self.mixing), self.height, self.width)))

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width with the zeros."""
        side = 2**self.levels
        return self.height + -self.height % side, self.width + -self.width % side

    @property
    def _stretch(self) -> float:
        """Bound on the l2 norm of the mixing: the root of the greatest row sum of ``|M M^T|``, rounded up."""
        square = (self.mixing.double() @ self.mixing.double().T).abs()
        roundings = float(self.mixing.abs().sum()) ** 2 * 4 * len(self.mixing) * UNIT
        return math.sqrt(float(square.sum(1).max()) + roundings) * up(16)

    def _check_mixing(self) -> None:
        mixing = self.mixing.double()
        if mixing.ndim != 2 or len(mixing) != mixing.shape[1] or not len(mixing):
            raise refuse("mixing", "square, a row for each channel", f"shape {tuple(mixing.shape)}")
        unit = torch.eye(len(mixing), dtype=torch.float64, device=mixing.device)
        off = float((mixing @ mixing.T - unit).abs().max())
        if not off <= ORTHONORMAL:
            raise refuse("mixing", "of orthonormal rows", f"products up to {off:.2g} off", "Use opponent_colours().")

    def _padded(self, x: Tensor) -> Tensor:
        return self.padded(x, 2**self.levels, 2**self.levels)

    def _pyramid(self, low: Tensor, signs: Tensor) -> Tensor:
        """Levels from images (n, c, ...) whose sides they divide, pixels of each block weighted by `signs` / 2."""
        details: list[Tensor] = []
        for _ in range(self.levels):
            blocks = low.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # (n, c, rows, 2, columns, 2)
            low, *bands = torch.einsum("bij,ncrikj->bncrk", signs.to(low) / 2, blocks).unbind()
            details = [torch.stack(bands, 1).flatten(1), *details]
        return torch.cat((low.flatten(1), *details), 1)


def opponent_colours(channels: int) -> Tensor:
    """Orthonormal mixing (channels, channels): of three, grey, red against blue, green against both; else none.

    Source: Ohta, Kanade, Sakai, Computer Graphics and Image Processing 13, 1980, up to scale.
    """
    if channels != 3:
        return torch.eye(channels, dtype=torch.float64)
    rows = torch.tensor([[1, 1, 1], [1, 0, -1], [-1, 2, -1]], dtype=torch.float64)
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
