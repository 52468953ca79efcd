"""Rows by column name, and texts, as requests to the model of a table hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor

from asymcert._checks import did_you_mean
from asymcert.datasets.column_plan import ColumnPlan
from asymcert.datasets.columns import Column, NumericColumn
from asymcert.datasets.scaling import TableScaling
from asymcert.serve.numbers import NumberRows
from asymcert.serve.questions import ROWS, TEXTS
from asymcert.serve.reading import Readable, Reader

SHOWN = 60  # characters of a column's name in a problem
MOST_NAMED = 8  # columns in a problem
Group = tuple[int | None, frozenset[str]]
PLAIN_CELLS = frozenset({int, float, str, type(None)})
PLAIN: Group = (None, frozenset())  # rows whose numbers are numbers


class _CleanRows(Readable):
    def __init__(self, problems: dict[int, str], places: np.ndarray, frame: pl.DataFrame, scaling: TableScaling):
        super().__init__(problems, places)
        self.frame, self.scaling = frame, scaling

    @property
    def lengths(self) -> list[int]:
        """Characters of the longest text of each row."""
        texts = [values.str.len_chars() for values in self.frame.get_columns() if values.dtype == pl.String]
        longest = np.max([np.zeros(self.frame.height, np.int64), *(text.to_numpy() for text in texts)], axis=0)
        return longest.tolist()

    def encode(self, chosen: slice) -> Tensor:
        """Inputs (n, d)."""
        return self.scaling.encode(self.frame[chosen])


class RowReader(Reader):
    """Rows with a value for each column that training used; columns that it left out are ignored.

    Numbers may be written as texts, as in the table's file, and as true and false in columns that hold nothing else in
    training, or nothing but 0 and 1. Rows that write the same columns so are read together with
    the others of their request, because a table has one decimal sign; all other rows, whatever request they come from.

    Parameters
    ----------
    scaling
        How a table's columns become inputs.
    """

    def __init__(self, scaling: TableScaling):
        self.scaling = scaling
        plan = scaling.plan.columns if scaling.plan is not None else _plan_of(scaling)
        self.used = tuple(column for column in plan if column.outputs)
        self.dropped = frozenset(column.name for column in plan) - {column.name for column in self.used}
        self.names = frozenset(column.name for column in self.used)
        self.numbers = tuple(column.name for column in self.used if column.kind == "number")
        self.no_truth = frozenset(self.numbers) - {column.name for column in scaling.columns if _of_truth(column)}
        self.text = self.used[0].name if len(self.used) == 1 and self.used[0].kind == "text" else None
        self.asks = [{"name": column.name, "kind": column.kind} for column in self.used]
        self.plain = NumberRows(scaling) if NumberRows.fits(scaling) else None
        self.kinds = (ROWS,) if self.text is None else (TEXTS, ROWS)

    def read(self, kind: str, parts: Sequence[Sequence[Any]]) -> Readable:
        """Clean columns of the rows or texts that can be read."""
        problems: dict[int, str] = {}
        groups: dict[Group, dict[int, dict[str, Any]]] = {}
        place = -1
        for number, part in enumerate(parts):
            for sample in part:
                place += 1
                row: Any = {self.text: sample} if kind == TEXTS else sample
                if (problem := self._problem(row, kind)) is not None:
                    problems[place] = problem
                else:
                    written = frozenset(name for name in self.numbers if type(row[name]) is str)
                    groups.setdefault((number if written else None, written), {})[place] = row
        if self.plain is not None and set(groups) == {PLAIN}:
            rows = groups[PLAIN]
            return self.plain.read(list(rows.values()), np.fromiter(rows, np.int64, len(rows)), problems)
        clean = [self._clean(rows, written, problems) for (_, written), rows in groups.items()]
        places = np.concatenate([np.empty(0, np.int64), *(places for places, _ in clean)])
        order = np.argsort(places)
        frame = pl.concat([frame for _, frame in clean])[order] if clean else pl.DataFrame()
        return _CleanRows(problems, places[order], frame, self.scaling)

    def _clean(
        self, rows: dict[int, dict[str, Any]], written: frozenset[str], problems: dict[int, str]
    ) -> tuple[np.ndarray, pl.DataFrame]:
        """Places and clean columns of the readable rows among some; `problems` learns of the others."""
        places = np.fromiter(rows, np.int64, len(rows))
        clean, reasons = self.scaling.read(self._frame(list(rows.values()), written))
        bad = reasons.is_not_null().arg_true().to_list()
        problems |= {int(places[row]): str(reasons[row]) for row in bad}
        good = np.setdiff1d(np.arange(len(rows)), bad)
        return places[good], clean[good] if bad else clean

    def _frame(self, rows: list[dict[str, Any]], written: frozenset[str]) -> pl.DataFrame:
        """The table that the rows are; numbers are numbers but in the columns that are `written`."""
        plain = set(self.numbers) - written
        columns = {}
        for name in self.names:
            values = [row[name] for row in rows]
            if name in plain:
                numbers = [None if value is None else float(value) for value in values]
                columns[name] = pl.Series(name, numbers, pl.Float64)
            else:
                columns[name] = pl.Series(name, [_text(value) for value in values], pl.String)
        return pl.DataFrame(columns)

    def _problem(self, row: Any, kind: str) -> str | None:
        """Why a row has no values to read; None where it has."""
        if kind == TEXTS:
            return None if isinstance(row[self.text], str) else "must be a text"
        if not isinstance(row, dict):
            return "must be an object with a value for each column"
        if row.keys() != self.names:
            absent = [column.name for column in self.used if column.name not in row]
            unknown = [name for name in row if name not in self.names and name not in self.dropped]
            if unknown:
                hint = did_you_mean(unknown[0][:SHOWN], absent or self.names)
                return f"unknown columns: {_listed(unknown)}. {hint}".rstrip(" .")
            if absent:
                return f"lacks the columns: {_listed(absent)}"
        if PLAIN_CELLS.issuperset(map(type, row.values())):
            return None
        nested = [name for name in self.names if isinstance(row[name], list | dict)]
        truths = [name for name in self.numbers if name in self.no_truth and isinstance(row[name], bool)]
        if nested:
            return f"{_listed(nested)} must be a number or a text"
        return f"{_listed(truths)} must be a number or a text, got true or false" if truths else None


def _of_truth(column: Column) -> bool:
    """Whether a column of numbers may have been one of true and false in training, which are 1 and 0 there."""
    return isinstance(column, NumericColumn) and {column.low, column.high} <= {0.0, 1.0}


def _plan_of(scaling: TableScaling) -> tuple[ColumnPlan, ...]:
    """What a scaling without a plan takes its columns for."""
    texts = {column.name: column.kind != "categories" for column in scaling.columns if column.is_text}
    kinds = {True: "text", False: "category"}
    return tuple(
        ColumnPlan(column.name, kinds[texts[column.name]] if column.name in texts else "number")
        for column in scaling.columns
    )


def _text(value: Any) -> str | None:
    """A cell as text; whole numbers lose the ``.0`` that only tells how they were stored."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:SHOWN]) for name in names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"
