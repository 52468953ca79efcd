"""Edits of words as ONNX nodes: how many a plane outlasts, by the features that so many can gain and lose at most.

Without pairs of words it is the number that `asymcert.certify.words` finds; where pairs are features that holds them to
the words in them and mostly finds more. Each number is sound by itself.
"""

from __future__ import annotations

import math

from onnx import TensorProto
from torch import Tensor

from asymcert.certify.words import GAINED_AND_LOST
from asymcert.export.bounds import MARGIN
from asymcert.export.graph import Graph
from asymcert.export.tangent_graph import Falls
from asymcert.threats.words import OTHER, WordEdits


def add_edits(falls: Falls, edits: WordEdits, amount: str) -> str:
    """Price (n,) up to which no edits bring the plane down by `amount` (n,); infinite if none do."""
    graph, plans = falls.graph, edits.plans
    fall = graph.op("Max", falls.at(graph.op("Sub", graph.number(1.0), falls.x)), graph.number(0.0))
    needed = graph.op("Unsqueeze", amount, graph.integers([1]))
    parts = []
    for (family, sign), slots in zip(GAINED_AND_LOST, edits.slots()[:, :-1].unbind(1), strict=True):
        own = (edits.family == family).nonzero().flatten()
        if len(own) and int(slots.max()):
            parts.append(_sums(graph, _flipped(falls, fall, edits, own, sign), slots.clamp(max=len(own))))
    total, most = (_added(graph, names) for names in zip(*parts, strict=True))
    enough = graph.op("GreaterOrEqual", total, needed)  # (n, C), plans from the cheapest on
    enough = graph.op("Cast", enough, to=TensorProto.INT32)
    any_does = graph.op("Cast", graph.op("ReduceMax", enough, axes=[1], keepdims=0), to=TensorProto.BOOL)
    below = graph.op("Gather", graph.number(plans.below), graph.op("ArgMax", enough, axis=1, keepdims=0))
    never = graph.reshape(graph.op("Less", most, needed))
    found = graph.op("Where", any_does, below, graph.number(plans.limit))
    found = graph.op("Where", never, graph.number(math.inf), found)
    return graph.op("Where", _binary(graph, falls.x, edits), found, graph.number(0.0))


def _flipped(falls: Falls, fall: str, edits: WordEdits, own: Tensor, sign: float) -> str:
    """Falls by those of k inputs that a text gains (sign 1) or loses (-1), 0 for the others: (n, k)."""
    graph = falls.graph
    x = graph.op("Gather", falls.x, graph.integers(own), axis=1)
    share = x if sign < 0 else graph.op("Sub", graph.number(1.0), x)
    if sign < 0 and edits.protected is not None:
        share = graph.op("Mul", share, graph.number((~edits.protected[own]).double()))
    return graph.op("Mul", graph.op("Gather", fall, graph.integers(own), axis=1), share)


def _sums(graph: Graph, values: str, slots: Tensor) -> tuple[str, str]:
    """Sums of as many of the greatest values (n, k) as each plan takes, (n, C), and of all, (n, 1)."""
    one = graph.integers([1])
    greatest, _ = graph.several("TopK", 2, values, graph.integers([int(slots.max())]), axis=1)
    sums = graph.op("Pad", graph.op("CumSum", greatest, graph.integers(1)), graph.integers([0, 1, 0, 0]))
    every = graph.op("ReduceSum", values, one, keepdims=1)
    return graph.op("Gather", sums, graph.integers(slots), axis=1), every


def _added(graph: Graph, names: tuple[str, ...]) -> str:
    """Sum of values, rounded up."""
    return graph.scaled("Mul", names[0] if len(names) == 1 else graph.op("Sum", *names), 1.0 + MARGIN)


def _binary(graph: Graph, x: str, edits: WordEdits) -> str:
    """Which samples are 0 or 1 in every input of a text: (n,)."""
    text = graph.number((edits.family != OTHER).double())
    wrong = graph.op("Mul", graph.op("Mul", x, graph.op("Sub", x, graph.number(1.0))), text)
    return graph.op("Equal", graph.op("ReduceMax", graph.op("Abs", wrong), axes=[1], keepdims=0), graph.number(0.0))
