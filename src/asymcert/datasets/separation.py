"""How far one column alone tells the classes apart: so far that it may say what is known only afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asymcert.datasets.labels import class_counts
from asymcert.datasets.plan import Plan

if TYPE_CHECKING:
    import polars as pl

BINS = 20
SUSPICIOUS = 0.995  # area under the curve
LEAST_ROWS, MOST_ROWS = 100, 20_000  # short tables are told apart by chance; long ones are looked at in part
Counts = NDArray[np.int64]


def suspects(frame: pl.DataFrame, y: NDArray[np.bool_], plan: Plan, texts: Collection[str]) -> list[str]:
    """What to say of columns of the file that alone tell the classes apart.

    Parameters
    ----------
    frame
        Clean columns, of which those of running `texts` are left out.
    y
        Which rows are sensitive, (n,).
    plan
        What the columns were.
    """
    step = 1 + (len(y) - 1) // MOST_ROWS
    areas: dict[str, float] = {}
    for values in frame[::step].get_columns():
        if values.name not in texts:
            name = plan.sources[values.name]
            areas[name] = max(areas.get(name, 0.0), separation(values, y[::step]))
    return said(areas, len(y))


def said(areas: Mapping[str, float], rows: int) -> list[str]:
    """What to say of those columns whose areas under the curve are suspicious, in so many rows."""
    return [_said(name, area) for name, area in areas.items() if area >= SUSPICIOUS and rows >= LEAST_ROWS]


def _said(name: str, area: float) -> str:
    known = f"area under the curve {area:.4f}"
    return (
        f"'{name}' alone tells the classes apart ({known}): is it known before the verdict is? "
        f"If not: --drop {shlex.quote(name)}"
    )


def bins_of(values: pl.Series, even: bool = False) -> Counts:
    """Number of a bin for each row: of a category's value, or of numbers, by width or by quantile; 0 is missing."""
    import polars as pl

    values = values.alias("value")  # some names are patterns to polars
    if not values.dtype.is_numeric():
        frequent = class_counts([values.drop_nulls()])
        places = {value: place for place, value in enumerate(list(frequent)[:BINS], 1)} | {None: 0}
        return values.replace_strict(places, default=BINS + 1, return_dtype=pl.Int64).to_numpy()
    numbers = values.to_numpy().astype(np.float64)
    known = numbers[~np.isnan(numbers)]
    if len(known) == 0:
        return np.zeros(len(numbers), np.int64)
    low, high = np.quantile(known, (0.01, 0.99))
    steps = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = low + (high - low) * steps if even else np.unique(np.quantile(known, steps))
    return np.where(np.isnan(numbers), 0, np.searchsorted(edges, numbers, side="right") + 1)


def by_class(bins: Counts, y: NDArray[np.bool_]) -> Counts:
    """Rows of the sensitive and of the other class in each bin, shape (2, number of bins)."""
    return np.stack([np.bincount(bins[rows], minlength=BINS + 2) for rows in (y, ~y)])


def separation(values: pl.Series, y: NDArray[np.bool_]) -> float:
    """Area under the curve of the best rule on one column alone: it takes the bins by their share of sensitive rows."""
    counts = by_class(bins_of(values), y)
    hostile, other = counts[:, counts.sum(0) > 0].astype(np.float64)
    if not hostile.sum() or not other.sum():
        return 0.5
    order = np.argsort(hostile / (hostile + other))
    hostile, other = hostile[order] / hostile.sum(), other[order] / other.sum()
    return float((hostile * (np.cumsum(other) - other / 2)).sum())
