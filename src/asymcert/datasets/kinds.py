"""What the texts of one column stand for: numbers with marks, times, addresses, identifiers, counts of rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from asymcert.datasets.columns import unnamed
from asymcert.datasets.parse import (
    SIZES,
    TIME_FORMATS,
    TRUTH,
    is_missing,
    numbers_of,
    plain_numbers,
    stripped,
    times_of,
    units_of,
)

if TYPE_CHECKING:
    import polars as pl

MOSTLY = 0.9  # a column with this share of numbers (times, addresses) was meant to hold them
DENSE = 1.1  # whole numbers, all different, that fill this times their number count the rows
FEW = 20  # values below which it says nothing that all are different
_PORT = re.compile(r"(?i)(?:^|[^a-z])(?:src|dst|s|d)?port[ _]?(?:no|num|number)?$")
_DATE_LIKE = r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"


def known_texts(values: pl.Series, missing: tuple[str, ...]) -> pl.Series:
    """Stripped texts of a column that are neither null nor one of the words for missing ones."""
    texts = stripped(values)
    return texts.filter(~is_missing(texts, missing))


def number_style(known: pl.Series, decimal: str) -> tuple[str, str]:
    """Decimal sign and unit by which most of the texts are numbers; `decimal` where both signs would do."""
    if known.str.to_lowercase().is_in(list(TRUTH)).all():
        return ".", "truth"
    marks = units_of(known)
    units = marks.drop_nulls().unique()
    unit = ""
    if marks.null_count() > len(known) / 2:
        units = units.clear()
    if units.is_in(list(SIZES)).all() and len(units):
        unit = "bytes"
    elif len(units) == 1 and (marks.null_count() == 0 or not units[0][:1].isalpha()):
        unit = units[0]
    wrong = {sign: numbers_of(known, sign, unit).null_count() for sign in (decimal, ".", ",")}
    return min(wrong, key=wrong.__getitem__), unit


def has_decimal_commas(values: pl.Series, missing: tuple[str, ...]) -> bool:
    """Whether a column holds numbers that can only be read with a comma for the decimal sign."""
    known = known_texts(values, missing)
    return len(known) > 0 and plain_numbers(known).null_count() > 0 == plain_numbers(known, ",").null_count()


def time_format(known: pl.Series) -> str | None:
    """The format that most of the texts are times in, or None."""
    if not known.head(FEW).str.contains(_DATE_LIKE).any():
        return None
    wrong = {each: times_of(known, each).null_count() for each in TIME_FORMATS}
    best = min(wrong, key=wrong.__getitem__)
    return best if wrong[best] <= (1 - MOSTLY) * len(known) else None


def is_constant(values: pl.Series) -> bool:
    """Whether all values that are not missing are equal."""
    if not values.dtype.is_numeric():
        return unnamed(values).drop_nulls().n_unique() == 1
    numbers = values.to_numpy()  # faster than an expression of polars for each of many columns
    known = numbers[~np.isnan(numbers)]
    return len(known) > 0 and bool((known == known[0]).all())


def counts_rows(values: pl.Series) -> bool:
    """Whether numbers only say which row it is: they go up by one, or are all different without gaps."""
    if not values.dtype.is_integer() or values.null_count() or len(values) < FEW:
        return False
    numbers = values.to_numpy().astype(np.float64)
    if (np.diff(numbers) == 1).mean() >= MOSTLY:
        return True
    return float(np.ptp(numbers)) < DENSE * len(numbers) and len(np.unique(numbers)) == len(numbers)


def is_identifier(known: pl.Series) -> bool:
    """Whether nearly all of many texts are different."""
    return len(known) >= FEW and known.n_unique() >= MOSTLY * len(known)


def is_port(name: str) -> bool:
    """Whether a column's name says that it holds port numbers."""
    return _PORT.search(name) is not None


def lonely(known: pl.Series) -> list[tuple[str, int]]:
    """The only negative number there is, with its count: it may mean no value."""
    negative = known.filter(known.str.contains(r"^-\d+(?:\.0)?$"))
    return negative.value_counts().rows() if negative.n_unique() == 1 else []
