"""What certificates in ONNX graphs share: margins for rounding, norms of rows, sums with error terms."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asymcert._floats import TINY
from asymcert.export.graph import Graph

MARGIN = 1e-9  # relative; far above the rounding of norms and quotients of any network's size
LEAST = 1e-37  # of errors that are added: ONNX Runtime takes scalars that single precision rounds to 0 for 0
TIMES = 3.0  # the graph's own error, and the difference of its results from PyTorch's


def norm_of(graph: Graph, size: str, order: float) -> str:
    """l_q norm of nonnegative rows, scaled by the greatest entry so that powers cannot overflow: (n, d) -> (n,)."""
    if order == 1:
        return graph.op("ReduceSum", size, graph.integers([1]), keepdims=0)
    greatest = graph.op("ReduceMax", size, axes=[1], keepdims=1)
    if math.isinf(order):
        return graph.reshape(greatest)
    unit = graph.op("Max", greatest, graph.number(TINY))
    relative = graph.op("Div", size, unit)
    powers = graph.op("Mul", relative, relative) if order == 2 else graph.op("Pow", relative, graph.number(order))
    summed = graph.op("ReduceSum", powers, graph.integers([1]), keepdims=0)
    root = graph.op("Sqrt", summed) if order == 2 else graph.op("Pow", summed, graph.number(1.0 / order))
    return graph.op("Mul", root, graph.reshape(unit))


def plus(graph: Graph, name: str, error: float | Tensor) -> str:
    """Values plus errors, each of these either 0 or rounded up to `LEAST`."""
    errors = torch.as_tensor(error, dtype=torch.float64)
    return graph.op("Add", name, graph.number(torch.where(errors > 0, errors.clamp(min=LEAST), 0.0)))
