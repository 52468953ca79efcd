"""The largest radius that a test accepts."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

DOUBLINGS = 12


def farthest(low: Tensor, certified: Callable[[Tensor], Tensor], steps: int) -> Tensor:
    """Radii (n,) that are certified, at least `low`, which is: by doubling, then `steps` halvings of what is between.

    `certified` says of radii (n,) whether each holds, bool (n,). Where even infinity does, that is it; 0 stays 0.
    """
    everywhere = (low > 0) & certified(torch.full_like(low, math.inf))
    high = 2.0 * low
    for _ in range(DOUBLINGS):
        held = certified(high) & (low > 0) & ~everywhere
        if not bool(held.any()):
            break
        low, high = torch.where(held, high, low), torch.where(held, 2.0 * high, high)
    for _ in range(steps):
        middle = (low + high) / 2
        held = certified(middle)
        low, high = torch.where(held, middle, low), torch.where(held, high, middle)
    return torch.where(everywhere, math.inf, low)
