"""Threat models of tables: from columns and their units to the scaled inputs and back."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asymcert._checks import check_number, refuse
from asymcert.datasets.columns import CategoryColumn, Column, NumericColumn, WordColumn
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import InputError
from asymcert.threats.column_names import nearest, pattern_of
from asymcert.threats.limits import Limits
from asymcert.threats.model import ThreatModel
from asymcert.threats.table_words import word_edits

OF_ONE = ("lower", "upper", "max_change", "values", "between")  # a date's hour and its weekday have no bound in common
MOST_STARS = 300  # in the patterns of one key


class TableThreat:
    """What is said of a table's columns, said of the inputs that they became.

    A bound goes through the scaling itself, so that a value within it in the table is within it as an input too.

    Parameters
    ----------
    scaling
        How the columns became inputs.
    """

    def __init__(self, scaling: TableScaling):
        self.columns, self.dtype = scaling.columns, scaling.dtype
        self.sources = {} if scaling.plan is None else scaling.plan.sources
        self.inputs = [column.inputs for column in scaling.columns]
        ends = np.cumsum(self.inputs).tolist()
        self.places = [slice(end - count, end) for count, end in zip(self.inputs, ends, strict=True)]
        self.size: int = ends[-1]
        self.positions = {column.name: position for position, column in enumerate(scaling.columns)}

    @cached_property
    def constant(self) -> Tensor:
        """Bool (d,): inputs that are the same whatever the table's value."""
        return self._of([is_constant(column) for column in self.columns]).bool()

    @cached_property
    def whole(self) -> dict[str, list[int]]:
        """Positions of what each of the table's columns became, by its name: hour, weekday and day of one date."""
        parts: dict[str, list[int]] = {}
        for position, column in enumerate(self.columns):
            parts.setdefault(self.sources.get(column.name, column.name), []).append(position)
        return parts

    @cached_property
    def groups(self) -> Tensor:
        """Int64 (d,): the number of the table's column, in the order of `whole`, of each input."""
        numbers = {position: number for number, parts in enumerate(self.whole.values()) for position in parts}
        return self._of([numbers[position] for position in range(len(self.columns))]).long()

    @cached_property
    def exclusive(self) -> Tensor:
        """Bool (d,): inputs of categories, of which one is 1."""
        return self._of([isinstance(column, CategoryColumn) for column in self.columns]).bool()

    def counting(self, **parts: Any) -> ThreatModel:
        """An adversary that is measured by how many columns he changes, each to any value that it can have.

        Parameters
        ----------
        parts
            As of `ThreatModel`.
        """
        known: dict[str, Any] = {"lower": 0.0, "upper": 1.0, "groups": self.groups, "exclusive": self.exclusive}
        known |= {"mutable": ~self.constant} if self.constant.any() else {}
        return ThreatModel(norm=0, **known | parts)

    def words(
        self,
        kinds: Mapping[str, float] | Sequence[str],
        protected: Sequence[str] = (),
        name: str | None = None,
        **options: bool,
    ) -> ThreatModel:
        """An adversary that is measured by the words that he edits; see `word_edits` for the arguments."""
        edits = word_edits(self.columns, kinds, protected, **options)
        return ThreatModel(norm=0, lower=0.0, upper=1.0, name=name, edits=edits)

    def bounds(self, key: str, values: Mapping[str, object]) -> Tensor:
        """Float64 (d,): ``lower`` or ``upper`` of the scaled inputs; their range where a column is not named."""
        default = 0.0 if key == "lower" else 1.0
        per_column = [default] * len(self.columns)
        for position, value in self._assigned(key, values).items():
            column = self.columns[position]
            number = _number(key, column, value)
            if isinstance(column, NumericColumn):
                encoded = scaled_value(column, number, self.dtype)
                per_column[position] = default if is_constant(column) else encoded
            elif isinstance(column, WordColumn):
                per_column[position] = float(self.dtype(min(max(number, 0.0), column.cap) / column.cap))
            else:
                raise _no_order(key, column)
        return self._of(per_column)

    def costs(self, values: Mapping[str, object], norm: float) -> Tensor:
        """Float64 (d,): price of one unit of scaled change (norm 0: of any), rounded down; 1 for columns not named."""
        per_column = [1.0] * len(self.columns)
        for position, value in self._assigned("cost", values).items():
            column = self.columns[position]
            price = _number("cost", column, value)
            if price <= 0:
                remedy = "Use `immutable` to forbid a change."
                raise refuse(f"cost of column '{column.name}'", "positive", value, remedy)
            unit = 1.0 if norm == 0 else unit_of(column, norm)
            per_column[position] = 1.0 if is_constant(column) and norm != 0 else _product(price, unit)
        for name, positions in self.whole.items() if norm == 0 else ():
            if len(prices := {per_column[each] for each in positions}) > 1:
                remedy = f"Name '{name}', which is one column here."
                raise refuse("cost", f"one price for all parts of '{name}'", sorted(prices), remedy)
        return self._of(per_column)

    def limits(self, parts: Mapping[str, Mapping[str, object]]) -> Limits:
        """Limits within a row, each with values by column, in the table's units.

        Parameters
        ----------
        parts
            ``max_change``: a share such as ``20 %``, of numbers; ``values``: a list, of numbers or categories;
            ``between``: the names of two columns, all three of numbers.
        """
        scales = [_scale(column) for column in self.columns]
        share, between = [math.inf] * len(self.columns), []
        values: list[Tensor | None] = [None] * self.size
        for position, text in self._assigned("max_change", parts.get("max_change", {})).items():
            self._numeric("max_change", position)
            share[position] = _share(self.columns[position].name, text)
        for position, listed in self._assigned("values", parts.get("values", {})).items():
            values[self.places[position]] = _listed(self.columns[position], listed, self.dtype)
        for position, ends in self._assigned("between", parts.get("between", {})).items():
            three = (position, *self._two(position, ends))
            between.append([self.places[self._numeric("between", each)].start for each in three])
        return Limits(
            self._of([base for base, _ in scales]),
            self._of([unit for _, unit in scales]),
            self._of(share) if parts.get("max_change") else None,
            tuple(values) if parts.get("values") else None,
            torch.tensor(between, dtype=torch.int64) if between else None,
        )

    def _numeric(self, key: str, position: int) -> int:
        if not isinstance(self.columns[position], NumericColumn):
            raise refuse(key, "about columns of numbers", repr(self.columns[position].name))
        return position

    def _two(self, position: int, names: object) -> list[int]:
        if not isinstance(names, list) or len(names) != 2 or not all(name in self.positions for name in names):
            raise refuse(f"between of column '{self.columns[position].name}'", "the names of two columns", repr(names))
        return [self.positions[name] for name in names]

    def mask(self, key: str, names: Sequence[str], ordered: bool = False) -> Tensor:
        """Bool (d,): inputs of the named columns; `ordered` refuses categories, which cannot grow or shrink."""
        self._check_patterns(key, names)
        chosen = {position for name in names for position in self._matching(key, name)}
        for position in chosen:
            if ordered and isinstance(self.columns[position], CategoryColumn):
                raise _no_order(key, self.columns[position])
        return self._of([position in chosen for position in range(len(self.columns))]).bool()

    def check_inside(self, threat: ThreatModel, x: Tensor) -> None:
        """Refuse inputs (n, d) outside the threat model's box, as `ThreatModel.check` does, naming their columns."""
        outside = torch.zeros_like(x, dtype=torch.bool)
        if threat.lower is not None:
            outside |= x < torch.as_tensor(threat.lower).to(x)
        if threat.upper is not None:
            outside |= x > torch.as_tensor(threat.upper).to(x)
        parts = zip(self.positions, outside.split(self.inputs, dim=1), strict=True)
        counts = {name: int(part.any(1).sum()) for name, part in parts}
        found = [f"{name} ({count} of {len(x)})" for name, count in counts.items() if count]
        if found:
            columns = f"samples outside it in the columns {', '.join(found)}"
            raise refuse(
                "lower", f"with `upper` a box of {threat.describe()} around every sample", columns, "Widen it."
            )

    def _of(self, per_column: Sequence[float]) -> Tensor:
        """One value for each column, repeated for its inputs."""
        return torch.from_numpy(np.repeat(np.array(per_column, dtype=np.float64), self.inputs))

    def _assigned(self, key: str, values: Mapping[str, object]) -> dict[int, object]:
        """Value of each named column: later patterns override earlier ones, exact names override patterns.

        The name of a column that was taken apart is a pattern for its parts.
        """
        ordered = sorted(values.items(), key=lambda entry: entry[0] in self.positions)  # stable: names after patterns
        self._check_patterns(key, values)
        return {position: value for name, value in ordered for position in self._matching(key, name)}

    def _matching(self, key: str, name: str) -> list[int]:
        if name in self.positions:
            return [self.positions[name]]
        if name in self.whole:
            if key in OF_ONE:
                parts = [self.columns[position].name for position in self.whole[name]]
                raise refuse(key, f"about one part of '{name}': {', '.join(map(repr, parts))}", repr(name))
            return self.whole[name]
        pattern = pattern_of(name) if "*" in name else None
        found = [position for known, position in self.positions.items() if pattern and pattern.fullmatch(known)]
        if not found:
            known = list(dict.fromkeys([*self.whole, *self.positions]))
            raise refuse(key, f"about columns of the table, {nearest(name, known)}", repr(name))
        return found

    def _check_patterns(self, key: str, names: Collection[str]) -> None:
        """Each pattern is held against every column."""
        stars = sum(name.count("*") for name in set(names) - self.positions.keys() - self.whole.keys())
        if stars > MOST_STARS:
            raise refuse(key, f"made of names with at most {MOST_STARS} '*' in all", stars)


