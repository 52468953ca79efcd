"""Enclosures of what a deployed ReLU network computes: interval bounds, and linear bounds carried backward.

Every affine layer of the deployed network computes ``W h + b + e`` with a rounding error e that its terms bound. The
bounds here treat e as one more thing that the adversary may choose, within a box, and widen that box by what their own
arithmetic loses: coefficients that are carried backward count as exact at each layer, and what their rounding changes
is at most a relative error of the sum of absolute terms at that layer.

Source: Gowal et al., 2018 (interval bounds); Zhang, Weng, Chen, Hsieh, Daniel, NeurIPS 2018, Theorem 3.2 (linear
bounds); Xu et al., ICLR 2021 (optimised slopes); Wang et al., NeurIPS 2021, Theorem 3.1 (multipliers of splits).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from asymcert._floats import TINY, UNIT, UP, up
from asymcert.certify.relu.reach import Falls, Reach
from asymcert.certify.rounding import ARITHMETIC
from asymcert.models.relu import ReluClassifier


@dataclass(frozen=True, eq=False)
class Network:
    """A ReLU network in float64, and the arithmetic that it is deployed in.

    Parameters
    ----------
    layers
        Weight and bias of each affine layer; the last bias has the threshold subtracted.
    threshold
        Its size counts in the last layer's rounding.
    unit
        Sum of the unit roundoffs of the deployed type and of float64; 0 to ignore all rounding.
    least, greatest
        Smallest normal number and largest number of the deployed type.
    """

    layers: Sequence[tuple[Tensor, Tensor]]
    threshold: float
    unit: float
    least: float
    greatest: float

    @classmethod
    def of(cls, model: ReluClassifier, sound: bool) -> Network:
        """The network of a classifier that is deployed, if `sound`, in float32 or float64."""
        exact = model if model.dtype == torch.float64 else copy.deepcopy(model).double()
        layers = [(weight.detach(), bias.detach()) for weight, bias in exact.layers]
        layers[-1] = (layers[-1][0], layers[-1][1] - model.threshold)
        if not sound:
            return cls(layers, abs(model.threshold), 0.0, 0.0, torch.finfo(model.dtype).max)
        kind = ARITHMETIC[model.dtype]
        return cls(layers, abs(model.threshold), kind.unit + UNIT, torch.finfo(model.dtype).tiny, kind.greatest)

    def conversion(self, size: Tensor) -> Tensor:
        """Box (n, d) of what converting inputs of size at most `size` (n, d) to the deployed type changes."""
        error = self.unit * UP * size + self.least
        return torch.where(size < self.greatest / 8, error, math.inf) if self.unit else error

    def errors(self, index: int, size: Tensor) -> Tensor:
        """Box (n, m) of the rounding errors of layer `index` at inputs of size at most `size` (n, k)."""
        if not self.unit:
            return size.new_zeros(len(size), len(self.layers[index][1]))
        weight, bias = self.layers[index]
        last = 2.0 * self.threshold if index == len(self.layers) - 1 else 0.0
        terms = size @ weight.abs().t() + bias.abs() + last
        error = 4.0 * self._gamma(weight.shape[1]) * terms + self.least * (weight.shape[1] + 4)
        return torch.where(terms < self.greatest / 8, error * UP, math.inf)

    def _gamma(self, terms: int) -> float:
        """Relative error of a sum after so many roundings, and some more."""
        total = (terms + 16) * self.unit
        return total / (1.0 - total) if total < 0.5 else math.inf


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Lines between which a ReLU lies: ``slope_low * z <= relu(z) <= slope_high * z + offset``, (n, m) each."""

    slope_low: Tensor
    slope_high: Tensor
    offset: Tensor


@dataclass(frozen=True, eq=False)
class Enclosure:
    """What each layer's values can come to within a radius.

    Parameters
    ----------
    low, high
        Bounds (n, m_i) of the numbers that hidden layer i computes before its ReLU.
    errors
        Boxes (n, m_i) of the rounding errors of all layers; the first is of the input's conversion.
    margin
        (n,), lower bound of the margin by intervals.
    """

    low: list[Tensor]
    high: list[Tensor]
    errors: list[Tensor]
    margin: Tensor

    def rows(self, index: Tensor) -> Enclosure:
        """The same of some samples, by a mask or positions, repeated or not."""
        low, high, errors = ([part[index] for part in parts] for parts in (self.low, self.high, self.errors))
        return Enclosure(low, high, errors, self.margin[index])

    def narrowed(self, signs: Sequence[Tensor]) -> Enclosure:
        """With the ReLUs split: `signs` (n, m_i) of each hidden layer is +1 for z >= 0, -1 for z <= 0, else 0."""
        low = [torch.where(sign > 0, low.clamp(min=0.0), low) for sign, low in zip(signs, self.low, strict=True)]
        high = [torch.where(sign < 0, high.clamp(max=0.0), high) for sign, high in zip(signs, self.high, strict=True)]
        return replace(self, low=low, high=high)

    @property
    def unstable(self) -> list[Tensor]:
        """Bool (n, m_i) of each hidden layer: whether the ReLU can be on either side of its kink."""
        return [(low < 0) & (high > 0) for low, high in zip(self.low, self.high, strict=True)]

    def relaxations(self, slopes: Sequence[Tensor] | None = None) -> list[Relaxation]:
        """Relaxations of all hidden layers; `slopes` (n, m_i) in [0, 1] are the lower lines of unstable ReLUs."""
        chosen = slopes if slopes is not None else self.default_slopes()
        return [relax(*parts) for parts in zip(self.low, self.high, chosen, strict=True)]

    def default_slopes(self) -> list[Tensor]:
        """The lower lines that leave the least area: 1 where a ReLU is more often on than off."""
        return [(high > -low).to(high) for low, high in zip(self.low, self.high, strict=True)]


