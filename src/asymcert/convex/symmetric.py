"""A convex score averaged over mirror images and small shifts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from asymcert._checks import check_count, check_number, refuse
from asymcert.convex.base import ConvexScore, freeze


class SymmetricAverage(ConvexScore):
    """``g(v) = mean over T of base(T v)``, T being shifts by up to `shift` pixels, mirrored or not.

    Each T is linear, so the average is convex if the base is, and certificates hold for it as for any other score.
    What the single networks get wrong at random averages out: both accuracy and radii grow, at the price of one pass
    per transformation. It needs no training of its own.

    Parameters
    ----------
    base
        A convex score of images.
    mirror
        Whether the left-right mirror images take part.
    shift
        Edge-padded shifts by this many pixels or none, in both directions independently, take part; 0 for none. At most
        the image's shorter side.
    """

    def __init__(self, base: ConvexScore, mirror: bool = True, shift: int = 0):
        super().__init__()
        self.input_shape = tuple(base.input_shape)
        if len(self.input_shape) != 3:
            raise refuse("base", "a score of images (channels, height, width)", f"one of {self.input_shape}")
        check_number("shift", shift, 0, min(self.input_shape[1:]))
        check_count("shift", shift, 0)
        self.base, self.mirror, self.shift = base, mirror, shift

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, h, w) -> (n,)."""
        images = list(self._transformed(features))
        return torch.stack([self.base(image) for image in images]).mean(0)

    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        """Those of the base."""
        for name, weight in self.base.nonnegative():
            yield f"base.{name}", weight

    @property
    def activations(self) -> int:
        """Those of every pass."""
        return self.base.activations * (2 if self.mirror else 1) * (9 if self.shift else 1)

    @property
    def operations(self) -> int:
        """Those of the base, and the mean's."""
        return self.base.operations + self._passes + 2

    @property
    def backward_operations(self) -> int:
        """Those of the base, and the sum over transformations; padding hands edge pixels several parts of each."""
        return self.base.backward_operations + self._passes * (self.shift + 1) ** 2 + 2

    @property
    def _passes(self) -> int:
        return self.activations // self.base.activations

    def options(self) -> dict[str, Any]:
        """Constructor arguments; the base is described by whoever saves it."""
        return {"input_shape": list(self.input_shape), "mirror": self.mirror, "shift": self.shift}

    def fold(self) -> Self:
        """The same average of the folded base."""
        folded = type(self)(self.base.fold(), self.mirror, self.shift)
        freeze(folded)
        return folded

    def _transformed(self, v: Tensor) -> Iterator[Tensor]:
        s = self.shift
        steps = (0, s, -s) if s else (0,)
        padded = functional.pad(v, (s, s, s, s), mode="replicate") if s else v
        height, width = v.shape[2:]
        for down, right in itertools.product(steps, steps):
            image = padded[:, :, s + down : s + down + height, s + right : s + right + width]
            yield image
            if self.mirror:
                yield image.flip(3)


def symmetrise(score: ConvexScore, mirror: bool, shift: int) -> ConvexScore:
    """The average where it is asked for, else the score itself."""
    return SymmetricAverage(score, mirror, shift) if mirror or shift else score
