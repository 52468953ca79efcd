"""The midpoint inequality, for any network: fresh, trained or loaded."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def midpoint_excess(score: Callable[[Tensor], Tensor], u: Tensor, v: Tensor) -> Tensor:
    """``g((u + v) / 2) - (g(u) + g(v)) / 2``, less the rounding of three evaluations in float64: (n,).

    A convex function has no positive entry. The allowance is relative to the greatest value met.
    """
    middle, left, right = score((u + v) / 2), score(u), score(v)
    allowance = 1e-11 * torch.stack((middle, left, right)).abs().amax() + 1e-14
    return middle - (left + right) / 2 - allowance


def assert_convex(
    score: Callable[[Tensor], Tensor], shape: tuple[int, ...], generator: torch.Generator, pairs: int = 256
) -> None:
    """Midpoint inequality on pairs of points that lie far apart, near each other, and along one coordinate."""
    base = torch.randn(pairs, *shape, generator=generator).double()
    for scale in (1e-3, 0.1, 1.0, 10.0):
        step = scale * torch.randn(pairs, *shape, generator=generator).double()
        sparse = step * (torch.rand(step.shape, generator=generator) < 0.1)
        for change in (step, sparse):
            excess = midpoint_excess(score, base - change, base + change)
            assert bool((excess <= 0).all()), f"midpoint above the mean by {float(excess.max()):g} at scale {scale:g}"
