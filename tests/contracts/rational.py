"""Small perceptrons behind any coordinatewise map, and their tangent planes, in exact rational arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from torch import Tensor, nn

from asymcert.convex import ConvexMLP
from asymcert.features import (
    Centre,
    CentreAbsolute,
    Chain,
    FeatureMap,
    Haar,
    Hinges,
    Identity,
    LayeredMap,
    LowPass,
    Ramps,
    SoftThreshold,
    Standardise,
)
from asymcert.features.layers import Dense, Flatten, GradientStep, MaxMin
from asymcert.models.feature_convex import FeatureConvexClassifier

Numbers = list[Fraction]
ZERO = Fraction(0)


def fractions(values: Tensor) -> list:
    """Nested lists of exact values."""
    return [fractions(row) for row in values] if values.ndim else Fraction(float(values))


def affine(weight: list[Numbers], bias: Numbers, v: Numbers) -> Numbers:
    """``W v + b``."""
    return [sum((a * b for a, b in zip(row, v, strict=True)), start) for row, start in zip(weight, bias, strict=True)]


def mapped(feature_map: FeatureMap, x: Numbers) -> Numbers:
    """Features of one sample (d,)."""
    if isinstance(feature_map, Chain):
        for member in feature_map.maps:
            assert isinstance(member, FeatureMap)
            x = mapped(member, x)
        return x
    if isinstance(feature_map, LowPass):  # of one channel that whole blocks of 4, 16, ... pixels cover
        side, width = 2**feature_map.levels, feature_map.width
        blocks = [(row, column) for row in range(0, feature_map.height, side) for column in range(0, width, side)]
        inside = [(down, right) for down in range(side) for right in range(side)]
        return [
            sum(x[(row + down) * width + column + right] for down, right in inside) / side for row, column in blocks
        ]
    if isinstance(feature_map, Haar):
        return banded(feature_map, x)
    if isinstance(feature_map, Standardise):
        return [value / Fraction(feature_map.deviation) for value in x]
    if isinstance(feature_map, Identity):
        return x
    if isinstance(feature_map, Ramps):
        ends = zip(fractions(feature_map.low), fractions(feature_map.width), strict=True)
        moved = [(x[int(source)] - low) / width for source, (low, width) in zip(feature_map.source, ends, strict=True)]
        return [min(max(share, ZERO), Fraction(1)) for share in moved]
    if isinstance(feature_map, LayeredMap):
        for layer in feature_map.layers:
            x = layered(layer, x)
        return x
    assert isinstance(feature_map, Centre)
    u = [value - mean for value, mean in zip(x, fractions(feature_map.mean.flatten().expand(len(x))), strict=True)]
    if isinstance(feature_map, CentreAbsolute):
        return u + [abs(value) for value in u]
    if isinstance(feature_map, Hinges):
        return u + [abs(value - Fraction(centre)) for centre in feature_map.centres for value in x]
    if isinstance(feature_map, SoftThreshold):
        width = Fraction(feature_map.width)
        return [value - max(-width, min(width, value)) for value in u]
    return u


def banded(haar: Haar, x: Numbers) -> Numbers:
    """Bands of images that whole blocks cover."""
    mixing, pixels, wide = fractions(haar.mixing), haar.height * haar.width, haar.width
    low = [affine(mixing, [ZERO] * len(mixing), x[pixel::pixels]) for pixel in range(pixels)]
    images, details = [list(channel) for channel in zip(*low, strict=True)], []
    for _ in range(haar.levels):
        corners = [row + column for row in range(0, len(images[0]), 2 * wide) for column in range(0, wide, 2)]
        bands = [
            [[(a + s * b + t * c + s * t * d) / 2 for a, b, c, d in _blocks(image, corners, wide)] for image in images]
            for t, s in ((1, 1), (-1, 1), (1, -1), (-1, -1))
        ]
        images, wide = bands[0], wide // 2
        details = [value for band in bands[1:] for image in band for value in image] + details
    return [value for image in images for value in image] + details


def _blocks(image: Numbers, corners: list[int], wide: int) -> list[Numbers]:
    """The four pixels of each block, row by row."""
    return [[image[place + step] for step in (0, 1, wide, wide + 1)] for place in corners]


def layered(layer: nn.Module, x: Numbers) -> Numbers:
    """Values of one flat layer."""
    if isinstance(layer, Dense):
        return affine(fractions(layer.weight), fractions(layer.bias), x)
    if isinstance(layer, GradientStep):
        weight = fractions(layer.weight)
        steps = [max(value, ZERO) for value in affine(weight, fractions(layer.bias), x)]
        return affine([[-value for value in column] for column in zip(*weight, strict=True)], x, steps)
    if isinstance(layer, MaxMin):
        pairs = list(zip(x[: len(x) // 2], x[len(x) // 2 :], strict=True))
        return [max(pair) for pair in pairs] + [min(pair) for pair in pairs]
    assert isinstance(layer, Flatten)
    return x


class RationalModel:
    """The real function that a deployed classifier with a small perceptron stands for."""

    def __init__(self, model: FeatureConvexClassifier):
        score, self.feature_map = model.score, model.feature_map
        assert isinstance(score, ConvexMLP)
        weights = {name: fractions(value.detach().double()) for name, value in score.state_dict().items()}
        names = ["first", *(f"hidden.{index}" for index in range(len(score.hidden)))]
        self.layers = [(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in names]
        self.direct = [weights[f"direct.{index}.weight"] for index in range(len(score.direct))]
        self.threshold = Fraction(model.threshold)

    def margin(self, x: Numbers) -> Fraction:
        """``g(phi(x)) - t``."""
        return self._forward(mapped(self.feature_map, x))[0]

    def plane(self, anchor: Numbers) -> tuple[Fraction, Numbers]:
        """Margin and gradient by the features at an input."""
        margin, masks, v = self._forward(mapped(self.feature_map, anchor))
        gradient, back = [ZERO] * len(v), [Fraction(1)]
        for index in range(len(self.layers) - 1, 0, -1):
            if self.direct:
                gradient = self._add(gradient, self.direct[index - 1], back)
            weight = self.layers[index][0]
            back = self._add([ZERO] * len(weight[0]), weight, back)
            back = [value if active else ZERO for value, active in zip(back, masks[index - 1], strict=True)]
        return margin, self._add(gradient, self.layers[0][0], back)

    def _forward(self, v: Numbers) -> tuple[Fraction, list[list[bool]], Numbers]:
        s, masks = affine(*self.layers[0], v), []
        for index, (weight, bias) in enumerate(self.layers[1:]):
            masks.append([value > 0 for value in s])
            s = affine(weight, bias, [max(value, ZERO) for value in s])
            if self.direct:
                s = affine(self.direct[index], s, v)
        return s[0] - self.threshold, masks, v

    def _add(self, to: Numbers, weight: list[Numbers], back: Numbers) -> Numbers:
        """``to + W^T back``."""
        return affine([list(column) for column in zip(*weight, strict=True)], to, back)

    def cut(self, x: Numbers, anchors: Sequence[Numbers], weights: Numbers) -> tuple[Fraction, Numbers]:
        """Value at x and gradient by the features of the planes at the anchors, averaged by the weights."""
        total = sum(weights, ZERO)
        value, gradient, features = ZERO, [ZERO] * len(mapped(self.feature_map, x)), mapped(self.feature_map, x)
        for anchor, weight in zip(anchors, weights, strict=True):
            margin, slope = self.plane(anchor)
            moved = zip(slope, features, mapped(self.feature_map, anchor), strict=True)
            value += weight / total * (margin + sum((a * (b - c) for a, b, c in moved), ZERO))
            gradient = [a + weight / total * b for a, b in zip(gradient, slope, strict=True)]
        return value, gradient


def affine_radius(
    value: Fraction, slopes: Numbers, rooms: Sequence[Fraction | float], cost: Numbers, norm: float
) -> Fraction | float:
    """Least size of a change at which an affine function falls by `value`, p = 1 or inf; inf if it cannot.

    Parameters
    ----------
    slopes, rooms, cost
        Of each input: how fast the function falls, how far it can, and the price of a unit.
    """
    steep = [abs(slope) / price for slope, price in zip(slopes, cost, strict=True)]
    lengths = [room if room == math.inf else room * price for room, price in zip(rooms, cost, strict=True)]
    size, fallen = ZERO, ZERO
    if norm == 1:
        for slope, length in sorted(zip(steep, lengths, strict=True), reverse=True):
            if slope > 0 and (length == math.inf or fallen + slope * length >= value):
                return size + (value - fallen) / slope
            size, fallen = (size + length, fallen + slope * length) if slope > 0 else (size, fallen)
        return math.inf
    assert math.isinf(norm)
    for length in [*sorted(length for length in lengths if length != math.inf), math.inf]:
        speed = sum((slope for slope, far in zip(steep, lengths, strict=True) if far >= length), ZERO)
        if speed > 0 and (length == math.inf or fallen + speed * (length - size) >= value):
            return size + (value - fallen) / speed
        if length != math.inf:
            fallen, size = fallen + speed * (length - size), Fraction(length)
    return math.inf
