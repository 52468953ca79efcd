"""Scalar batch normalisation and how it disappears into the affine layer before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


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


@torch.no_grad()
def fold_affine(source: nn.Module, target: nn.Module, norms: Sequence[nn.Module], index: int) -> Tensor:
    """Copy `source` followed by ``norms[index]`` into the float64 layer `target`; return the scale, shape (1,).

    Both layers are linear or convolutional with a bias; a layer past the last normalisation has none after it.
    """
    assert isinstance(source, nn.Linear | nn.Conv2d)
    assert isinstance(target, nn.Linear | nn.Conv2d)
    scale = torch.ones(1, dtype=torch.float64, device=source.weight.device)
    shift = torch.zeros_like(scale)
    if index < len(norms):
        norm = norms[index]
        assert isinstance(norm, ScalarBatchNorm)
        scale, shift = norm.affine()
    target.weight.copy_(source.weight.double() * scale)
    assert source.bias is not None
    assert target.bias is not None
    target.bias.copy_(source.bias.double() * scale + shift)
    return scale
