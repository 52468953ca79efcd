"""Layers whose free parameters make 1-Lipschitz weights, as they are trained: orthogonal ones and SLL steps.

The Cayley transform of a skew-symmetric A is ``(I - A)(I + A)^-1``, an orthogonal matrix.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert.features.layers import (
    Dense,
    Downsample,
    Flatten,
    GradientStep,
    Layer,
    MaxMin,
    Pointwise,
    Shape,
    Shift,
    gradient_step,
    linear_shape,
)
from asymcert.features.spectral import overlaps

KERNEL = 3  # width of convolutions
LEAST_SIDE = 4  # of an image that is not halved further
TINY = 1e-12  # keeps quotients differentiable at zero


def cayley(weight: Tensor) -> Tensor:
    """Matrices (..., m, k), real or complex, of orthonormal columns (m >= k) or rows, from free ones of that shape."""
    if weight.shape[-2] < weight.shape[-1]:
        return cayley(weight.mH).mH
    square, rest = weight[..., : weight.shape[-1], :], weight[..., weight.shape[-1] :, :]
    skew = square - square.mH + rest.mH @ rest
    identity = torch.eye(weight.shape[-1], dtype=weight.dtype, device=weight.device)
    inverse = torch.linalg.inv(identity + skew)
    return torch.cat((inverse @ (identity - skew), -2.0 * rest @ inverse), dim=-2)


class CayleyLinear(Layer):
    """Dense layer whose weight has orthonormal rows or columns; `scale` multiplies the free parameter's norm."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(outputs, inputs)))
        self.scale = nn.Parameter(self.weight.detach().norm())
        self.bias = nn.Parameter((torch.rand(outputs) * 2.0 - 1.0) / math.sqrt(inputs))

    def matrix(self) -> Tensor:
        """The orthogonal weight (outputs, inputs)."""
        return cayley(self.scale * self.weight / self.weight.norm())

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) -> (n, outputs)."""
        return functional.linear(x, self.matrix(), self.bias)

    def output_shape(self, shape: Shape) -> Shape:
        """(inputs,) -> (outputs,)."""
        return linear_shape(self.weight, shape, 1)

    def fold(self) -> Dense:
        """With the matrix computed."""
        return Dense(self.matrix(), self.bias)


class CayleyPointwise(CayleyLinear):
    """`CayleyLinear` at every pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, outputs, h, w)."""
        return functional.conv2d(x, self.matrix()[:, :, None, None], self.bias)

    def output_shape(self, shape: Shape) -> Shape:
        """(inputs, h, w) -> (outputs, h, w)."""
        return linear_shape(self.weight, shape, 3)

    def fold(self) -> Pointwise:
        """With the matrix computed."""
        return Pointwise(self.matrix(), self.bias)


class SLLStep(Layer):
    """``x - 2 W T^-1 relu(W^T x + b)``, ``T_ii = sum_j |W^T W|_ij q_j / q_i``, all but T learned; 1-Lipschitz.

    ``relu`` passes positive factors: it is the `GradientStep` of ``A = sqrt(2 / T) W^T``, where ``||A||^2 <= 2``.

    Parameters
    ----------
    inputs, units
        Values, or of images channels, and columns of W.
    kernel
        Width of a convolution, odd; 0 for a matrix.

    Source: Araujo, Havens, Delattre, Allauzen, Hu, ICLR 2023, Theorem 3 and section 4; for convolutions T as in
    Prach and Lampert, ECCV 2022.
    """

    def __init__(self, inputs: int, units: int, kernel: int = 0):
        super().__init__()
        shape = (units, inputs, kernel, kernel) if kernel else (units, inputs)
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(shape)))
        self.balance = nn.Parameter(torch.zeros(units))  # log q
        self.bias = nn.Parameter(torch.zeros(units))

    def scaled(self) -> Tensor:
        """The A of the step, in the shape of the weight."""
        q = self.balance.exp()
        bound = (overlaps(self.weight) * q).sum(1) / q
        scale = torch.sqrt(2.0 / (bound + TINY))
        return self.weight * scale.reshape(-1, *[1] * (self.weight.ndim - 1))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return gradient_step(x, self.scaled(), self.bias)

    def output_shape(self, shape: Shape) -> Shape:
        """Same as the input's."""
        linear_shape(self.weight, shape, self.weight.ndim - 1)
        return shape

    def fold(self) -> GradientStep:
        """With A computed."""
        return GradientStep(self.scaled(), self.bias)

    @property
    def units(self) -> int:
        """Those of the potential."""
        return len(self.weight)


def sll_layers(shape: Shape, width: int, depth: int, convolutional: bool = False) -> list[Layer]:
    """`depth` SLL steps of `width` units, untrained; convolutional ones with halvings of the image between them."""
    if not convolutional:
        inputs = math.prod(shape)
        return [Flatten(), *(SLLStep(inputs, width) for _ in range(depth))]
    layers: list[Layer] = []
    for _ in range(depth):
        layers.append(SLLStep(shape[0], width, KERNEL))
        shape = _halved(layers, shape)
    return [*layers, Flatten()]


def orthogonal_layers(shape: Shape, width: int, depth: int, convolutional: bool = False) -> list[Layer]:
    """`depth` orthogonal layers with MaxMin, untrained: of `width` units, or of channels that double at each halving.

    Convolutional ones are matrices at every pixel and shifts.

    Source: LipNeXt, ICLR 2026, for shifts in place of kernels; MaxMin: Anil, Lucas, Grosse, ICML 2019.
    """
    layers: list[Layer] = [] if convolutional else [Flatten()]
    shape = shape if convolutional else (math.prod(shape),)
    for _ in range(depth):
        if convolutional:
            layers += [CayleyPointwise(shape[0], width), Shift(), MaxMin()]
            shape, before = _halved(layers, (width, *shape[1:])), shape
            width *= 1 if shape[1:] == before[1:] else 2
        else:
            layers += [CayleyLinear(shape[0], width), MaxMin()]
            shape = (width,)
    return [*layers, Flatten()] if convolutional else layers


def _halved(layers: list[Layer], shape: Shape) -> Shape:
    """Add a halving where the image has even sides and is not small: the shape after it."""
    if any(side % 2 or side <= LEAST_SIDE for side in shape[1:]):
        return shape
    layers.append(Downsample())
    return layers[-1].output_shape(shape)
