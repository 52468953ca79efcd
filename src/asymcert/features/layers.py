"""Layers of fixed weights with known l2 Lipschitz constants, which learned maps and orthogonal networks are made of."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import refuse
from asymcert._floats import UP, scaled_norm
from asymcert.features.spectral import spectral_bound, squared_norm_bound

Shape = tuple[int, ...]
LOST = 2.0**-100  # least size of a product, lest underflow cost more than a rounding of it in any type


@dataclass(frozen=True)
class Terms:
    """l2 norm ``gain * ||x|| + shift`` of the absolute terms that a layer computes of x, and roundings on a path."""

    gain: float = 1.0
    shift: float = 0.0
    roundings: int = 0


class Layer(nn.Module, ABC):
    """A layer that multiplies l2 distances by at most a known constant."""

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one sample's output for one of `shape`; an `InputError` for what the layer does not take."""

    def constant(self) -> float:
        """Upper bound of the l2 Lipschitz constant, from the weights in use."""
        return 1.0

    def terms(self, shape: Shape) -> Terms:
        """Absolute terms for a sample of `shape`, products that underflow included; none where nothing is rounded."""
        return Terms()

    def fold(self) -> Layer:
        """The same layer with fixed weights."""
        return self

    @property
    def units(self) -> int:
        """Values that are kept for each pixel or row besides input and output."""
        return 0


class Dense(Layer):
    """``W x + b`` with fixed weights."""

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        check_bias(bias, len(weight))
        self.weight, self.bias = fixed(weight), fixed(bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, k) -> (n, m)."""
        if x.ndim != 2:  # the error analysis counts the bias once
            raise refuse("network", "flat before Dense", f"samples of shape {tuple(x.shape[1:])}", "Add nn.Flatten().")
        return functional.linear(x, self.weight, self.bias)

    def output_shape(self, shape: Shape) -> Shape:
        """(k,) -> (m,)."""
        return linear_shape(self.weight, shape, 1)

    def constant(self) -> float:
        """From the weight's Gram matrix."""
        return spectral_bound(self.weight.double())

    def terms(self, shape: Shape) -> Terms:
        """By the Frobenius norm of the weight."""
        places = math.prod(shape[1:])
        lost = LOST * self.weight.numel() * places
        shift = math.sqrt(places) * norm_above(self.bias) + lost
        return Terms(norm_above(self.weight), shift * UP, self.weight.shape[1] + 2)


class Pointwise(Dense):
    """``W x + b`` at every pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, k, h, w) -> (n, m, h, w)."""
        return functional.conv2d(x, self.weight[:, :, None, None], self.bias)

    def output_shape(self, shape: Shape) -> Shape:
        """(k, h, w) -> (m, h, w)."""
        return linear_shape(self.weight, shape, 3)


