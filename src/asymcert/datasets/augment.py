"""Random shifts and flips of image batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import check_count, refuse


@dataclass(frozen=True)
class Augmentation:
    """Random crops of the edge-padded image, and horizontal flips, drawn for each sample.

    Parameters
    ----------
    crop
        Pixels of padding on each side; the crop has the image's own size, so it is a shift by up to `crop`.
    flip
        Whether half of the samples, at random, are mirrored left to right.

    Raises
    ------
    InputError
        A negative crop, or a flip that is not a bool.

    Examples
    --------
    >>> x = torch.arange(4.0).reshape(1, 1, 1, 4) / 4
    >>> Augmentation(flip=True)(x, torch.Generator().manual_seed(2)).shape
    torch.Size([1, 1, 1, 4])
    """

    crop: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        check_count("crop", self.crop, low=0)
        if not isinstance(self.flip, bool):
            raise refuse("flip", "True or False", repr(self.flip))

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed batch.

        Parameters
        ----------
        x
            Shape (n, C, H, W), any dtype and device. Any shape if there is nothing to do.
        generator
            Source of the draws, on any device; the same state gives the same result.

        Returns
        -------
        Tensor
            Shape, dtype and device of `x`; `x` itself if there is nothing to do.

        Raises
        ------
        InputError
            A batch that is not of images.
        """
        if not self.crop and not self.flip:
            return x
        if x.ndim != 4:
            raise refuse("x", "of shape (n, C, H, W)", f"shape {tuple(x.shape)}", "Use crop=0, flip=False for tables.")
        rows = self._shifted(x.shape[2], x, generator)
        columns = self._shifted(x.shape[3], x, generator)
        if self.flip:
            mirrored = _draw(2, x, generator).bool()
            columns = torch.where(mirrored, columns.flip(1), columns)
        return _pick(_pick(x, rows, 2), columns, 3)

    def _shifted(self, size: int, x: Tensor, generator: torch.Generator) -> Tensor:
        """Source index of each output row or column, shape (n, size)."""
        shift = _draw(2 * self.crop + 1, x, generator) - self.crop
        return (torch.arange(size, device=x.device) + shift).clamp(0, size - 1)  # clamping is the edge padding


def _draw(high: int, x: Tensor, generator: torch.Generator) -> Tensor:
    """Integers below `high`, shape (n, 1), on the device of `x`."""
    return torch.randint(high, (len(x), 1), generator=generator, device=generator.device).to(x.device)


def _pick(x: Tensor, index: Tensor, dim: int) -> Tensor:
    """Take, for each sample, the entries `index` (n, size) along `dim`."""
    shape = [len(x), 1, 1, 1]
    shape[dim] = index.shape[1]
    return x.gather(dim, index.reshape(shape).expand_as(x))
