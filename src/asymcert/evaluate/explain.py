"""One certificate of a table, column by column: how far each alone may move before it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert.certify import Certifier
from asymcert.datasets.columns import CategoryColumn, Column, NumericColumn
from asymcert.evaluate.units import box_of, column_amount, dearest, table_of
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat

MOST_DIGITS = 17  # of a float64


@dataclass(frozen=True)
class ColumnRoom:
    """How far one column of one sample may move, all others staying as they are.

    Parameters
    ----------
    column
        Its name.
    value
        Its value in the sample, as far as the scaled inputs tell: clipped to the range of training; the listed value
        of a category; the number of words of running text.
    fall, rise
        Amounts in the column's units, rounded down, by which it may decrease and increase while the verdict is
        certified to stay: infinite where no decrease or increase can undo it, None where the threat model forbids it.
        A category has the same amount in both: infinite (any other value is safe) or 0. Running text counts words.
    """

    column: str
    value: float | str
    fall: float | None
    rise: float | None


def explain(
    model: BinaryClassifier, x: Tensor, threat: ThreatModel, certifier: Certifier
) -> tuple[float, list[ColumnRoom]]:
    """Certify a sample, then each of its columns alone against the same adversary.

    Parameters
    ----------
    model
        Classifier of a table.
    x
        One sample, (d,).
    threat
        The adversary.
    certifier
        What certifies; one that follows the threat model (tangent, refined, exact) finds the most room.

    Returns
    -------
    tuple
        The radius of the sample in the units of ``threat.size``, and one `ColumnRoom` for each column.

    Raises
    ------
    InputError
        The model is not of a table, `x` is not one sample, or the verdict on it is not sensitive.
    """
    table = table_of(model.scaling)
    if tuple(x.shape) != model.input_shape:
        raise refuse("x", f"one sample of shape {model.input_shape}", f"shape {tuple(x.shape)}")
    signs = [(position, sign) for position in range(len(table.columns)) for sign in (-1, 1)]
    alone = {key: single for key in signs if (single := _only(threat, table, *key)) is not None}
    whole, *parts = certifier.certify(model, x[None], [threat, *alone.values()])
    if not bool(whole.sensitive):
        remedy = "Choose a sample that is called sensitive."
        raise refuse("x", "a sample with a sensitive verdict", f"margin {float(whole.margin):.3g}", remedy)
    radii = {key: float(part.radius) for key, part in zip(alone, parts, strict=True)}
    rooms = []
    for position, column in enumerate(table.columns):
        fall, rise = (_room(table, position, sign, x, threat, radii.get((position, sign))) for sign in (-1, 1))
        if isinstance(column, CategoryColumn):
            fall = rise = None if fall is None or rise is None else min(fall, rise)
        rooms.append(ColumnRoom(column.name, column_value(column, x[table.places[position]]), fall, rise))
    return float(whole.radius), rooms


def _only(threat: ThreatModel, table: TableThreat, position: int, sign: int) -> ThreatModel | None:
    """The adversary that can move this one column, one way (a category: both); None if the other one cannot."""
    mutable = torch.zeros(table.size, dtype=torch.bool)
    mutable[table.places[position]] = True
    if threat.mutable is not None:
        mutable &= threat.mutable.cpu().expand(table.size)
    direction = torch.zeros(table.size, dtype=torch.int64)
    if threat.direction is not None:
        direction = direction + threat.direction.cpu()
    if not isinstance(table.columns[position], CategoryColumn):
        mutable &= direction != -sign
        direction = torch.full_like(direction, sign)
    return replace(threat, mutable=mutable, direction=direction, name=None) if bool(mutable.any()) else None


def _room(
    table: TableThreat, position: int, sign: int, x: Tensor, threat: ThreatModel, radius: float | None
) -> float | None:
    """Amount for one column and direction."""
    if radius is None:
        return None
    place, column = table.places[position], table.columns[position]
    low, high = (end[place] for end in box_of(threat, table.size))
    value = x[place].double().cpu()
    extent = high - low if isinstance(column, CategoryColumn) else (high - value if sign > 0 else value - low)
    return column_amount(column, radius, dearest(threat, table, place), extent, threat.norm)


def column_value(column: Column, x: Tensor) -> float | str:
    """The table's value that a column's inputs (k,) stand for, as far as they tell: see `ColumnRoom`.

    Of the numbers that become the same input, the one with the fewest digits, which is what was most likely written.
    """
    value = column.decode(x[None].double().cpu().numpy())[0]
    if not isinstance(column, NumericColumn) or not isinstance(value, float):
        return value
    shorter = np.array([float(f"{value:.{digits}g}") for digits in range(1, MOST_DIGITS)])
    own = x.cpu().numpy()
    inside = (shorter >= column.low) & (shorter <= column.high)  # others are clipped to the same input
    same = shorter[inside & (column.scaled(shorter).astype(own.dtype) == own)]
    return float(same[0]) if len(same) else value


def whole_value(table: TableThreat, name: str, x: Tensor) -> float | str:
    """The same of a column of the table that became several: each part's, by its name within the column; x is (d,)."""
    positions = table.whole[name]
    own = {table.columns[each].name: column_value(table.columns[each], x[table.places[each]]) for each in positions}
    return next(iter(own.values())) if len(own) == 1 else joined(name, own)


def joined(name: str, own: Mapping[str, float | str]) -> str:
    """Values of parts of a column: ``hour 5.25, weekday 1``."""
    told = {part.removeprefix(f"{name}: "): value for part, value in own.items()}
    return ", ".join(f"{part} {value if isinstance(value, str) else f'{value:.6g}'}" for part, value in told.items())