def is_constant(column: Column) -> bool:
    """Whether a column's input never moves: all training values were equal."""
    return isinstance(column, NumericColumn) and column.low == column.high


def unit_of(column: Column, norm: float) -> float:
    """The table's units in one unit of size of the scaled inputs, where only this column changes.

    The range of numbers, the number of words; for a category the number of changes of its value, of
    which each takes one input down by 1 and another up by 1, a change of size ``2^(1/p)``. Rounded down.
    """
    if isinstance(column, NumericColumn):
        return column.units[0]
    if column.words_in_unit is not None:
        return column.words_in_unit
    if norm == 1 or math.isinf(norm):
        return 0.5 if norm == 1 else 1.0
    return 2.0 ** (-1.0 / norm) * (1.0 - 2.0**-50)


def scaled_value(column: NumericColumn, value: float, dtype: type[np.floating]) -> float:
    """The input that a value of a numeric column becomes, as a scaling to inputs of `dtype` computes it."""
    return float(column.scaled(np.array([value]))[0].astype(dtype))


def _scale(column: Column) -> tuple[float, float]:
    """What an input of a column stands for at 0, and how much more at 1, in the table's units if it has any."""
    if not isinstance(column, NumericColumn) or is_constant(column):
        return 0.0, 1.0
    return column.low, column.units[0]


