"""Linear bounds made as good as slopes and multipliers can: gradient ascent, row by row, on the bound itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from asymcert.certify.relu.reach import Falls, Reach
from asymcert.certify.relu.relu_bounds import Enclosure, LinearBound, Network, backward

RATE = 0.25  # of the first step, by coordinate; later ones fall to a tenth
MOMENTS = (0.7, 0.9)
BLOCK_VALUES = 2**23  # coefficients by row and sample of one backward pass


@dataclass(frozen=True, eq=False)
class Bound:
    """The best lower bound found.

    Parameters
    ----------
    value
        (n,), rounded down.
    slopes, multipliers
        (n, m_i) of each hidden layer: the lower lines, and the prices of the splits (nonnegative).
    linear
        The affine function that the bound is of.
    """

    value: Tensor
    slopes: list[Tensor]
    multipliers: list[Tensor]
    linear: LinearBound

    def worst(self, reach: Reach, radius: Tensor) -> Tensor:
        """Changes (n, d) of size `radius` (n,) at which the affine function is least."""
        return Falls(self.linear.coefficients, reach).worst(radius)[:, 0]


def tightened(network: Network, reach: Reach, enclosure: Enclosure, radius: Tensor) -> Enclosure:
    """With the bounds of hidden layers after the first narrowed by linear bounds of default slopes."""
    low, high = list(enclosure.low), list(enclosure.high)
    for layer in range(1, len(low)):
        narrowed = replace(enclosure, low=low, high=high)
        weight, bias = network.layers[layer]
        below, above, start = [], [], 0
        block = max(1, BLOCK_VALUES // (2 * len(radius) * reach.x.shape[1] + 1))
        for rows, offsets in zip(weight.split(block), bias.split(block), strict=True):
            both = torch.cat((rows, -rows)), torch.cat((offsets, -offsets))
            part = _own_errors(narrowed, layer, slice(start, start + len(offsets)))
            linear = backward(network, layer, both, part, part.relaxations())
            least, most = linear.value(network, reach, radius, part).chunk(2, 1)
            start += len(offsets)
            below.append(least)
            above.append(-most)
        low[layer] = torch.maximum(low[layer], torch.cat(below, 1))
        high[layer] = torch.minimum(high[layer], torch.cat(above, 1))
    return replace(enclosure, low=low, high=high)


def _own_errors(enclosure: Enclosure, layer: int, columns: slice) -> Enclosure:
    """With the error box of `layer` cut to the rows that are bounded."""
    errors = list(enclosure.errors)
    errors[layer + 1] = errors[layer + 1][:, columns]
    return replace(enclosure, errors=errors)


def best_bound(
    network: Network,
    reach: Reach,
    radius: Tensor,
    enclosure: Enclosure,
    steps: int,
    slopes: Sequence[Tensor] | None = None,
    signs: Sequence[Tensor] | None = None,
    multipliers: Sequence[Tensor] | None = None,
    caution: Tensor | None = None,
) -> Bound:
    """Lower bound of the margin, after `steps` of gradient ascent by slopes and multipliers.

    Parameters
    ----------
    radius
        (n,), finite.
    enclosure
        At that radius, narrowed by the splits if there are any.
    slopes, multipliers
        (n, m_i) of each hidden layer to start from.
    signs
        (n, m_i) of each hidden layer: +1 where z >= 0 is assumed, -1 for z <= 0, else 0; None for no splits.
    caution
        (n,), factors in (0, 1] of the steps' lengths: smaller where an ascent is continued.
    """
    start = enclosure.default_slopes() if slopes is None else list(slopes)
    prices = [torch.zeros_like(part) for part in start] if multipliers is None else list(multipliers)
    ascent = _Ascent(network, reach, radius, enclosure, signs)
    steps = steps if start else 0  # a network without hidden layers leaves nothing to choose
    last = ascent.run([*start, *prices], steps, torch.ones_like(radius) if caution is None else caution)
    bound = ascent.bound(last)
    if not steps:
        return bound
    other = ascent.bound(ascent.best)
    better = other.value > bound.value
    return _chosen(better, other, bound)


class _Ascent:
    """Gradient ascent on the bound, each sample for itself."""

    def __init__(
        self,
        network: Network,
        reach: Reach,
        radius: Tensor,
        enclosure: Enclosure,
        signs: Sequence[Tensor] | None,
    ):
        self.network, self.reach, self.radius, self.enclosure, self.signs = network, reach, radius, enclosure, signs
        self.best: list[Tensor] = []
        self.greatest = torch.full_like(radius, -torch.inf)

    def run(self, free: list[Tensor], steps: int, caution: Tensor) -> list[Tensor]:
        """Slopes and multipliers after `steps`; `best` holds those of the greatest bound on the way."""
        self.best = free
        first, second = ([torch.zeros_like(part) for part in free] for _ in range(2))
        units = self._units(free)
        for step in range(steps):
            gradients = self._gradients(free)
            rate = RATE * 0.1 ** (step / max(1, steps - 1)) * caution[:, None]
            fresh = []
            for index, (part, gradient) in enumerate(zip(free, gradients, strict=True)):
                gradient = gradient * units[index]
                first[index] = MOMENTS[0] * first[index] + (1.0 - MOMENTS[0]) * gradient
                second[index] = MOMENTS[1] * second[index] + (1.0 - MOMENTS[1]) * gradient**2
                scaled = first[index] / (1.0 - MOMENTS[0] ** (step + 1))
                size = (second[index] / (1.0 - MOMENTS[1] ** (step + 1))).sqrt() + 1e-12
                moved = part + rate * units[index] * scaled / size
                fresh.append(moved.clamp(0.0, 1.0) if index < len(free) // 2 else moved.clamp(min=0.0))
            free = fresh
        return free

    def bound(self, free: list[Tensor]) -> Bound:
        """The bound, rounded down, that slopes and multipliers give."""
        linear = self._linear(free)
        value = linear.value(self.network, self.reach, self.radius, self.enclosure)[:, 0]
        count = len(free) // 2
        return Bound(value, free[:count], free[count:], linear)

    def _linear(self, free: list[Tensor]) -> LinearBound:
        count = len(free) // 2
        relaxations = self.enclosure.relaxations(free[:count])
        signed = None
        if self.signs is not None:
            signed = [-sign * price for sign, price in zip(self.signs, free[count:], strict=True)]
        layers = self.network.layers
        return backward(self.network, len(layers) - 1, layers[-1], self.enclosure, relaxations, signed)

    def _units(self, free: list[Tensor]) -> list[Tensor]:
        """Step lengths: 1 for slopes, the greatest coefficient of its layer for a multiplier; (n, 1) each."""
        sizes = [part[:, 0].abs().amax(1, keepdim=True) for part in reversed(self._linear(free).passed)]
        return [torch.ones_like(size) for size in sizes] + sizes

    def _gradients(self, free: list[Tensor]) -> list[Tensor]:
        """Of the bound without its last rounding; by Danskin's theorem the worst change counts as fixed."""
        with torch.enable_grad():
            leaves = [part.detach().requires_grad_(True) for part in free]
            linear = self._linear(leaves)
            worst = Falls(linear.coefficients.detach(), self.reach).worst(self.radius)
            value = linear.constant[:, 0] + (linear.coefficients * (self.reach.x[:, None] + worst)).sum((1, 2))
            finite = torch.where(value.isfinite(), value, 0.0)
            gradients = torch.autograd.grad(finite.sum(), leaves, allow_unused=True, materialize_grads=True)
        better = value.detach() > self.greatest
        self.best = [torch.where(better[:, None], part, old) for part, old in zip(free, self.best, strict=True)]
        self.greatest = torch.where(better, value.detach(), self.greatest)
        return [gradient.nan_to_num(0.0, 0.0, 0.0) for gradient in gradients]


def _chosen(better: Tensor, first: Bound, second: Bound) -> Bound:
    """`first` where it is better, else `second`."""

    def pick(one: Tensor, other: Tensor) -> Tensor:
        return torch.where(better.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    def both(one: list[Tensor], other: list[Tensor]) -> list[Tensor]:
        return [pick(*parts) for parts in zip(one, other, strict=True)]

    a, b = first.linear, second.linear
    coefficients = pick(a.coefficients, b.coefficients)
    linear = LinearBound(coefficients, pick(a.constant, b.constant), pick(a.size, b.size), both(a.passed, b.passed))
    slopes, multipliers = both(first.slopes, second.slopes), both(first.multipliers, second.multipliers)
    return Bound(pick(first.value, second.value), slopes, multipliers, linear)