class GradientStep(Layer):
    """``x - A^T relu(A x + b)``, a step down the gradient of a convex potential; A a matrix or a convolution.

    It differs at two points by ``(I - A^T D A)(x - y)`` with D diagonal in [0, 1], a symmetric matrix of eigenvalues
    from ``1 - ||A||^2`` to 1: distances grow by at most ``max(1, ||A||^2 - 1)``.

    Parameters
    ----------
    weight
        (units, k) for samples (k,), or (units, c, s, s), s odd, for images (c, h, w), zero-padded.
    bias
        (units,).

    Source: Meunier, Delattre, Araujo, Allauzen, ICML 2022, for ``||A||^2 <= 2``.
    """

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        kernel = tuple(weight.shape[2:])
        if weight.ndim not in (2, 4) or any(side % 2 == 0 or side != kernel[0] for side in kernel):
            raise refuse("weight", "a matrix, or kernels of one odd width", f"shape {tuple(weight.shape)}")
        check_bias(bias, len(weight))
        self.weight, self.bias = fixed(weight), fixed(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return gradient_step(x, self.weight, self.bias)

    def output_shape(self, shape: Shape) -> Shape:
        """Same as the input's."""
        linear_shape(self.weight, shape, self.weight.ndim - 1)
        return shape

    def constant(self) -> float:
        """``max(1, ||A||^2 - 1)``."""
        return max(1.0, (squared_norm_bound(self.weight) - 1.0) * UP)

    def terms(self, shape: Shape) -> Terms:
        """Of ``|x| + |A^T| (|A| |x| + |b|)`` and of the sum in brackets."""
        places, taps = math.prod(shape[1:]), self.weight[0, 0].numel()
        norm = 1.0 + math.sqrt(taps) * norm_above(self.weight)  # |A| is at most the sum of its taps' Frobenius norms
        shift = norm * (math.sqrt(places) * norm_above(self.bias) + LOST * 2.0 * self.weight.numel() * places)
        return Terms(norm * norm * UP, shift * UP, self.weight[0].numel() + len(self.weight) * taps + 8)

    @property
    def units(self) -> int:
        """Those of the potential."""
        return len(self.weight)


class MaxMin(Layer):
    """GroupSort with groups of two: the greater of each pair of channels, then the smaller of each; m even."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, m, ...) -> (n, m, ...)."""
        self.output_shape(tuple(x.shape[1:]))
        first, second = x.chunk(2, dim=1)
        return torch.cat((torch.maximum(first, second), torch.minimum(first, second)), dim=1)

    def output_shape(self, shape: Shape) -> Shape:
        """Same as the input's."""
        if shape[0] % 2:  # halves of unequal size would be broadcast, and distances grow
            raise refuse("network", "of an even number of channels before MaxMin", shape[0])
        return shape


class Shift(Layer):
    """Fifths of the channels move by a pixel up, down, left and right, around the edges, the rest stay: an isometry.

    Between matrices at every pixel it takes the place of larger kernels.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        still, *moved = x.tensor_split(5, dim=1)
        turns = ((1, 2), (-1, 2), (1, 3), (-1, 3))
        return torch.cat((still, *(part.roll(*turn) for part, turn in zip(moved, turns, strict=True))), dim=1)

    def output_shape(self, shape: Shape) -> Shape:
        """Same as the input's."""
        return _image(shape, "Shift")


class Downsample(Layer):
    """Space to depth, an isometry: (n, c, h, w) -> (n, 4 c, h / 2, w / 2), h and w even."""

    def forward(self, x: Tensor) -> Tensor:
        """Move each 2x2 block into channels."""
        return functional.pixel_unshuffle(x, 2)

    def output_shape(self, shape: Shape) -> Shape:
        """(c, h, w) -> (4 c, h / 2, w / 2)."""
        channels, height, width = _image(shape, "Downsample")
        if height % 2 or width % 2:
            raise refuse("network", "of even sides before Downsample", shape)
        return 4 * channels, height // 2, width // 2


class Flatten(Layer):
    """All values of a sample in one row."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) -> (n, k)."""
        return x.flatten(1)

    def output_shape(self, shape: Shape) -> Shape:
        """(k,)."""
        return (math.prod(shape),)


def gradient_step(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x - A^T relu(A x + b)`` for a matrix (units, k) or a kernel (units, c, s, s) and bias (units,)."""
    if weight.ndim == 2:
        return x - torch.relu(functional.linear(x, weight, bias)) @ weight
    reach = weight.shape[2] // 2
    steps = torch.relu(functional.conv2d(x, weight, bias, padding=reach))
    return x - functional.conv_transpose2d(steps, weight, padding=reach)


def linear_shape(weight: Tensor, shape: Shape, sides: int) -> Shape:
    """Shape of the output of a linear layer of `weight` (m, k, ...) on a sample of `shape`, which has so many sides."""
    if len(shape) != sides or shape[0] != weight.shape[1]:
        raise refuse("network", f"given samples of {sides} sides, the first {weight.shape[1]}", shape)
    return (len(weight), *shape[1:])


def _image(shape: Shape, before: str) -> Shape:
    if len(shape) != 3:
        raise refuse("network", f"given images (c, h, w) before {before}", shape)
    return shape


def norm_above(values: Tensor) -> float:
    """Upper bound of a tensor's Frobenius norm."""
    return float(scaled_norm(values.detach().double().abs().flatten()[None], 2.0)) * UP


def check_bias(bias: Tensor, outputs: int) -> None:
    """Refuse a bias of another shape than (outputs,)."""
    if tuple(bias.shape) != (outputs,):
        raise refuse("bias", f"of shape ({outputs},)", tuple(bias.shape))


def fixed(values: Tensor) -> nn.Parameter:
    """A weight in float64 that is not trained."""
    return nn.Parameter(values.detach().double().clone().contiguous(), requires_grad=False)


LAYERS: dict[str, type[Layer]] = {
    kind.__name__: kind for kind in (Dense, Pointwise, GradientStep, MaxMin, Shift, Downsample, Flatten)
}
