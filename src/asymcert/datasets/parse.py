"""Texts of a table's cells as numbers, times and addresses: whole columns at a time, null where a text is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asymcert.datasets.columns import unnamed

if TYPE_CHECKING:
    import polars as pl

MISSING = ("", "nan", "na", "n/a", "#n/a", "null", "none", "?", "-")  # spellings of a missing number, in lower case
SIZES = {"b": 1.0, "bytes": 1.0} | {
    f"{prefix}{ending}": float(base**power)
    for power, prefix in enumerate("kmgtp", 1)
    for ending, base in (("b", 1000), ("ib", 1024))
}
CURRENCIES = "$€£¥"
TRUTH = {"true": 1.0, "false": 0.0}
_NUMBER = r"\d[\d.,' ]*(?:[eE][-+]?\d+)?|[.,]\d+(?:[eE][-+]?\d+)?"
_MARKED = rf"^([-+]?)\s*([{CURRENCIES}]?)\s*({_NUMBER})\s*([%{CURRENCIES}]|[A-Za-zµ]+(?:/[A-Za-z]+)?)?$"
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
TIME_FORMATS = tuple(f"{day}{clock}" for day in ("%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y") for clock in _CLOCKS)
_ZONE = r"(?:\.\d+)?\s*(?:Z|[-+]\d\d:?\d\d)?$"
_IPV4 = r"^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$"


def is_readable(dtype: pl.DataType) -> bool:
    """Whether a column of this type holds numbers, truth values, texts or times, and no lists or the like."""
    import polars as pl

    others = (pl.Boolean, pl.String, pl.Categorical, pl.Enum, pl.Date, pl.Datetime, pl.Null)
    return dtype.is_numeric() or any(dtype == other for other in others)


def stripped(values: pl.Series) -> pl.Series:
    """Texts without blanks around them, by a plain name."""
    import polars as pl

    return unnamed(values.cast(pl.String)).str.strip_chars()


def is_missing(texts: pl.Series, words: tuple[str, ...] = MISSING) -> pl.Series:
    """Which stripped texts are null or one of `words`, in any case."""
    lowered = [word.strip().lower() for word in words]
    return texts.is_null() | texts.str.to_lowercase().is_in(lowered)


def as_text(values: pl.Series) -> pl.Series:
    """A column as texts; whole numbers lose the ``.0`` that only tells how they were stored."""
    import polars as pl

    texts = unnamed(values.cast(pl.String))
    return texts.str.strip_suffix(".0") if values.dtype.is_float() else texts


def plain_numbers(texts: pl.Series, decimal: str = ".") -> pl.Series:
    """Float64 of stripped texts; thousands may be parted by commas (points where `decimal` is a comma), ' or blanks."""
    import polars as pl

    group = "," if decimal == "." else "."
    grouped = texts.str.contains(rf"^[-+]?\d{{1,3}}(?:[{group}' ]\d{{3}})+(?:[{decimal}]\d*)?$")
    bare = pl.select(pl.when(grouped).then(texts.str.replace_all(rf"[{group}' ]", "")).otherwise(texts)).to_series()
    if decimal == ",":
        bare = bare.set(bare.str.contains(".", literal=True), None).str.replace(",", ".", literal=True)
    return bare.cast(pl.Float64, strict=False)


def units_of(texts: pl.Series) -> pl.Series:
    """Marks beside the numbers (``%``, ``$``, ``KB``), lower-cased but for units of the user's own; null for none."""
    import polars as pl

    parts = texts.str.extract_groups(_MARKED).struct.unnest()
    before, after = (parts.to_series(place).replace({"": None}) for place in (1, 3))
    marks = pl.select(pl.coalesce(before, after)).to_series()
    lowered = marks.str.to_lowercase()
    return pl.select(pl.when(lowered.is_in(list(SIZES))).then(lowered).otherwise(marks)).to_series()


def marked_numbers(texts: pl.Series, decimal: str, unit: str) -> pl.Series:
    """Float64 of texts with marks in units of `unit`; ``bytes`` understands ``KB`` and its like."""
    import polars as pl

    parts = texts.str.extract_groups(_MARKED).struct.unnest()
    numbers = plain_numbers((parts.to_series(0) + parts.to_series(2)).str.strip_chars(), decimal)
    marks = units_of(texts)
    if unit == "bytes":
        return numbers * marks.fill_null("b").replace_strict(SIZES, default=None, return_dtype=pl.Float64)
    return numbers.set(~(marks.is_null() | (marks == unit)).fill_null(True), None)


def numbers_of(texts: pl.Series, decimal: str = ".", unit: str = "") -> pl.Series:
    """Float64 of stripped texts, null where a text is no number, NaN never."""
    import polars as pl

    if unit == "truth":
        return texts.str.to_lowercase().replace_strict(TRUTH, default=None, return_dtype=pl.Float64)
    plain = plain_numbers(texts, decimal).fill_nan(None)
    return pl.select(pl.coalesce(plain, marked_numbers(texts, decimal, unit))).to_series() if unit else plain


def times_of(values: pl.Series, time_format: str) -> pl.Series:
    """Datetimes of texts in a format such as ``%Y-%m-%d %H:%M``; parts of a second and the time zone are left out."""
    import polars as pl

    if values.dtype.is_temporal():
        return unnamed(values.cast(pl.Datetime("us")))
    texts = stripped(values).str.replace("T", " ", literal=True)
    texts = texts.str.replace(_ZONE, "") if "%H" in time_format else texts
    return texts.str.to_datetime(time_format, strict=False, time_unit="us")


def octets_of(texts: pl.Series) -> list[pl.Series]:
    """The four numbers of IPv4 addresses, Float64; null where a text is none."""
    import polars as pl

    parts = texts.str.extract_groups(_IPV4).struct.unnest().cast(pl.Float64)
    wrong = (parts.max_horizontal() > 255).fill_null(True)
    return [part.set(wrong, None) for part in parts.get_columns()]
