"""Input-convex convolutional network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_choice, check_count, refuse
from asymcert.convex.base import ConvexScore, WeightOptions, freeze
from asymcert.convex.fold import ScalarBatchNorm, fold_affine
from asymcert.convex.weights import make_nonnegative

POOLS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class ConvexConvNet(ConvexScore):
    """A free convolution, residual nonnegative convolutions, pooling and a nonnegative readout.

    ``z_1 = relu(K_0 * v + b_0)``, ``z_{l+1} = z_l + relu(K_l * z_l + D_l * v + b_l)``,
    ``g(v) = w . pool(z_L) + d . v + b`` with ``K_l >= 0`` for l >= 1 and ``w >= 0``; D_l and d only with `passthrough`.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one sample's features.
    channels
        Channels of every convolution.
    depth
        Number of convolutions on the main path, the free one included.
    first_kernel, kernel
        Odd widths of the free and of the nonnegative convolutions.
    stride
        Stride of the free convolutions.
    passthrough
        Whether later layers see the input too, through free convolutions like the first.
    input_pool
        Width of average pooling before everything (times the width, which keeps l2 norms of smooth images); it
        spreads gradients over neighbouring pixels.
    pool, pool_size
        Kind (``max`` or ``average``) and width of the final pooling.
    batch_norm
        Whether a scalar batch normalisation precedes each ReLU.
    weights
        Initialisation and upkeep of the nonnegative weights.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, appendix on architectures, for the network without
    passthrough and input pooling.
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
        input_pool: int = 1,
        pool: str = "max",
        pool_size: int = 1,
        batch_norm: bool = False,
        weights: WeightOptions | None = None,
    ):
        super().__init__()
        _check_geometry(input_shape, first_kernel, kernel)
        counts = {"channels": channels, "depth": depth, "stride": stride, "input_pool": input_pool}
        for name, value in {**counts, "pool_size": pool_size}.items():
            check_count(name, value)
        check_choice("pool", pool, tuple(POOLS))
        self.input_shape, self.channels, self.depth = tuple(input_shape), channels, depth
        self.first_kernel, self.kernel, self.stride, self.passthrough = first_kernel, kernel, stride, passthrough
        self.input_pool, self.pool_kind, self.pool_size, self.batch_norm = input_pool, pool, pool_size, batch_norm
        self.weights = weights or WeightOptions()
        self.first = self._free_convolution(bias=True)
        self.hidden = nn.ModuleList(nn.Conv2d(channels, channels, kernel, 1, kernel // 2) for _ in range(depth - 1))
        self.direct = nn.ModuleList(self._free_convolution(bias=False) for _ in range(depth - 1) if passthrough)
        self.norms = nn.ModuleList(ScalarBatchNorm() for _ in range(depth) if batch_norm)
        self.pool = POOLS[pool](pool_size)
        inputs, pooled = self._sizes()
        self.readout = nn.Linear(pooled, 1)
        if passthrough:
            self.direct.append(nn.Linear(inputs, 1, bias=False))
        for layer in self._constrained():
            make_nonnegative(layer, self.weights)

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, h, w) -> (n,)."""
        v = self._pool_input(features)
        z = torch.relu(self._normalise(0, self.first(v)))  # (n, channels, h / stride, w / stride)
        for index, layer in enumerate(self.hidden):
            s = layer(z) + self.direct[index](v) if self.passthrough else layer(z)
            z = z + torch.relu(self._normalise(index + 1, s))
        score = self.readout(self.pool(z).flatten(1))
        if self.passthrough:
            score = score + self.direct[-1](v.flatten(1))
        return score.squeeze(1)

    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        """Every weight on the main path after the first convolution, and the scales of batch normalisation."""
        for index, layer in enumerate(self._constrained()):
            name = f"hidden.{index}.weight" if index < self.depth - 1 else "readout.weight"
            yield name, layer.weight
        for index, norm in enumerate(self.norms):
            assert isinstance(norm, ScalarBatchNorm)
            yield f"norms.{index}.scale", norm.scale

    @property
    def activations(self) -> int:
        """Inputs and three values a unit of each convolution."""
        height, width = (-(-(side // self.input_pool) // self.stride) for side in self.input_shape[1:])
        return math.prod(self.input_shape) + 3 * self.depth * self.channels * height * width

    @property
    def operations(self) -> int:
        """Those of the layers, and the input's pooling."""
        return super().operations + self.input_pool**2 + 1

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
            "input_pool": self.input_pool,
            "pool": self.pool_kind,
            "pool_size": self.pool_size,
            "batch_norm": self.batch_norm,
        }

    @torch.no_grad()
    def fold(self) -> Self:
        """Same function without batch normalisation or parametrisation, in float64, frozen."""
        folded = self.blank({**self.options(), "batch_norm": False}).to(self.first.weight.device).double()
        layers = zip([self.first, *self._constrained()], [folded.first, *folded._constrained()], strict=True)
        for index, (source, target) in enumerate(layers):
            scale = fold_affine(source, target, list(self.norms), index)
            if index > 0 and self.passthrough:
                direct, folded_direct = self.direct[index - 1], folded.direct[index - 1]
                folded_direct.weight.copy_(direct.weight.double() * scale)  # pyright: ignore
        freeze(folded)
        return folded

    def _free_convolution(self, bias: bool) -> nn.Conv2d:
        width = self.first_kernel
        return nn.Conv2d(self.input_shape[0], self.channels, width, self.stride, width // 2, bias=bias)

    def _constrained(self) -> list[nn.Conv2d | nn.Linear]:
        return [*self.hidden, self.readout]  # pyright: ignore[reportReturnType]

    def _pool_input(self, features: Tensor) -> Tensor:
        if self.input_pool == 1:
            return features
        return functional.avg_pool2d(features, self.input_pool) * self.input_pool

    def _normalise(self, index: int, s: Tensor) -> Tensor:
        return self.norms[index](s) if self.batch_norm else s

    @torch.no_grad()
    def _sizes(self) -> tuple[int, int]:
        """Number of values after the input's pooling and after the final one."""
        v = self._pool_input(torch.zeros(1, *self.input_shape))
        return v.numel(), self.pool(self.first(v)).numel()


def _check_geometry(input_shape: Sequence[int], first_kernel: int, kernel: int) -> None:
    if len(input_shape) != 3:
        remedy = "Use ConvexMLP for features that are not images."
        raise refuse("input_shape", "(channels, height, width)", tuple(input_shape), remedy)
    for name, width in {"first_kernel": first_kernel, "kernel": kernel}.items():
        check_count(name, width)
        if width % 2 == 0:
            raise refuse(name, "odd, so that padding keeps the image's size", width)
