"""Networks of the baselines as ONNX nodes; samples are flat, (n, d), throughout."""

from __future__ import annotations

import math

from torch import nn

from asymcert._checks import refuse
from asymcert.export.graph import Graph
from asymcert.features.layers import Dense, Downsample, MaxMin
from asymcert.linf.net import FoldedDistanceNet, TanhHead
from asymcert.models.cayley import Pad
from asymcert.models.lipschitz import Blend, LipschitzClassifier
from asymcert.models.relu import ReluClassifier


def add_relu(graph: Graph, model: ReluClassifier, x: str) -> str:
    """Scores (n,) of a plain ReLU network."""
    for index, (weight, bias) in enumerate(model.layers):
        x = graph.affine(graph.op("Relu", x) if index else x, weight, bias)
    return graph.reshape(x)


def add_lipschitz(graph: Graph, model: LipschitzClassifier, x: str) -> str:
    """Scores (n,) of a network of fully connected layers and the isometries between them.

    Raises
    ------
    InputError
        A circular convolution, which takes a Fourier transform.
    """
    return graph.reshape(_sequence(graph, model.network, x, model.input_shape)[0])


def add_head(graph: Graph, head: TanhHead, features: str) -> str:
    """Logits (n, classes) of an l_inf-distance net with a head."""
    inner = graph.op("Tanh", graph.affine(features, head.first.weight, head.first.bias))
    return graph.affine(inner, head.last.weight, head.last.bias)


def add_margin_of_logits(graph: Graph, net: FoldedDistanceNet, features: str, chosen: int) -> str:
    """The chosen logit less the greatest of the others: (n, units) -> (n,)."""
    logits = graph.op("Neg", features) if net.head is None else add_head(graph, net.head, features)
    others = [index for index in range(net.classes) if index != chosen]
    own = graph.op("Gather", logits, graph.integers(chosen), axis=1)
    rest = graph.op("Gather", logits, graph.integers(others), axis=1)
    return graph.op("Sub", own, graph.op("ReduceMax", rest, axes=[1], keepdims=0))


def _sequence(graph: Graph, layers: nn.Sequential, x: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Outputs of layers in turn, flat, and the shape that they stand for."""
    for layer in layers:
        x, shape = _layer(graph, layer, x, shape)
    return x, shape


def _layer(graph: Graph, layer: nn.Module, x: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Output of one layer, flat, and the shape that it stands for."""
    if isinstance(layer, nn.Flatten):
        return x, (math.prod(shape),)
    if isinstance(layer, Dense):
        return graph.affine(x, layer.weight, layer.bias), (len(layer.bias),)
    if isinstance(layer, MaxMin):
        first, second = _halves(graph, x, math.prod(shape))
        pair = graph.op("Max", first, second), graph.op("Min", first, second)
        return graph.op("Concat", *pair, axis=1), shape
    if isinstance(layer, Blend):
        inner, after = _sequence(graph, layer.inner, x, shape)
        first, second = layer.share
        return graph.op("Add", graph.scaled("Mul", inner, first), graph.scaled("Mul", x, second)), after
    if isinstance(layer, Downsample | Pad):
        return _rearranged(graph, layer, x, shape)
    remedy = "Train with fully connected layers only (the preset without convolutions)."
    raise refuse("model", "made of layers that ONNX has, to be exported", type(layer).__name__, remedy)


def _halves(graph: Graph, x: str, size: int) -> tuple[str, str]:
    """The first and the second half of each sample's values; channels come first, so halves of those."""
    zero, middle, end, axis = (graph.integers([value]) for value in (0, size // 2, size, 1))
    return graph.op("Slice", x, zero, middle, axis), graph.op("Slice", x, middle, end, axis)


def _rearranged(graph: Graph, layer: Downsample | Pad, x: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Zeros around an image, or its blocks of 2x2 pixels moved into channels."""
    channels, height, width = shape
    if isinstance(layer, Pad):
        amount = layer.amount
        images = graph.reshape(x, channels, height, width)
        padded = graph.op("Pad", images, graph.integers([0, 0, amount, amount] * 2))
        return graph.op("Flatten", padded, axis=1), (channels, height + 2 * amount, width + 2 * amount)
    blocks = graph.reshape(x, channels, height // 2, 2, width // 2, 2)
    moved = graph.op("Transpose", blocks, perm=[0, 1, 3, 5, 2, 4])
    return graph.op("Flatten", moved, axis=1), (4 * channels, height // 2, width // 2)