def _share(name: str, text: object) -> float:
    """A share written in percent, rounded up."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*", text[:30]) if isinstance(text, str) else None
    if found is None:
        raise refuse(f"max_change of column '{name}'", "a share in percent", repr(text), "Example: '20 %'.")
    return math.nextafter(float(found[1]) / 100.0, math.inf)


def _listed(column: Column, values: object, dtype: type[np.floating]) -> list[Tensor | None]:
    """What each input of a column may become, so that the column has one of the values."""
    name = f"values of column '{column.name}'"
    if not isinstance(values, list) or not values:
        raise refuse(name, "a list of at least one", repr(values))
    if isinstance(column, NumericColumn):
        numbers = [scaled_value(column, _number("values", column, value), dtype) for value in values]
        return [None if is_constant(column) else torch.tensor(numbers, dtype=torch.float64)]
    if not isinstance(column, CategoryColumn) or not all(isinstance(value, str) for value in values):
        raise refuse(name, "numbers or, of a category, texts", repr(values))
    known = {value if value in column.values else None for value in values}  # others are one input, the last
    allowed = [[0.0, 1.0] if value in known else [0.0] for value in (*column.values, None)]
    return [torch.tensor(values, dtype=torch.float64) for values in allowed]


def _product(first: float, second: float) -> float:
    """Product of two positive floats, rounded down."""
    if not math.isfinite(first * second):
        return math.inf
    exact = Fraction(first) * Fraction(second)
    rounded = first * second
    return rounded if Fraction(rounded) <= exact else math.nextafter(rounded, 0.0)


def _number(key: str, column: Column, value: object) -> float:
    check_number(f"{key} of column '{column.name}'", value, -1e300, 1e300)
    return float(value)  # pyright: ignore[reportArgumentType] check_number has seen to it


def _no_order(key: str, column: Column) -> InputError:
    what = f"the {'category' if column.words_in_unit is None else 'text'} '{column.name}'"
    return refuse(key, "about numbers or words", what, "Use `immutable` or `cost` for it.")
