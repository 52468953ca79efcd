"""What users have, arrays and data frames, as tables whose columns are numbers or categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from asymcert.datasets.plan import ColumnPlan, Plan, check_readable
from asymcert.datasets.scaling import TableScaling, clean


def is_frame(X: Any) -> bool:
    """Whether it is a data frame of polars or pandas, which is recognised by what it can do."""
    return isinstance(X, pl.DataFrame) or all(hasattr(X, name) for name in ("iloc", "columns", "dtypes"))


def as_frame(X: Any, names: Sequence[str]) -> pl.DataFrame:
    """An array (n, d) or a data frame as a polars frame of `names`, column by column: none is copied through Arrow."""
    if isinstance(X, np.ndarray):
        return pl.DataFrame(X, schema=list(names), orient="row")
    frame = isinstance(X, pl.DataFrame)
    columns = X.get_columns() if frame else [_series(X.iloc[:, place]) for place in range(X.shape[1])]
    return pl.DataFrame([values.alias(name) for name, values in zip(names, columns, strict=True)])


def fit_scaling(frame: pl.DataFrame, impute: str | None, categories: int) -> TableScaling:
    """How a frame's columns become inputs: its types say which are categories, and nothing else is guessed.

    Numbers and booleans are scaled by their range. A column of text that is the only one is running text.

    Raises
    ------
    DataError
        Infinite values, missing ones where `impute` is None, or a column of dates, lists or the like.
    """
    text = "text" if frame.width == 1 else "category"
    kinds = ("number" if values.dtype.is_numeric() else text for values in clean(frame).get_columns())
    plan = Plan(tuple(ColumnPlan(name, kind) for name, kind in zip(frame.columns, kinds, strict=True)))
    known, reasons = plan.read(frame)
    check_readable(reasons)
    fitted = TableScaling.fit(known, "min-max", impute=impute, categories=categories)
    return replace(fitted, plan=plan, double=True)


def _series(values: Any) -> pl.Series:
    """A column of pandas."""
    kind = getattr(values.dtype, "kind", "O")
    if kind in "biuf":  # of numpy, and those of pandas that know missing values
        return pl.Series(values.to_numpy(np.float64, na_value=np.nan))
    if kind in "mM":
        return pl.Series(values.to_numpy())
    known = [None if absent else value for value, absent in zip(values.tolist(), values.isna(), strict=True)]
    series = pl.Series(known, strict=False)
    return series.cast(pl.String) if hasattr(values, "cat") else series
