"""How a table's columns become inputs, kept with the model that was trained on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from asymcert._checks import check_choice, check_count, refuse, several
from asymcert.datasets.column_fit import clean, fit_column, known_values
from asymcert.datasets.column_plan import ColumnPlan
from asymcert.datasets.columns import (
    WORD_CAP,
    Column,
    WordColumn,
)
from asymcert.datasets.plan import Plan, check_readable, joined
from asymcert.datasets.stored_columns import column_from_dict
from asymcert.datasets.text_columns import WindowsColumn
from asymcert.datasets.text_columns import fitted as fitted_texts
from asymcert.errors import DataError
from asymcert.texts.options import TextOptions

if TYPE_CHECKING:
    import polars as pl

SCALINGS = ("quantile", "min-max")
REFUSE = "refuse"
IMPUTATIONS = ("mean", "median", "zero", "most-frequent", REFUSE)


@dataclass(frozen=True)
class TableScaling:
    """Columns of a table as inputs in [0, 1].

    - A numeric column becomes ``(value - low) / (high - low)``, clipped to [0, 1]. The bounds are the training
      rows' 1 % and 99 % quantiles, or least and greatest value (also where the two quantiles are equal). Clipping is
      part of the scaling; it is 1-Lipschitz, so certificates in scaled units carry over. A constant column becomes 0.
    - A text column becomes one input for each of its most frequent values and one for all others.
    - A column of running text becomes features of a vocabulary, 0 or 1, where it stands alone those of its windows;
      or hashed word counts, ``min(count, cap) / cap``.

    Parameters
    ----------
    columns
        One for each clean column of the table, in order.
    plan
        How clean columns are read from a table's own; None reads numbers and texts as they are.
    double
        Whether inputs are kept in double precision, so that radii in the columns' own units lose nothing to rounding.
    """

    columns: tuple[Column, ...]
    plan: Plan | None = None
    double: bool = False

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if not names or len(set(names)) != len(names):
            raise refuse("columns", "at least one, with different names", names)
        if self.plan is not None and list(self.plan.sources) != names:
            raise refuse("plan", f"one that gives the columns {names}", list(self.plan.sources))

    @classmethod
    def fit(
        cls,
        frame: pl.DataFrame,
        scaling: str = "quantile",
        *,
        impute: str | None = None,
        text: str | Sequence[str] | None = None,
        categories: int = 20,
        words: int | None = None,
        texts: TextOptions | None = None,
        windows: bool = False,
        gaps: Collection[str] = (),
    ) -> TableScaling:
        """Learn the scaling from training rows.

        Parameters
        ----------
        frame
            Feature columns only: numbers, booleans or text.
        scaling
            ``"quantile"`` or ``"min-max"``.
        impute
            What numeric columns take for missing values: ``"mean"``, ``"median"``, ``"zero"`` or
            ``"most-frequent"``, all of training rows. Text columns then take their most frequent value, running
            text is taken as empty. None refuses missing values, but for the columns in `gaps`.
        text
            Columns of running text; by default a text column that is the only column.
        categories
            Most values of a text column that get an input of their own.
        words
            Inputs for running text, by hashed counts of words; by default a vocabulary is learned.
        texts
            How it is learned.
        windows
            Whether the only column becomes the features of its windows, see `WindowsColumn`.
        gaps
            Columns whose missing values are filled where `impute` is None: numbers by the median.

        Raises
        ------
        InputError
            An unknown option.
        DataError
            No rows or columns, missing or infinite values, or a column of dates, lists or the like.
        """
        check_choice("scaling", scaling, SCALINGS)
        check_choice("impute", impute or IMPUTATIONS[0], IMPUTATIONS)
        check_count("categories", categories)
        check_count("words", 1 if words is None else words)
        for name in several(text):
            check_choice("text", name, frame.columns)
        if frame.height == 0 or frame.width == 0:
            raise DataError(
                f"The table has {frame.height} rows and {frame.width} feature columns. Provide at least one."
            )
        frame = clean(frame)
        running = several(text) or running_text(frame)
        impute = None if impute == REFUSE else impute
        fills = dict.fromkeys(gaps, "median") if impute is None else dict.fromkeys(frame.columns, impute)
        columns: list[Column] = []
        for values in frame.get_columns():
            name, fill, known = values.name, fills.get(values.name), known_values(values)
            if name in running and known.dtype.is_numeric():
                raise refuse("text", "a column of text", f"'{name}' of numbers")
            if name not in running:
                columns.append(fit_column(name, known, scaling, fill, categories))
            elif words is None:
                texts = texts or TextOptions()
                columns.append(fitted_texts(name, fill and "", known.to_list(), texts, windows))
            else:
                columns.append(WordColumn(name, fill and "", words, WORD_CAP))
        return cls(tuple(columns))

    @cached_property
    def _reader(self) -> Plan:
        kinds = (ColumnPlan(column.name, "text" if column.is_text else "number") for column in self.columns)
        return self.plan or Plan(tuple(kinds))

    def _read(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Clean columns, and what is wrong in each row but for missing values."""
        clean, reasons = self._reader.read(frame)
        pairs = zip(self.columns, clean.get_columns(), strict=True)
        unfit = {column.name: why for column, values in pairs if (why := column.unfit(values)) is not None}
        return clean, joined({"": reasons, **unfit}, frame.height) if unfit else reasons

    def read(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Clean columns with missing values filled, and what is wrong in each row: text, null where nothing is.

        Raises
        ------
        DataError
            A column is absent, or holds lists or the like.
        """
        import polars as pl

        clean, reasons = self._read(frame)
        unfilled = {"": reasons}
        filled = {}
        for column, values in zip(self.columns, clean.get_columns(), strict=True):
            filled[column.name] = values if column.fill is None else column.filled(values)
            if column.fill is None and values.null_count():
                empty = values.is_null() & reasons.is_null()
                unfilled[column.name] = (
                    pl.Series([f"{column.name}: no value"]).new_from_index(0, len(values)).set(~empty, None)
                )
        return pl.DataFrame(filled), joined(unfilled, frame.height)

    def impute(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Clean columns, in order, with missing values filled; other columns of the table are left out.

        Raises
        ------
        DataError
            A column is absent or of another type, or a value is missing, infinite, or not of its column's kind.
        """
        import polars as pl

        clean, reasons = self._read(frame)
        check_readable(reasons)
        pairs = zip(self.columns, clean.get_columns(), strict=True)
        return pl.DataFrame({column.name: column.filled(values) for column, values in pairs})

    def transform(self, frame: pl.DataFrame) -> Tensor:
        """Inputs of a table.

        Parameters
        ----------
        frame
            The columns of training, by name; others are ignored.

        Returns
        -------
        Tensor
            Of the type `dtype`, shape (n, d), in [0, 1].

        Raises
        ------
        DataError
            As in `impute`.
        """
        return self.encode(self.impute(frame))

    def encode(self, frame: pl.DataFrame) -> Tensor:
        """Inputs (n, d) of the rows of a frame that `read` or `impute` gave and that lack no value."""
        pairs = zip(self.columns, frame.get_columns(), strict=True)
        parts = [column.encode(values).astype(self.dtype, copy=False) for column, values in pairs]
        return torch.from_numpy(np.concatenate(parts, axis=1))

    @property
    def dtype(self) -> type[np.floating]:
        """Type of the inputs, float32 or float64."""
        return np.float64 if self.double else np.float32

    @property
    def windows(self) -> WindowsColumn | None:
        """The column of texts whose inputs are lists of the features of their windows; None for tables."""
        return next((column for column in self.columns if isinstance(column, WindowsColumn)), None)

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the d inputs."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @cached_property
    def units(self) -> tuple[float, ...]:
        """Original units in one scaled unit, for each input.

        NaN for categories and words, which have no unit; infinite for a constant column, whose input never moves.
        """
        return tuple(unit for column in self.columns for unit in column.units)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; `from_dict` gives an equal scaling back."""
        plan = {} if self.plan is None else {"plan": self.plan.to_dict()}
        double = {"double": True} if self.double else {}
        return {"columns": [column.to_dict() for column in self.columns], **plan, **double}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TableScaling:
        """Read what `to_dict` gave; an `InputError` for unknown keys or values that make no scaling."""
        known = isinstance(values, Mapping) and {"columns"} <= set(values) <= {"columns", "plan", "double"}
        if not known or not isinstance(values["columns"], list):
            raise refuse("scaling", "a dictionary with a list of 'columns', and a 'plan'", repr(values)[:80])
        plan = Plan.from_dict(values["plan"]) if "plan" in values else None
        double = values.get("double", False)
        if not isinstance(double, bool):
            raise refuse("double", "True or False", repr(double))
        return cls(tuple(column_from_dict(column) for column in values["columns"]), plan, double)


def running_text(frame: pl.DataFrame) -> tuple[str, ...]:
    """The columns of running text when none is named: the only column, if it is text."""
    only = frame.width == 1 and not frame.to_series().dtype.is_numeric()
    return tuple(frame.columns) if only else ()
