"""Input-convex convolutional network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from asymcert._checks import check_choice, check_count, refuse
from asymcert.convex.base import ConvexScore, WeightOptions, freeze
from asymcert.convex.fold import fold_affine, normalisations, trained_scales
from asymcert.convex.weights import make_nonnegative

POOLS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class ConvexConvNet(ConvexScore):
    """A free convolution, residual nonnegative convolutions, pooling and a nonnegative readout.

    ``u = K_0 * v + b_0``, ``z_1 = relu(u)``, ``z_{l+1} = z_l + relu(K_l * z_l + P_l u + b_l)``,
    ``g(v) = w . pool(z_L) + b`` with ``K_l >= 0`` for l >= 1 and ``w >= 0``; P_l only with `passthrough`.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one sample's features.
    channels
        Channels of every convolution.
    depth
        Number of convolutions on the main path, the free one included.
    first_kernel
        Width of the free convolution, padded by half of it.
    kernel
        Odd width of the nonnegative convolutions.
    stride
        Stride of the free convolution.
    passthrough
        Whether later layers see u, which is affine in the input, through free convolutions of width 1.
    pool, pool_size
        Kind (``max`` or ``average``) and width of the final pooling.
    batch_norm
        Whether a scalar batch normalisation precedes each ReLU.
    weights
        Initialisation and upkeep of the nonnegative weights.
    monotone
        Whether the second half of the channels enters with nonnegative weights only: behind the centre-and-absolute map
        the score is then convex in the input itself, and exact certificates apply.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, appendix on architectures, for the network without
    passthrough.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        channels: int = 16,
        depth: int = 5,
        first_kernel: int = 11,
        kernel: int = 3,
        stride: int = 1,
        passthrough: bool = False,
        pool: str = "max",
        pool_size: int = 1,
        batch_norm: bool = False,
        weights: WeightOptions | None = None,
        monotone: bool = False,
    ):
        super().__init__()
        self.input_shape, self.channels, self.depth = tuple(input_shape), channels, depth
        self.first_kernel, self.kernel, self.stride, self.passthrough = first_kernel, kernel, stride, passthrough
        self.pool_kind, self.pool_size, self.batch_norm = pool, pool_size, batch_norm
        self._check()
        self.weights, self.monotone = weights or WeightOptions(), monotone
        self.first = nn.Conv2d(self.input_shape[0], channels, first_kernel, stride, first_kernel // 2)
        later = range(depth - 1)
        self.hidden = nn.ModuleList(nn.Conv2d(channels, channels, kernel, 1, kernel // 2) for _ in later)
        self.direct = nn.ModuleList(nn.Conv2d(channels, channels, 1, bias=False) for _ in later if passthrough)
        self.norms = normalisations([channels] * depth, batch_norm, self.weights.initialisation == "standardised")
        self.pool = POOLS[pool](pool_size)
        self.readout = nn.Linear(channels * math.prod(side // pool_size for side in self._sides()), 1)
        for layer in self.layers[1:]:
            make_nonnegative(layer, self.weights, readout=layer is self.readout)
        self.project_()

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, h, w) -> (n,)."""
        u = self._normalise(0, self.first(features))  # (n, channels, about h / stride, about w / stride)
        z = torch.relu(u)
        for index, layer in enumerate(self.hidden):
            s = layer(z) + self.direct[index](u) if self.passthrough else layer(z)
            z = z + torch.relu(self._normalise(index + 1, s))
        return self.readout(self.pool(z).flatten(1)).squeeze(1)

    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        """Weights on the main path after the first convolution, scales of normalisation, those of monotone features."""
        for index, layer in enumerate(self.hidden):
            assert isinstance(layer, nn.Conv2d)
            yield f"hidden.{index}.weight", layer.weight
        yield "readout.weight", self.readout.weight
        yield from trained_scales(self.norms)
        if self.monotone:
            yield "first.weight on the second half", self.first.weight[:, self.input_shape[0] // 2 :]
            yield from ((f"direct.{index}.weight", part.weight) for index, part in enumerate(self.direct))  # pyright: ignore

    @property
    def layers(self) -> list[nn.Conv2d | nn.Linear]:
        """Affine layers of the main path; the last one makes the score."""
        return [self.first, *self.hidden, self.readout]  # pyright: ignore[reportReturnType]

    @property
    def activations(self) -> int:
        """Inputs, three values a unit of each convolution, and the patches that the largest one unfolds at a time."""
        places, later = math.prod(self._sides()), self.channels * self.kernel**2 * (self.depth > 1)
        patches = places * max(self.input_shape[0] * self.first_kernel**2, later)
        return math.prod(self.input_shape) + 3 * self.depth * self.channels * places + patches

    def options(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "input_shape": list(self.input_shape),
            "channels": self.channels,
            "depth": self.depth,
            "first_kernel": self.first_kernel,
            "kernel": self.kernel,
            "stride": self.stride,
            "passthrough": self.passthrough,
            "pool": self.pool_kind,
            "pool_size": self.pool_size,
            "batch_norm": self.batch_norm,
            "monotone": self.monotone,
        }

    @torch.no_grad()
    def fold(self) -> Self:
        """Same function without normalisation or parametrisation, in float64, frozen."""
        folded = self.blank({**self.options(), "batch_norm": False}).to(self.first.weight.device).double()
        for index, (source, target) in enumerate(zip(self.layers, folded.layers, strict=True)):
            scale = fold_affine(source, target, list(self.norms), index)
            if 0 < index < self.depth and self.passthrough:
                direct, folded_direct = self.direct[index - 1], folded.direct[index - 1]
                folded_direct.weight.copy_(direct.weight.double() * scale)  # pyright: ignore
        freeze(folded)
        return folded

    def _normalise(self, index: int, s: Tensor) -> Tensor:
        return self.norms[index](s) if self.norms else s

    def _sides(self) -> list[int]:
        """Height and width after the free convolution."""
        even = 1 - self.first_kernel % 2  # an even width, padded by half of it, fits once more
        return [(side - 1 + even) // self.stride + 1 for side in self.input_shape[1:]]

    def _check(self) -> None:
        if len(self.input_shape) != 3:
            remedy = "Use ConvexMLP for features that are not images."
            raise refuse("input_shape", "(channels, height, width)", self.input_shape, remedy)
        for name in ("channels", "depth", "first_kernel", "kernel", "stride", "pool_size"):
            check_count(name, getattr(self, name))
        if self.kernel % 2 == 0:
            raise refuse("kernel", "odd, so that padding keeps the image's size", self.kernel)
        check_choice("pool", self.pool_kind, tuple(POOLS))
        side = min(self._sides())
        if self.pool_size > side:
            raise refuse("pool_size", f"at most {side}, the image's side after the stride", self.pool_size)
