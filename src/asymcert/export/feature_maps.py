"""Feature maps and distance layers as ONNX nodes; samples are flat, (n, d), throughout."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert.export.graph import Graph
from asymcert.export.layout import patches
from asymcert.features import (
    Centre,
    CentreAbsolute,
    Chain,
    FeatureMap,
    Haar,
    Hinges,
    Identity,
    LowPass,
    Ramps,
    SoftThreshold,
    Standardise,
)
from asymcert.features.haar import SIGNS
from asymcert.linf.feature_map import DistanceFeatures
from asymcert.linf.layers import DistanceConv2d, DistanceLayer
from asymcert.linf.net import FoldedDistanceNet

CHUNK_VALUES = 2**20  # differences that one sample keeps at a time


def add_map(graph: Graph, feature_map: FeatureMap, x: str, shape: tuple[int, ...]) -> str:
    """Features (n, k) of inputs (n, d) whose samples have `shape`.

    Raises
    ------
    InputError
        A map that is none of the package's.
    """
    if isinstance(feature_map, Identity):
        return x
    if isinstance(feature_map, Standardise):
        return graph.scaled("Div", x, feature_map.deviation)
    if isinstance(feature_map, Chain):
        for member in feature_map.maps:
            assert isinstance(member, FeatureMap)
            x, shape = add_map(graph, member, x, shape), member.output_shape(shape)
        return x
    if isinstance(feature_map, Ramps):
        inputs = graph.op("Gather", x, graph.integers(feature_map.source.long()), axis=1)
        moved = graph.op("Sub", inputs, graph.number(feature_map.low))
        share = graph.op("Div", moved, graph.number(feature_map.width))
        return graph.op("Clip", share, graph.number(0.0), graph.number(1.0))
    if isinstance(feature_map, DistanceFeatures):
        return add_distances(graph, feature_map.net, x)
    if isinstance(feature_map, LowPass):
        return _block_sums(graph, feature_map, x, shape)
    if isinstance(feature_map, Haar):
        return _bands(graph, feature_map, x, shape)
    if type(feature_map) in (Centre, CentreAbsolute, SoftThreshold, Hinges):
        assert isinstance(feature_map, Centre)
        return _centred(graph, feature_map, x, shape)
    remedy = "Write its nodes by hand, or use a map of asymcert.features."
    raise refuse("feature_map", "one of the package's, to be exported", type(feature_map).__name__, remedy)


def _centred(graph: Graph, feature_map: Centre, x: str, shape: tuple[int, ...]) -> str:
    """The maps that subtract a mean first; halves are joined along a sample's first axis, so also when flat."""
    centred = graph.op("Sub", x, graph.number(feature_map.mean.expand(shape).flatten()))
    if isinstance(feature_map, CentreAbsolute):
        return graph.op("Concat", centred, graph.op("Abs", centred), axis=1)
    if isinstance(feature_map, Hinges):
        hinged = [graph.op("Abs", graph.op("Sub", x, graph.number(centre))) for centre in feature_map.centres]
        return graph.op("Concat", centred, *hinged, axis=1)
    if isinstance(feature_map, SoftThreshold):
        width = feature_map.width
        near = graph.op("Clip", centred, graph.number(-width), graph.number(width))
        return graph.op("Sub", centred, near)
    return centred


def _block_sums(graph: Graph, low_pass: LowPass, x: str, shape: tuple[int, ...]) -> str:
    """Sums of the pixels of each block over the root of their number; zeros where the image ends."""
    (channels, rows, columns), (high, wide) = low_pass.output_shape(shape), low_pass.sides
    below, beside = rows * high - shape[1], columns * wide - shape[2]
    padded = graph.op("Pad", graph.reshape(x, *shape), graph.integers([0, 0, 0, 0, 0, 0, below, beside]))
    blocks = graph.reshape(padded, channels * rows, high, columns, wide)
    sums = graph.op("ReduceSum", blocks, graph.integers([2, 4]), keepdims=0)
    scale = low_pass.scale(torch.empty(0, dtype=torch.float64)).repeat(channels, 1)
    return graph.reshape(graph.op("Mul", sums, graph.number(scale)), channels * rows * columns)


