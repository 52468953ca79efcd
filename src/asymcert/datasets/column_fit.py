"""Learning how a column of a table becomes inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from asymcert.datasets.columns import CategoryColumn, Column, NumericColumn, unnamed
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

QUANTILES = (0.01, 0.99)


def clean(frame: pl.DataFrame) -> pl.DataFrame:
    """Numbers and booleans as Float64, text as String, NaN as missing; a `DataError` for infinite or other values."""
    import polars as pl

    return pl.DataFrame({values.name: _clean_column(values) for values in frame.get_columns()})


def _clean_column(values: pl.Series) -> pl.Series:
    import polars as pl

    if values.dtype in (pl.String, pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    if values.dtype == pl.Null:
        raise DataError(f"Column '{values.name}' has no values at all. Drop it.")
    if not values.dtype.is_numeric() and values.dtype != pl.Boolean:
        raise DataError(f"Column '{values.name}' must hold numbers or text, got {values.dtype}. Convert or drop it.")
    numbers = values.cast(pl.Float64)
    array = numbers.to_numpy()  # faster than an expression of polars for each of many columns
    infinite = np.isinf(array).sum()
    if infinite:
        raise DataError(f"Column '{values.name}' has {infinite} infinite values. Replace them or drop the rows.")
    return unnamed(numbers).fill_nan(None) if np.isnan(array).any() else numbers


def known_values(values: pl.Series) -> pl.Series:
    """Values that are not missing; a `DataError` where none is."""
    known = unnamed(values).drop_nulls() if values.null_count() else values
    if len(known) == 0:
        raise DataError(f"Column '{values.name}' has no values in the training rows. Drop it.")
    return known


def fit_column(name: str, known: pl.Series, scaling: str, impute: str | None, categories: int) -> Column:
    """Learn a column of numbers or categories from its values; see `TableScaling.fit`."""
    if not known.dtype.is_numeric():
        listed = _by_frequency(known)
        return CategoryColumn(name, None if impute is None else listed[0], tuple(listed[:categories]))
    low, high = _bounds(known.to_numpy(), scaling)
    return NumericColumn(name, _numeric_fill(known, impute), low, high)


def _bounds(values: np.ndarray, scaling: str) -> tuple[float, float]:
    low, high = (float(v) for v in np.quantile(values, QUANTILES if scaling == "quantile" else (0, 1)))
    return (low, high) if low < high else (float(values.min()), float(values.max()))


def _numeric_fill(known: pl.Series, impute: str | None) -> float | None:
    if impute is None:
        return None
    numbers = known.to_numpy()
    if impute == "mean":
        return float(numbers.mean())
    if impute == "median":
        return float(np.median(numbers))
    return 0.0 if impute == "zero" else _by_frequency(known)[0]


def _by_frequency(known: pl.Series) -> list[Any]:
    """Distinct values, the most frequent first, equally frequent ones in their own order."""
    import polars as pl

    counts = known.rename("value").value_counts(name="count")
    return counts.sort([pl.col("count"), pl.col("value")], descending=[True, False])["value"].to_list()
