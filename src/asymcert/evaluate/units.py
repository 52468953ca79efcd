"""Radii of tables in the units of their columns, rounded down."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import check_number, refuse
from asymcert.datasets.columns import CategoryColumn, Column
from asymcert.datasets.scaling import TableScaling
from asymcert.evaluate.formatting import floor_significant
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat, is_constant, unit_of

# Two inputs are each computed in float64 and rounded to float32 within [0, 1]: so much of a change may be rounding.
SCALING_ERROR = 2.0**-24 + 2.0**-50
DOWN = 1.0 - 2.0**-50  # covers the few roundings of an amount


def radius_in_units(scaling: TableScaling, radius: float, threat: ThreatModel) -> dict[str, float]:
    """How far each column alone can move, in its own units, before a change reaches the radius.

    Parameters
    ----------
    scaling
        How the table's columns became inputs.
    radius
        A certified radius in the units of ``threat.size``, nonnegative.
    threat
        The adversary that it holds against.

    Returns
    -------
    dict
        For each column the amount, rounded down, up to which any change of its value alone leaves the verdict as it
        is. Infinite where no value of the column is far enough away, or where it cannot change. Running text is
        counted in words added or removed, in all. A category is either safe in all its values (infinite) or not (0), as
        is every column where columns are counted (norm 0).

    Raises
    ------
    InputError
        The radius is negative or not a number, or the threat model does not fit the table.
    """
    check_number("radius", radius, 0.0)
    table = TableThreat(scaling)
    x = torch.empty(0, table.size)
    threat.check(x)
    low, high = box_of(threat, table.size)
    mutable = torch.ones(table.size, dtype=torch.bool) if threat.mutable is None else threat.mutable.expand(table.size)
    amounts = {}
    for column, place in zip(table.columns, table.places, strict=True):
        extent = torch.where(mutable, high - low, 0.0)[place]
        amounts[column.name] = column_amount(column, radius, dearest(threat, table, place), extent, threat.norm)
    return amounts


def column_amount(column: Column, radius: float, cost: float, extent: Tensor, norm: float) -> float:
    """Amount of change of one column that stays below `radius`, rounded down; infinite where none can reach it.

    Parameters
    ----------
    column
        The column that changes.
    radius
        Size that a change must stay below, or for norm 0 not exceed.
    cost
        Greatest price of one unit of change of its inputs.
    extent
        Float64 (k,): how far its inputs can move at all.
    norm
        Of the sizes.
    """
    if norm == 0:
        return math.inf if cost <= radius or float(extent.max()) <= 0 or is_constant(column) else 0.0
    words = column.words_in_unit is not None  # a change of several words is at most as large as their sum
    largest = float(extent.sum() if words and not math.isinf(norm) else extent.max())
    scaled = radius / cost * DOWN  # every change of an input by less than this is safe
    if is_constant(column) or largest <= 0 or math.isinf(scaled):
        return math.inf
    if isinstance(column, CategoryColumn):
        return math.inf if scaled * unit_of(column, norm) > 1 else 0.0
    if scaled > largest:
        return math.inf
    amount = max(0.0, (scaled - SCALING_ERROR) * DOWN * unit_of(column, norm) * DOWN)
    return float(math.floor(amount)) if words else amount


def box_of(threat: ThreatModel, size: int) -> tuple[Tensor, Tensor]:
    """Least and greatest value of each scaled input, float64 (d,): scaling clips to [0, 1], a box is within that."""
    ends: list[Any] = []
    for bound, default in ((threat.lower, 0.0), (threat.upper, 1.0)):
        value = torch.as_tensor(default if bound is None else bound, dtype=torch.float64)
        ends.append(value.clamp(0.0, 1.0).expand(size))
    return ends[0], ends[1]


def dearest(threat: ThreatModel, table: TableThreat, place: slice) -> float:
    """Greatest price of one unit of change of a column's inputs."""
    return float(threat.cost_for((table.size,))[place].max())


def amount_text(amount: float | None) -> str:
    """An amount in a column's units, rounded down; words where there is no limit, or no change at all."""
    if amount is None:
        return "cannot"
    return "any amount" if math.isinf(amount) else floor_significant(amount, 4)


def table_of(scaling: TableScaling | None) -> TableThreat:
    """The columns of a model; an `InputError` for a model without."""
    if scaling is None:
        raise refuse("model", "of a table, with named columns", "one of other data")
    return TableThreat(scaling)