def _bands(graph: Graph, haar: Haar, x: str, shape: tuple[int, ...]) -> str:
    """Channels mixed, then at each level sums and differences of 2 x 2 pixels; details from coarse to fine."""
    channels, height, width = shape
    rows, columns = haar.sides
    padded = graph.op("Pad", graph.reshape(x, *shape), graph.integers([0] * 6 + [rows - height, columns - width]))
    low = graph.op("MatMul", graph.number(haar.mixing), graph.reshape(padded, channels, rows * columns))
    details: list[str] = []
    for _ in range(haar.levels):
        rows, columns = rows // 2, columns // 2
        blocks = graph.op("Transpose", graph.reshape(low, channels, rows, 2, columns, 2), perm=[0, 3, 5, 1, 2, 4])
        pixels = graph.reshape(blocks, 4, channels * rows * columns)
        bands = graph.op("MatMul", graph.number(SIGNS.flatten(1) / 2), pixels)
        low, detail = graph.several("Split", 2, bands, graph.integers([1, 3]), axis=1)
        details = [graph.op("Flatten", detail, axis=1), *details]
    return graph.op("Concat", graph.op("Flatten", low, axis=1), *details, axis=1)


def add_distances(graph: Graph, net: FoldedDistanceNet, x: str) -> str:
    """Outputs of the distance layers: (n, d) -> (n, units).

    Raises
    ------
    InputError
        The net is at a finite p, or its units sort.
    """
    if any(layer.rho for layer in net.distance_layers()):
        raise refuse("model", "a net of units that do not sort, to be exported", "one with rho above 0")
    if math.isfinite(net.p):
        raise refuse("model", "at p = inf, to be exported", f"p = {net.p:g}", "Train to the end of the schedule.")
    shape = net.input_shape
    for layer in net.distance_layers():
        after = layer.output_shape(shape if isinstance(layer, DistanceConv2d) else (math.prod(shape),))
        x = _over_patches(graph, layer, x, shape) if isinstance(layer, DistanceConv2d) else _over_all(graph, layer, x)
        shape = after
    return x


def _over_all(graph: Graph, layer: DistanceLayer, x: str) -> str:
    """A fully connected layer, as one with a single position: (n, d) -> (n, units)."""
    inputs = layer.weight.shape[1] * layer.groups
    distances = _distances(graph, layer, graph.reshape(x, 1, inputs))
    return graph.reshape(distances, len(layer.weight))


def _over_patches(graph: Graph, layer: DistanceConv2d, x: str, shape: tuple[int, ...]) -> str:
    """A distance convolution: (n, c * h * w) -> (n, units * positions)."""
    channels, height, width = shape
    index = patches((height, width), layer.kernel, layer.stride, layer.padding, edge=True)
    taps, positions = index.shape
    images = graph.reshape(x, channels, height * width)
    rows = graph.reshape(graph.gather(images, index, height * width), channels * taps, positions)
    distances = _distances(graph, layer, graph.op("Transpose", rows, perm=[0, 2, 1]))
    return graph.reshape(graph.op("Transpose", distances, perm=[0, 2, 1]), len(layer.weight) * positions)


def _distances(graph: Graph, layer: DistanceLayer, rows: str) -> str:
    """Largest absolute differences, and the bias: (n, positions, groups * d) -> (n, positions, units)."""
    size, parts = layer.weight.shape[1], []
    for group, weight in enumerate(layer.weight.chunk(layer.groups)):
        own = rows
        if layer.groups > 1:
            start, end = graph.integers([group * size]), graph.integers([(group + 1) * size])
            own = graph.op("Slice", rows, start, end, graph.integers([2]))
        own = graph.op("Unsqueeze", own, graph.integers([2]))  # (n, positions, 1, d)
        parts += [_block(graph, own, block) for block in weight.split(max(1, CHUNK_VALUES // size))]
    distances = parts[0] if len(parts) == 1 else graph.op("Concat", *parts, axis=2)
    return distances if layer.bias is None else graph.op("Add", distances, graph.number(layer.bias))


def _block(graph: Graph, rows: str, weight: Tensor) -> str:
    """Distances to some units' weights (m, d): (n, positions, 1, d) -> (n, positions, m)."""
    difference = graph.op("Sub", rows, graph.number(torch.atleast_2d(weight)))
    return graph.op("ReduceMax", graph.op("Abs", difference), axes=[3], keepdims=0)