def relax(low: Tensor, high: Tensor, slope: Tensor) -> Relaxation:
    """Lines around ReLUs on [low, high], with `slope` in [0, 1] below the unstable ones."""
    off, on = high <= 0, low >= 0
    steep = torch.where(off, 0.0, torch.where(on, 1.0, (high / (high - low)).clamp(0.0, 1.0)))
    offset = torch.maximum(-steep * low, (1.0 - steep) * high) * up(8) + TINY  # convex: the ends decide
    stable = off | on
    return Relaxation(torch.where(stable, steep, slope), steep, torch.where(stable, 0.0, offset))


class FirstLayer:
    """Falls and rises of the first layer's values by the adversary's changes, prepared for any radius."""

    def __init__(self, network: Network, reach: Reach):
        weight = network.layers[0][0]
        self.falls = Falls(torch.cat((weight, -weight))[None], reach)

    def at(self, radius: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds (n, m) on the fall and on the rise of each value by changes of size at most `radius` (n,)."""
        fall, rise = self.falls.at(radius).chunk(2, 1)
        return fall, rise


def intervals(network: Network, reach: Reach, first: FirstLayer, radius: Tensor) -> Enclosure:
    """Interval bounds of all layers; the first layer's are exact for the threat model but for rounding."""
    size = reach.largest(radius)
    conversion = network.conversion(size)
    weight, bias = network.layers[0]
    errors, lows, highs = [conversion], [], []
    error = network.errors(0, size + conversion)
    spread = conversion @ weight.abs().t() + error
    fall, rise = first.at(radius)
    middle = reach.x @ weight.t() + bias
    low, high = middle - fall - spread, middle + rise + spread
    errors.append(error)
    for index, (weight, bias) in enumerate(network.layers[1:], start=1):
        lows.append(low)
        highs.append(high)
        below, above = low.clamp(min=0.0), high.clamp(min=0.0)
        error = network.errors(index, above)
        middle, half = (above + below) / 2 @ weight.t() + bias, (above - below) / 2 @ weight.abs().t() + error
        low, high = middle - half, middle + half
        errors.append(error)
    return Enclosure(lows, highs, errors, low[:, 0].nan_to_num(-math.inf, -math.inf, -math.inf))


@dataclass(frozen=True, eq=False)
class LinearBound:
    """Affine lower bounds of the values of a layer, by the input: ``coefficients . (x + change) + constant``.

    Parameters
    ----------
    coefficients
        (n, k, d).
    constant
        (n, k), all errors but those of `value` subtracted.
    size
        (n, k), sum of the absolute terms so far.
    passed
        Coefficients (n, k, m_i) of each hidden layer's values after the ReLU, last layer first.
    """

    coefficients: Tensor
    constant: Tensor
    size: Tensor
    passed: list[Tensor]

    def value(self, network: Network, reach: Reach, radius: Tensor, enclosure: Enclosure) -> Tensor:
        """Lower bound (n, k) over all changes of size at most `radius` (n,), rounded down."""
        most = reach.largest(radius) + enclosure.errors[0]
        fall = Falls(self.coefficients, reach).at(radius)
        absolute = self.coefficients.abs()
        size = self.size + (absolute @ most[:, :, None])[:, :, 0]
        at_input = (self.coefficients @ reach.x[:, :, None])[:, :, 0]
        conversion = (absolute @ enclosure.errors[0][:, :, None])[:, :, 0]
        operations = sum(len(bias) for _, bias in network.layers) + reach.x.shape[1]
        slack = 4.0 * (operations + 32) * UNIT * size if network.unit else 0.0
        return (self.constant + at_input - conversion - fall - slack).nan_to_num(-math.inf, -math.inf, -math.inf)


def backward(
    network: Network,
    layer: int,
    rows: tuple[Tensor, Tensor],
    enclosure: Enclosure,
    relaxations: Sequence[Relaxation],
    multipliers: Sequence[Tensor] | None = None,
) -> LinearBound:
    """Carry rows of affine layer `layer` back to the input.

    Parameters
    ----------
    layer
        Position of the affine layer whose values are bounded.
    rows
        Weight (k, m) and bias (k,): of the layer, or its negative for upper bounds.
    enclosure, relaxations
        Of the hidden layers below.
    multipliers
        (n, m_i) of each hidden layer, for splits: nonnegative where z <= 0 holds, nonpositive where z >= 0 does.
    """
    weight, bias = rows
    n, k = len(enclosure.margin), len(bias)
    passed = weight.expand(n, k, -1)
    # a row or its negative rounds by the same bound: the layer's own error box
    own = enclosure.errors[layer + 1]
    constant = bias.expand(n, k) - (own if k == own.shape[1] else own.repeat(1, k // own.shape[1]))
    size, carried = bias.abs().expand(n, k), [passed]
    for index in range(layer - 1, -1, -1):
        weight, bias = network.layers[index]
        relaxed = relaxations[index]
        offset = (passed.clamp(max=0.0) @ relaxed.offset[:, :, None])[:, :, 0]
        before = passed * torch.where(passed >= 0, relaxed.slope_low[:, None], relaxed.slope_high[:, None])
        absolute = before.abs()
        if multipliers is not None:
            before, absolute = before + multipliers[index][:, None], absolute + multipliers[index].abs()[:, None]
        error = (absolute @ enclosure.errors[index + 1][:, :, None])[:, :, 0]
        constant = constant + offset + before @ bias - error
        size = size - offset + error + absolute @ bias.abs()
        passed = before @ weight
        carried.append(passed)
    return LinearBound(passed, constant, size, carried[:-1])
