"""A table's own columns as inputs of a graph: scaling and encoding as `TableScaling.transform` does them, to the bit.

Each column is one input of its name, (batch,): numbers as float64, categories as strings. A number that is missing is
NaN, a category that is missing the empty string; where training filled missing values, the graph fills them. Where it
refused them, a row that lacks a number gets the margin NaN, thus no sensitive verdict; a missing category is one more
that training did not list. Infinite numbers, which the package refuses, are the greatest or least that training had.
Columns are those of the scaling: where its plan reads marked numbers, dates or addresses, what they become.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import torch
from onnx import TensorProto

from asymcert._checks import refuse
from asymcert.export.graph import TYPES, Graph
from asymcert.models.base import BinaryClassifier

NUMBERS, CATEGORIES = "numeric", "categories"  # kinds of columns that a graph can encode
REMEDY = "Export with raw=False (--scaled): the graph then takes the scaled inputs that TableScaling.transform gives."


def add_inputs(graph: Graph, model: BinaryClassifier, raw: bool | None) -> tuple[str, dict[str, str]]:
    """Flat inputs (n, d) of the classifier, and what the file says of them.

    Parameters
    ----------
    raw
        Whether the graph's inputs are a table's own columns; None: if there is a scaling.

    Raises
    ------
    InputError
        Raw rows of a model without a scaling, a column of running text, or one whose name is taken.
    """
    scaling = model.scaling
    if raw and scaling is None:
        raise refuse("raw", "left out for a model without a table's scaling", "raw=True")
    if scaling is None or raw is False:
        return graph.flat_input(), {}
    encoded = _encoded(graph, scaling.columns)
    kinds = [{"name": column.name, "type": "string" if column.is_text else "double"} for column in scaling.columns]
    if not scaling.double:
        encoded = graph.op("Cast", encoded, to=TensorProto.FLOAT)  # as scaled inputs are kept
    return graph.op("Cast", encoded, to=TYPES[graph.dtype]), {"columns": json.dumps(kinds)}


def _encoded(graph: Graph, columns: Sequence[Any]) -> str:
    """Inputs (n, d) of a `TableScaling`'s columns, float64: all numbers at once, then put where they belong."""
    for column in columns:
        if column.kind not in (NUMBERS, CATEGORIES):
            got = f"column {column.name!r} of {column.kind}"
            raise refuse("model", "of numbers and categories, to take raw rows", got, REMEDY)
        kind = TensorProto.STRING if column.is_text else TensorProto.DOUBLE
        graph.add_input(column.name, kind)
    numbers = [column for column in columns if column.kind == NUMBERS]
    parts = [_numbers(graph, numbers)] if numbers else []
    order, place = {column.name: [index] for index, column in enumerate(numbers)}, len(numbers)
    for column in columns:
        if column.kind == CATEGORIES:
            parts.append(_category(graph, column))
            order[column.name] = list(range(place, place + column.inputs))
            place += column.inputs
    places = [index for column in columns for index in order[column.name]]
    return graph.op("Gather", graph.op("Concat", *parts, axis=1), graph.integers(places), axis=1)


def _numbers(graph: Graph, columns: list[Any]) -> str:
    """Scaled numbers (n, k).

    A single column is taken twice: runtimes simplify by constants of one value what rounds to nothing, or to 1, in
    single precision.
    """
    twice = columns * 2 if len(columns) == 1 else columns
    low, high = (graph.doubles([getattr(column, end) for column in twice]) for end in ("low", "high"))
    fill = graph.doubles([math.nan if column.fill is None else column.fill for column in twice])
    width = graph.doubles([column.high - column.low or 1.0 for column in twice])
    every = [graph.op("Unsqueeze", column.name, graph.integers([1])) for column in twice]
    raw = graph.op("Concat", *every, axis=1)
    filled = graph.op("Where", graph.op("IsNaN", raw), fill, raw)
    inside = graph.op("Min", graph.op("Max", filled, low), high)
    share = graph.op("Div", graph.op("Sub", inside, low), width)
    share = graph.op("Clip", share, graph.doubles(0.0), graph.doubles(1.0))
    share = graph.op("Where", graph.op("IsNaN", filled), filled, share)
    return graph.op("Slice", share, *map(graph.integers, ([0], [len(columns)], [1])))


def _category(graph: Graph, column: Any) -> str:
    """Inputs (n, k) of a category, float64: 1 for the row's value, or for those not listed, 0 for others."""
    places = {value: place for place, value in enumerate(column.values)}
    if column.fill is not None:
        places.setdefault("", places.get(column.fill, len(column.values)))
    place = graph.op(
        "LabelEncoder",
        column.name,
        domain="ai.onnx.ml",
        keys_strings=list(places),
        values_int64s=list(places.values()),
        default_int64=len(column.values),
    )
    place = graph.op("Unsqueeze", place, graph.integers([1]))
    chosen = graph.op("Equal", place, graph.integers(torch.arange(len(column.values) + 1)))
    return graph.op("Cast", chosen, to=TensorProto.DOUBLE)
