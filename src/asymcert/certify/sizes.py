"""Searches for the greatest size of changes that a plane outlasts: each try costs one pass over all coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

CLOSE = 1.0 + 1e-12  # ratio of bounds at which a radius is tight
MET = 1.0 + 1e-9  # ratio at which steps are no longer worth their time, each costing as much as the first


def last_below(excess: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, tries: int) -> Tensor:
    """The greatest size found between `low` and `high` at which the excess, which rises with it, is negative: (n,).

    `low` itself where it is at none. The excess (n,) of sizes (n,) is continuous: its root is bracketed, by Ridders'
    method, Newton's idea on a bracket.

    Source: Ridders, 1979, IEEE Transactions on Circuits and Systems 26.
    """
    below, above = excess(low), excess(high)
    low = torch.where(above < 0, high, low)
    for _ in range(tries):
        if bool((high <= low * CLOSE * CLOSE).all()):
            break
        middle = 0.5 * (low + high)
        between = excess(middle)
        step = (middle - low) * between / torch.sqrt(between**2 - below * above)
        root = torch.where(step.isfinite(), middle - step, middle) / CLOSE
        for size in (middle, root, root * CLOSE * CLOSE):
            inside = (size > low) & (size < high)
            found = between if size is middle else excess(torch.where(inside, size, low))
            under, over = inside & (found < 0), inside & (found >= 0)
            low, below = torch.where(under, size, low), torch.where(under, found, below)
            high, above = torch.where(over, size, high), torch.where(over, found, above)
    return low


class FixedSize:
    """Finds the size R at which the radius up to R, which falls as R grows, is R itself; one for each row.

    Ask for `following` sizes, tell what radii were `found` for them. ``min(R, found)`` is valid for every R, and `low`
    is the greatest so far.
    """

    def __init__(self, low: Tensor):
        self.low, self.high = low, torch.full_like(low, math.inf)
        self._tried, self._found = low, self.high
        self._last = self.high, self.high  # the try before, with a finite answer
        self._step = 0

    def following(self) -> Tensor:
        """Where to look next: (n,).

        In turn by a secant through the last two tries (the answer itself if there was one), just above the lower end,
        which is the solution where the answer jumps, and in the middle.
        """
        step, self._step = self._step, self._step + 1
        if step == 0:
            return self.low
        if step % 3 == 2:
            return self.low * CLOSE
        middle = torch.where(self.high > 4.0 * self.low, 2.0 * self.low, 0.5 * (self.low + self.high))
        if step % 3 == 0:
            return middle
        fall = (self._found - self._last[1]) / (self._tried - self._last[0])
        secant = (self._found - fall * self._tried) / (1.0 - fall)
        for guess in (self._found, secant):
            inside = (guess > self.low) & (guess <= torch.minimum(self.high, 4.0 * self.low))
            middle = torch.where(inside, guess, middle)
        return middle

    def take(self, tried: Tensor, found: Tensor) -> Tensor:
        """Note the radii (n,) found for the sizes tried; says for which rows they are better than all before."""
        finite = self._found.isfinite()
        last = torch.where(finite, self._tried, self._last[0]), torch.where(finite, self._found, self._last[1])
        self._last, self._tried, self._found = last, tried, found
        both = torch.minimum(tried, found)
        better = both > self.low
        self.low = torch.maximum(self.low, both)
        self.high = torch.minimum(self.high, torch.maximum(tried, found))
        return better

    def keep(self, far: float) -> Tensor:
        """Drop rows that are done, or beyond `far`; says which are left, of those that were."""
        left = (self.high > self.low * MET) & (self.low < far)
        self.low, self.high, self._tried, self._found = (
            part[left] for part in (self.low, self.high, self._tried, self._found)
        )
        self._last = self._last[0][left], self._last[1][left]
        return left
