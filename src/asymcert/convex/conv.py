"""Input-convex convolutional network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from asymcert._checks import check_choice, check_count, refuse
from asymcert.convex.base import ConvexScore, WeightOptions, freeze
from asymcert.convex.fold import ScalarBatchNorm, fold_affine
from asymcert.convex.weights import make_nonnegative

POOLS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class ConvexConvNet(ConvexScore):
    """A free convolution, residual nonnegative convolutions, pooling and a nonnegative readout.

    ``z_1 = relu(K_0 * v + b_0)``, ``z_{l+1} = z_l + relu(K_l * z_l + b_l)``, ``g(v) = w . pool(z_L) + b`` with
    ``K_l >= 0`` for l >= 1 and ``w >= 0``.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one sample's features.
    channels
        Channels of every convolution.
    depth
        Number of convolutions, the free one included.
    first_kernel, kernel
        Odd widths of the free and of the nonnegative convolutions.
    stride
        Stride of the free convolution.
    pool, pool_size
        Kind (``max`` or ``average``) and width of the final pooling.
    batch_norm
        Whether a scalar batch normalisation precedes each ReLU.
    weights
        Initialisation and upkeep of the nonnegative weights.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, appendix on architectures.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        channels: int = 16,
        depth: int = 5,
        first_kernel: int = 11,
        kernel: int = 3,
        stride: int = 1,
        pool: str = "max",
        pool_size: int = 1,
        batch_norm: bool = False,
        weights: WeightOptions | None = None,
    ):
        super().__init__()
        _check_geometry(input_shape, first_kernel, kernel)
        for name, value in {"channels": channels, "depth": depth, "stride": stride, "pool_size": pool_size}.items():
            check_count(name, value)
        check_choice("pool", pool, tuple(POOLS))
        self.input_shape, self.channels, self.depth = tuple(input_shape), channels, depth
        self.first_kernel, self.kernel, self.stride = first_kernel, kernel, stride
        self.pool_kind, self.pool_size, self.batch_norm = pool, pool_size, batch_norm
        self.weights = weights or WeightOptions()
        self.first = nn.Conv2d(input_shape[0], channels, first_kernel, stride, first_kernel // 2)
        self.hidden = nn.ModuleList(nn.Conv2d(channels, channels, kernel, 1, kernel // 2) for _ in range(depth - 1))
        self.norms = nn.ModuleList(ScalarBatchNorm() for _ in range(depth) if batch_norm)
        self.pool = POOLS[pool](pool_size)
        self.readout = nn.Linear(self._pooled_size(), 1)
        for layer in self._constrained():
            make_nonnegative(layer, self.weights)

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, h, w) -> (n,)."""
        z = torch.relu(self._normalise(0, self.first(features)))  # (n, channels, h / stride, w / stride)
        for index, layer in enumerate(self.hidden, start=1):
            z = z + torch.relu(self._normalise(index, layer(z)))
        return self.readout(self.pool(z).flatten(1)).squeeze(1)

    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        """Every weight after the first convolution, and the scales of batch normalisation."""
        for index, layer in enumerate(self._constrained()):
            name = f"hidden.{index}.weight" if index < self.depth - 1 else "readout.weight"
            yield name, layer.weight
        for index, norm in enumerate(self.norms):
            assert isinstance(norm, ScalarBatchNorm)
            yield f"norms.{index}.scale", norm.scale

    @property
    def activations(self) -> int:
        """Inputs and three values a unit of each convolution."""
        height, width = (-(-side // self.stride) for side in self.input_shape[1:])
        return math.prod(self.input_shape) + 3 * self.depth * self.channels * height * width

    def options(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "input_shape": list(self.input_shape),
            "channels": self.channels,
            "depth": self.depth,
            "first_kernel": self.first_kernel,
            "kernel": self.kernel,
            "stride": self.stride,
            "pool": self.pool_kind,
            "pool_size": self.pool_size,
            "batch_norm": self.batch_norm,
        }

    @torch.no_grad()
    def fold(self) -> Self:
        """Same function without batch normalisation or parametrisation, in float64, frozen."""
        folded = type(self)(**{**self.options(), "batch_norm": False}).to(self.first.weight.device).double()
        sources, targets = [self.first, *self._constrained()], [folded.first, *folded._constrained()]
        for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
            fold_affine(source, target, list(self.norms), index)
        freeze(folded)
        return folded

    def _constrained(self) -> list[nn.Conv2d | nn.Linear]:
        return [*self.hidden, self.readout]  # pyright: ignore[reportReturnType]

    def _normalise(self, index: int, s: Tensor) -> Tensor:
        return self.norms[index](s) if self.batch_norm else s

    def _pooled_size(self) -> int:
        with torch.no_grad():
            return self.pool(self.first(torch.zeros(1, *self.input_shape))).numel()


def _check_geometry(input_shape: Sequence[int], first_kernel: int, kernel: int) -> None:
    if len(input_shape) != 3:
        remedy = "Use ConvexMLP for features that are not images."
        raise refuse("input_shape", "(channels, height, width)", tuple(input_shape), remedy)
    for name, width in {"first_kernel": first_kernel, "kernel": kernel}.items():
        check_count(name, width)
        if width % 2 == 0:
            raise refuse(name, "odd, so that padding keeps the image's size", width)
