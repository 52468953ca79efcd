"""What users have, arrays and data frames, as tables whose columns are numbers or categories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from asymcert._checks import refuse
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


def as_texts(X: Any) -> list[str]:
    """The texts of a list, an array, a series or a data frame of one column; half a surrogate pair is U+FFFD.

    Raises
    ------
    InputError
        Something is no text.
    """
    if is_frame(X) or getattr(X, "ndim", 1) == 2:
        if X.shape[1] != 1:
            raise refuse("X", "texts, or a data frame of one column", f"{X.shape[1]} columns", "Choose one.")
        X = as_frame(X, ["text"]).to_series() if is_frame(X) else X[:, 0]
    if isinstance(X, str | bytes) or not isinstance(X, Iterable):
        raise refuse("X", "a list of texts", type(X).__name__, "Put a single text into a list.")
    texts = list(X)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise refuse("X", "made of texts", f"{type(text).__name__} at place {place}", "Convert it or leave it out.")
    return [_whole(text) for text in texts]


def _whole(text: str) -> str:
    if text.isascii():
        return str(text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
