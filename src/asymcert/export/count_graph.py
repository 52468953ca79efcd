"""Count certificates as ONNX nodes: how many columns a change must touch, as `asymcert.certify.columns` counts."""

from __future__ import annotations

import math

import torch
from onnx import TensorProto

from asymcert.export.bounds import MARGIN
from asymcert.export.graph import Graph
from asymcert.export.tangent_graph import Falls
from asymcert.threats.columns import ColumnGroups
from asymcert.threats.model import ThreatModel

EVERYWHERE = 1e101  # beyond all inputs that get a radius


def add_count(falls: Falls, threat: ThreatModel, amount: str) -> str:
    """Price (n,) of columns of which no change brings the plane down by `amount` (n,); infinite if none does."""
    graph, columns = falls.graph, threat.columns(falls.shape)
    drop = _drops(falls, threat, columns)
    needed = graph.op("Unsqueeze", amount, graph.integers([1]))
    order = graph.op("Div", drop, graph.number(columns.price))
    _, order = graph.several("TopK", 2, order, graph.integers([len(columns.price)]), axis=1)
    drop = graph.op("GatherElements", drop, order, axis=1)
    total = graph.scaled("Mul", graph.op("CumSum", drop, graph.integers(1)), 1.0 + MARGIN)
    safe = graph.op("Less", total, needed)
    if columns.equal_price is None:
        room = graph.op("Sub", needed, graph.op("Sub", total, drop))
        share = graph.op("Clip", graph.op("Div", room, drop), graph.number(0.0), graph.number(1.0 - MARGIN))
        share = graph.op("Where", safe, graph.number(1.0 - MARGIN), share)
        price = graph.op("Gather", graph.number(columns.price), order)
    else:
        share, price = graph.op("Cast", safe, to=TensorProto.DOUBLE), graph.number(columns.equal_price)
    found = graph.op("ReduceSum", graph.op("Mul", share, price), graph.integers([1]), keepdims=0)
    all_safe = graph.op("ReduceMin", graph.op("Cast", safe, to=TensorProto.INT32), axes=[1], keepdims=0)
    never = graph.op("Cast", all_safe, to=TensorProto.BOOL)
    found = graph.op("Where", never, graph.number(math.inf), found)
    return graph.op("Where", _settled(graph, falls.x, columns), found, graph.number(0.0))


def _drops(falls: Falls, threat: ThreatModel, columns: ColumnGroups) -> str:
    """Greatest fall by each column: (n, G)."""
    graph = falls.graph
    room = graph.number(torch.full((1, len(columns.index)), EVERYWHERE, dtype=torch.float64))
    most = graph.op("ReduceMax", falls.within(room, threat)[0], axes=[1], keepdims=0)
    most = graph.op("Max", most, graph.number(0.0))
    if len(columns.members):
        most = graph.op("Mul", most, graph.number(1.0 - _exclusive(columns)))
    drop = _total(graph, most, columns)
    if len(columns.members):
        drop = graph.op("Add", drop, _choices(falls, threat, columns))
    return graph.scaled("Mul", drop, 1.0 + MARGIN)


def _choices(falls: Falls, threat: ThreatModel, columns: ColumnGroups) -> str:
    """Greatest fall by each exclusive column, whose 1 moves to another input, and 0 for others: (n, G)."""
    graph, (count, most) = falls.graph, columns.members.shape
    fall = falls.at(graph.op("Sub", graph.number(1.0), falls.x))
    fall, x = (
        graph.reshape(graph.op("Gather", name, graph.integers(columns.members.flatten()), axis=1), count, most)
        for name in (fall, falls.x)
    )
    on, never = graph.op("Equal", x, graph.number(1.0)), graph.number(-EVERYWHERE)
    left = graph.op("ReduceMax", graph.op("Where", on, fall, never), axes=[2], keepdims=0)
    taken = graph.op("ReduceMax", graph.op("Where", on, never, fall), axes=[2], keepdims=0)
    both = graph.op("Max", graph.op("Add", left, taken), graph.number(0.0))
    free = torch.ones(len(columns.index)) if threat.mutable is None else threat.mutable.expand(falls.shape).flatten()
    place = torch.zeros(count, len(columns.price), dtype=torch.float64)
    place[torch.arange(count), columns.exclusive] = free[columns.members].double().amin(1)
    return graph.op("MatMul", both, graph.number(place))


def _settled(graph: Graph, x: str, columns: ColumnGroups) -> str:
    """Which samples have exactly one 1, and zeros, in every exclusive column: (n,)."""
    mask = graph.number(_exclusive(columns))
    squares = graph.op("Mul", graph.op("Mul", x, graph.op("Sub", x, graph.number(1.0))), mask)
    wrong = graph.op("ReduceMax", graph.op("Abs", squares), axes=[1], keepdims=0)
    wanted = torch.zeros(len(columns.price), dtype=torch.float64)
    wanted[columns.exclusive] = 1.0
    off = graph.op("Sub", _total(graph, graph.op("Mul", x, mask), columns), graph.number(wanted))
    off = graph.op("ReduceMax", graph.op("Abs", off), axes=[1], keepdims=0)
    return graph.op("Equal", graph.op("Add", wrong, off), graph.number(0.0))


def _exclusive(columns: ColumnGroups) -> torch.Tensor:
    """1 for inputs of exclusive columns, 0 for others: (d,)."""
    return torch.isin(columns.index, columns.exclusive).double()


def _total(graph: Graph, values: str, columns: ColumnGroups) -> str:
    """Sums over the inputs of each column: (n, d) -> (n, G)."""
    own = torch.nn.functional.one_hot(columns.index, len(columns.price)).double()
    return graph.op("MatMul", values, graph.number(own))
