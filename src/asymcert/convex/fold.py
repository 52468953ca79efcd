"""Normalisations of pre-activations, and how they disappear into the affine layer before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

EPSILON = 1e-5  # added to variances, as batch normalisation does


class ScalarBatchNorm(nn.Module):
    """Batch normalisation with one mean, deviation, scale and shift for a whole layer.

    One scale for all units keeps the relative size of the units' gradients; the scale must be >= 0 for the
    network to stay convex.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)

    def forward(self, values: Tensor) -> Tensor:
        """(n, ...) -> (n, ...)."""
        return self.norm(values.flatten(1).unsqueeze(1)).view_as(values)

    @property
    def scale(self) -> Tensor:
        """The trained scale, shape (1,): nonnegative in a convex network."""
        return self.norm.weight

    def affine(self) -> tuple[Tensor, Tensor]:
        """Float64 (a, b), each (1,), with ``batchnorm(s) = a * s + b`` in evaluation mode."""
        assert self.norm.running_var is not None
        assert self.norm.running_mean is not None
        deviation = torch.sqrt(self.norm.running_var.double() + self.norm.eps)
        a = self.norm.weight.detach().double() / deviation
        return a, self.norm.bias.detach().double() - a * self.norm.running_mean.double()


class Standardisation(nn.Module):
    """``(s - mean) / deviation`` by unit or channel, with constants measured on the first batch seen in training.

    Later batches do not move them: samples stay independent of each other, and training meets the function that is
    deployed. One pass over a network measures layer after layer.

    Source: Kingma and Dhariwal, NeurIPS 2018, section 3.1, without the trained scale and shift.
    """

    mean: Tensor
    deviation: Tensor
    measured: Tensor

    def __init__(self, units: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(units))
        self.register_buffer("deviation", torch.ones(units))
        self.register_buffer("measured", torch.tensor(0))

    def forward(self, values: Tensor) -> Tensor:
        """(n, units, ...) -> (n, units, ...)."""
        if self.training and not self.measured:
            self._measure(values)
        shape = (-1, *[1] * (values.ndim - 2))
        return (values - self.mean.view(shape)) / self.deviation.view(shape)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Float64 (a, b), each (units,), with ``standardised(s) = a * s + b``."""
        a = 1.0 / self.deviation.double()
        return a, -a * self.mean.double()

    @torch.no_grad()
    def _measure(self, values: Tensor) -> None:
        variance, mean = torch.var_mean(values, [0, *range(2, values.ndim)], correction=0)
        self.mean.copy_(mean)
        self.deviation.copy_(torch.sqrt(variance + EPSILON))
        self.measured.fill_(1)


def normalisations(units: Sequence[int], batch_norm: bool, standardised: bool) -> nn.ModuleList:
    """What precedes the ReLUs of layers with so many units or channels; nothing if neither is asked for."""
    if batch_norm:
        return nn.ModuleList(ScalarBatchNorm() for _ in units)
    return nn.ModuleList(Standardisation(count) for count in units if standardised)


def trained_scales(norms: nn.ModuleList) -> Iterator[tuple[str, Tensor]]:
    """Name and value of every scale that training could make negative."""
    for index, norm in enumerate(norms):
        if isinstance(norm, ScalarBatchNorm):
            yield f"norms.{index}.scale", norm.scale


@torch.no_grad()
def fold_affine(source: nn.Module, target: nn.Module, norms: Sequence[nn.Module], index: int) -> Tensor:
    """Copy `source` followed by ``norms[index]`` into the float64 layer `target`.

    Both layers are linear or convolutional with a bias; a layer past the last normalisation has none after it.

    Returns
    -------
    Tensor
        The normalisation's scale, shaped to multiply such a layer's weight.
    """
    assert isinstance(source, nn.Linear | nn.Conv2d)
    assert isinstance(target, nn.Linear | nn.Conv2d)
    assert source.bias is not None
    assert target.bias is not None
    scale = torch.ones(1, dtype=torch.float64, device=source.weight.device)
    shift = torch.zeros_like(scale)
    if index < len(norms):
        norm = norms[index]
        assert isinstance(norm, ScalarBatchNorm | Standardisation)
        scale, shift = norm.affine()
    target.bias.copy_(source.bias.double() * scale + shift)
    scale = scale.view(-1, *[1] * (source.weight.ndim - 1))
    target.weight.copy_(source.weight.double() * scale)
    return scale
