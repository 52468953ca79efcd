"""Convex scores as ONNX nodes, with the backward pass that gives their gradient by the features.

Every function returns the name of the scores (n,) and a function that appends the backward pass when it is called and
returns the name of the gradient (n, d), by flat features. ReLUs and maxima choose as PyTorch's do: nothing passes where
a ReLU is at zero, and the first of equal values is the maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from asymcert._checks import refuse
from asymcert.convex import ConvexConvNet, ConvexMLP, ConvexScore, SymmetricAverage
from asymcert.export.graph import Graph
from asymcert.export.images import Images, Pool, convolve
from asymcert.export.layout import gathered_back, shifted

Gradient = Callable[[], str]


def add_score(graph: Graph, score: ConvexScore, features: str) -> tuple[str, Gradient]:
    """Scores (n,) of flat features (n, d), and what appends their gradient.

    Raises
    ------
    InputError
        A score that is none of the package's.
    """
    if isinstance(score, ConvexMLP):
        return _mlp(graph, score, features)
    if isinstance(score, ConvexConvNet):
        return _conv_net(graph, score, features)
    if isinstance(score, SymmetricAverage):
        return _average(graph, score, features)
    remedy = "Write its nodes by hand, or use a score of asymcert.convex."
    raise refuse("score", "one of the package's, to be exported", type(score).__name__, remedy)


@dataclass(frozen=True)
class _Relu:
    """A ReLU of the values named `before`."""

    graph: Graph
    before: str

    def forward(self) -> str:
        """Name of its values."""
        return self.graph.op("Relu", self.before)

    def backward(self, gradient: str) -> str:
        """The gradient where the ReLU is active, 0 elsewhere; shapes broadcast."""
        active = self.graph.op("Greater", self.before, self.graph.number(0.0))
        return self.graph.op("Where", active, gradient, self.graph.number(0.0))


def _mlp(graph: Graph, score: ConvexMLP, v: str) -> tuple[str, Gradient]:
    hidden: list[nn.Linear] = list(score.hidden)  # pyright: ignore[reportAssignmentType]
    direct: list[Tensor] = [layer.weight for layer in score.direct]  # pyright: ignore[reportAssignmentType]
    s, relus = graph.affine(v, score.first.weight, score.first.bias), []
    for index, layer in enumerate(hidden):
        relus.append(_Relu(graph, s))
        s = graph.affine(relus[-1].forward(), layer.weight, layer.bias)
        if direct:
            s = graph.op("Gemm", v, graph.number(direct[index]), s, transB=1)

    def gradient() -> str:
        if not hidden:  # affine
            return graph.op("Add", graph.op("Mul", v, graph.number(0.0)), graph.number(score.first.weight))
        by_units = graph.number(hidden[-1].weight)  # (1, width), then (n, width)
        total = graph.number(direct[-1]) if direct else None  # (1, d), then (n, d)
        for index in range(len(hidden) - 1, -1, -1):
            by_units = relus[index].backward(by_units)  # by the values before the ReLU
            weight = direct[index - 1] if direct and index else score.first.weight
            if index == 0 or direct:
                part = graph.op("MatMul", by_units, graph.number(weight))
                total = part if total is None else graph.op("Add", total, part)
            if index:
                by_units = graph.op("MatMul", by_units, graph.number(hidden[index - 1].weight))
        assert total is not None
        return total

    return graph.reshape(s), gradient


def _conv_net(graph: Graph, score: ConvexConvNet, v: str) -> tuple[str, Gradient]:
    channels, height, width = score.input_shape
    hidden: list[nn.Conv2d] = list(score.hidden)  # pyright: ignore[reportAssignmentType]
    direct: list[Tensor] = [layer.weight.flatten(1) for layer in score.direct]  # pyright: ignore
    first = convolve(graph, score.first, Images(graph.reshape(v, channels, height * width), (height, width)))
    u = first.output
    relus, steps = [_Relu(graph, u.name)], []
    z = u.named(relus[0].forward())
    for index, layer in enumerate(hidden):
        steps.append(convolve(graph, layer, z))
        s = steps[-1].output.name
        if direct:
            s = graph.op("Add", s, graph.op("MatMul", graph.number(direct[index]), u.name))
        relus.append(_Relu(graph, s))
        z = z.named(graph.op("Add", z.name, relus[-1].forward()))
    pool = Pool(graph, score.pool, score.pool_size, z)
    pooled = graph.op("Flatten", pool.forward(), axis=1)

    def gradient() -> str:
        by_z = pool.backward(graph.number(score.readout.weight.reshape(1, score.channels, -1)))
        by_u = None
        for index in range(len(hidden) - 1, -1, -1):
            by_s = relus[index + 1].backward(by_z)
            by_z = graph.op("Add", by_z, steps[index].backward(by_s))
            if direct:
                part = graph.op("MatMul", graph.number(direct[index].t()), by_s)
                by_u = part if by_u is None else graph.op("Add", by_u, part)
        active = relus[0].backward(by_z)
        by_u = active if by_u is None else graph.op("Add", by_u, active)
        return graph.op("Flatten", first.backward(by_u), axis=1)

    return graph.reshape(graph.affine(pooled, score.readout.weight, score.readout.bias)), gradient


def _average(graph: Graph, score: SymmetricAverage, v: str) -> tuple[str, Gradient]:
    channels, height, width = score.input_shape
    pixels, index = height * width, shifted((height, width), score.shift, score.mirror)
    count = len(index)
    images = graph.gather(graph.reshape(v, channels, pixels), index, pixels)
    images = graph.op("Transpose", graph.reshape(images, channels, count, pixels), perm=[0, 2, 1, 3])
    every = graph.op("Reshape", images, graph.integers([-1, channels * pixels]))  # (n * transformations, d)
    scores, base_gradient = add_score(graph, score.base, every)
    mean = graph.op("ReduceMean", graph.op("Reshape", scores, graph.integers([-1, count])), axes=[1], keepdims=0)

    def gradient() -> str:
        parts = graph.op("Reshape", base_gradient(), graph.integers([-1, count, channels, pixels]))
        parts = graph.reshape(graph.op("Transpose", parts, perm=[0, 2, 1, 3]), channels, count * pixels)
        back = gathered_back(index, pixels)
        found = graph.reshape(graph.gather(parts, back, index.numel()), channels, len(back), pixels)
        summed = graph.op("ReduceSum", found, graph.integers([2]), keepdims=0)
        return graph.op("Flatten", graph.op("Div", summed, graph.number(float(count))), axis=1)

    return mean, gradient
