"""Orthogonal networks of convolutions and dense layers, as they are trained.

A circular convolution is a matrix per frequency in the Fourier domain, and orthogonal where all of those are unitary.

Source: Trockman and Kolter, ICLR 2021, sections 3 and 4; MaxMin: Anil, Lucas, Grosse, ICML 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_count, refuse
from asymcert.features.layers import Downsample, MaxMin
from asymcert.features.trained_layers import CayleyLinear, cayley


class Pad(nn.Module):
    """Zeros around an image, `amount` on each side: an isometry onto its image."""

    def __init__(self, amount: int):
        super().__init__()
        self.amount = amount

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h + 2 amount, w + 2 amount)."""
        if not 0 <= self.amount <= 2 * min(x.shape[2:]):
            raise refuse("network", "padded by at most twice the image's side", self.amount)
        return functional.pad(x, 4 * [self.amount])


class CayleyConv(nn.Module):
    """Circular convolution, orthogonal by the Cayley transform at every frequency.

    Parameters
    ----------
    inputs, outputs
        Channels.
    size
        Height and width of its images (h, w): the transform needs them.
    kernel
        Width of the free kernel, odd, cut to what the image holds; the orthogonal one reaches all over the image.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], kernel: int = 3):
        super().__init__()
        check_count("kernel", kernel)
        least = min(size)
        kernel = min(kernel, least - 1 + least % 2)
        self.size, self.kernel = tuple(size), kernel
        bound = 1.0 / math.sqrt(inputs * kernel * kernel)
        self.weight = nn.Parameter((torch.rand(outputs, inputs, kernel, kernel) * 2.0 - 1.0) * bound)
        self.bias = nn.Parameter((torch.rand(outputs) * 2.0 - 1.0) * bound)
        self.scale = nn.Parameter(self._spectrum(self.weight.detach()).norm())

    def _spectrum(self, weight: Tensor) -> Tensor:
        """Matrices (h, w // 2 + 1, outputs, inputs) of the free kernel at each frequency, centred."""
        reach = self.kernel // 2
        placed = weight.new_zeros(*weight.shape[:2], *self.size)
        placed[:, :, : self.kernel, : self.kernel] = weight
        placed = placed.roll((-reach, -reach), (2, 3))
        return torch.fft.rfft2(placed).conj().permute(2, 3, 0, 1)

    def spectrum(self) -> Tensor:
        """The unitary (or semi-unitary) matrices (h, w // 2 + 1, outputs, inputs)."""
        free = self._spectrum(self.weight)
        return cayley(self.scale * free / free.norm())

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, outputs, h, w)."""
        return spectral_convolution(x, self.spectrum()) + self.bias[:, None, None]


class Mix(nn.Module):
    """Residual block ``a * inner(x) + (1 - a) * x`` with a learned a in (0, 1): distances never grow."""

    def __init__(self, inner: nn.Sequential):
        super().__init__()
        self.inner, self.logit = inner, nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        share = self.logit.sigmoid()
        return blended(self.inner(x), x, share, 1.0 - share)


def blended(inner: Tensor, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """``first * inner + second * x`` of two tensors of one shape; broadcasting would make distances grow."""
    if inner.shape != x.shape:
        raise refuse("network", f"blocks that keep the shape {tuple(x.shape[1:])}", tuple(inner.shape[1:]))
    return first * inner + second * x


def spectral_convolution(x: Tensor, spectrum: Tensor) -> Tensor:
    """Apply one matrix per frequency: (n, c, h, w), (h, w // 2 + 1, m, c) -> (n, m, h, w)."""
    height, width = x.shape[2:]
    if tuple(spectrum.shape[:2]) != (height, width // 2 + 1):
        raise refuse(
            "network", f"convolutions for {height} x {width} pixels", f"frequencies {tuple(spectrum.shape[:2])}"
        )
    frequencies = torch.fft.rfft2(x).permute(2, 3, 1, 0)  # (h, w // 2 + 1, c, n)
    return torch.fft.irfft2((spectrum @ frequencies).permute(3, 2, 0, 1), s=x.shape[2:])


def cayley_network(input_shape: tuple[int, ...], widths: Sequence[int] = (200, 50), classes: int = 2) -> nn.Sequential:
    """The published perceptron 200-50 for MNIST, untrained, drawn from torch's global generator."""
    sizes = [torch.Size(input_shape).numel(), *widths]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in zip(sizes, widths, strict=False):
        if after % 2:
            raise refuse("widths", "even, for MaxMin", after)
        layers += [CayleyLinear(before, after), MaxMin()]
    return nn.Sequential(*layers, CayleyLinear(sizes[-1], classes))


def cayley_resnet(input_shape: tuple[int, ...], width: int = 64, classes: int = 2, halvings: int = 0) -> nn.Sequential:
    """The published ResNet-9 shape: eight orthogonal convolutions, two residual blocks, a dense layer.

    Parameters
    ----------
    input_shape
        (C, H, W) with H = W, zero-padded to a multiple of 8 (times 2 for each of `halvings`).
    width
        Channels of the first convolution, even; they double at each of three halvings of the image.
    halvings
        Halvings of the image before the first convolution: a network for a CPU.
    """
    if len(input_shape) != 3 or input_shape[1] != input_shape[2]:
        raise refuse("input_shape", "(C, H, H)", tuple(input_shape), "Use cayley_network.")
    channels, side, _ = input_shape
    whole = 2 ** (3 + halvings)
    missing = -side % whole
    if missing % 2:
        raise refuse("input_shape", "of an even side", side)
    layers: list[nn.Module] = [Pad(missing // 2), *(Downsample() for _ in range(halvings))]
    channels, side = channels * 4**halvings, (side + missing) // 2**halvings
    layers += _convolution(channels, width, side)
    for stage, residual in enumerate((True, False, True), start=1):
        side //= 2
        layers += [Downsample(), *_convolution(4 * width * 2 ** (stage - 1), width * 2**stage, side)]
        if residual:
            outputs = width * 2**stage
            layers.append(
                Mix(nn.Sequential(*_convolution(outputs, outputs, side), *_convolution(outputs, outputs, side)))
            )
    return nn.Sequential(*layers, nn.Flatten(), CayleyLinear(width * 8 * side * side, classes))


def _convolution(inputs: int, outputs: int, side: int) -> list[nn.Module]:
    return [CayleyConv(inputs, outputs, (side, side)), MaxMin()]
