"""What one column of a table is taken for, and how its cells are read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from asymcert._checks import check_choice, refuse
from asymcert.datasets.columns import unnamed
from asymcert.datasets.parse import MISSING, as_text, is_missing, is_readable, numbers_of, octets_of, stripped, times_of
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

KINDS = ("number", "category", "text", "date", "address", "dropped")
INFINITE = ("clip", "missing", "refuse")
DATE_PARTS = ("hour", "weekday", "days")  # days since 1970: beyond training's range in all rows to come
ADDRESS_PARTS = ("octet 1", "octet 2", "octet 3", "octet 4")
PARTS = {"date": DATE_PARTS, "address": ADDRESS_PARTS}
LONGEST_SHOWN = 40  # characters of a cell in a reason


@dataclass(frozen=True)
class ColumnPlan:
    """What one column of a table is taken for.

    Parameters
    ----------
    name
        Of the column.
    kind
        ``"number"``, ``"category"``, ``"text"`` (running text), ``"date"``, ``"address"`` (IPv4) or ``"dropped"``.
    why
        Why it is dropped.
    decimal
        Numbers: ``"."`` or ``","``, the sign of those that could have either.
    unit
        Numbers: the mark that may stand beside them, such as ``%`` or ``$``; ``bytes`` where sizes such as ``12 KB``
        and ``3 MiB`` become bytes (a KB has 1000, a KiB 1024); ``truth`` for true and false.
    missing
        Further words that mean that there is no value.
    infinite
        Numbers: what an infinite one becomes: ``"clip"`` (`least` or `greatest`), ``"missing"``, or ``"refuse"``.
    least, greatest
        Numbers: of the finite ones in training, where infinite ones are clipped to them.
    time_format
        Dates: as for strptime.
    parts
        Dates: which of ``hour``, ``weekday`` (1 is Monday) and ``days`` (since 1970) they become. Addresses: which of
        ``octet 1`` to ``octet 4``.
    """

    name: str
    kind: str
    why: str = ""
    decimal: str = "."
    unit: str = ""
    missing: Sequence[str] = ()
    infinite: str = "refuse"
    least: float | None = None
    greatest: float | None = None
    time_format: str = ""
    parts: Sequence[str] = ()

    def __post_init__(self) -> None:
        what = f"of column '{self.name}'"
        check_choice(f"kind {what}", self.kind, KINDS)
        check_choice(f"decimal {what}", self.decimal, (".", ","))
        check_choice(f"infinite {what}", self.infinite, INFINITE)
        for part in self.parts:
            check_choice(f"parts {what}", part, PARTS.get(self.kind, ()))
        if self.kind in PARTS and not self.parts:
            raise refuse(f"parts {what}", f"some of {PARTS[self.kind]}", "none", "Or write kind = 'dropped'.")
        if self.infinite == "clip" and not all(_is_finite(v) for v in (self.least, self.greatest)):
            raise refuse(f"least {what}", "given with `greatest` to clip to", f"{self.least}, {self.greatest}")
        object.__setattr__(self, "missing", tuple(self.missing))
        object.__setattr__(self, "parts", tuple(self.parts))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the clean columns that it becomes."""
        if self.kind == "dropped":
            return ()
        return tuple(f"{self.name}: {part}" for part in self.parts) if self.parts else (self.name,)

    def read(self, values: pl.Series) -> tuple[list[pl.Series], pl.Series | None]:
        """Clean columns, Float64 or String with nulls for missing values, and why a row's value is wrong, if one is.

        Reasons are texts, null for rows that have none.
        """
        if not is_readable(values.dtype):
            raise DataError(f"Column '{self.name}' must hold numbers or text, got {values.dtype}. Convert or drop it.")
        if self.kind == "number":
            return self._numbers(values)
        if self.kind in PARTS:
            return self._parts(values)
        if self.kind == "text":
            return [as_text(values)], None
        texts = stripped(as_text(values))
        return [texts.set(is_missing(texts, ("", *self.missing)), None)], None

    def parsed(self, values: pl.Series) -> tuple[pl.Series, pl.Series | None]:
        """Numbers of a column of them, infinite ones too, null where there is none, and which values are no number.

        None for the latter where all are numbers or missing.
        """
        import polars as pl

        if values.dtype.is_numeric() or values.dtype == pl.Boolean:
            numbers = values.cast(pl.Float64)
            if np.isnan(numbers.to_numpy()).any():  # faster than an expression of polars for each of many columns
                numbers = unnamed(numbers).fill_nan(None)
            if self.missing:
                words = pl.Series(self.missing, dtype=pl.String).cast(pl.Float64, strict=False).drop_nulls()
                numbers = numbers.set(unnamed(numbers).is_in(words.implode()), None)
            return numbers, None
        texts = stripped(values)
        absent = is_missing(texts, (*MISSING, *self.missing))
        numbers = numbers_of(texts, self.decimal, self.unit)
        return numbers.set(absent, None), numbers.is_null() & ~absent

    def failures(self, values: pl.Series) -> int:
        """How many values are no number, of a column of numbers."""
        wrong = self.parsed(values)[1]
        return 0 if wrong is None else int(wrong.sum())

    def _numbers(self, values: pl.Series) -> tuple[list[pl.Series], pl.Series | None]:
        numbers, wrong = self.parsed(values)
        reasons = None if wrong is None else _reasons(values, wrong, "is no number")
        if not np.isinf(numbers.to_numpy()).any():
            return [numbers], reasons
        numbers = unnamed(numbers)
        infinite = numbers.is_infinite().fill_null(False)
        if self.infinite == "refuse":
            great = _reasons(values, infinite, "is too great")
            reasons = great if reasons is None or great is None else reasons.zip_with(~infinite, great)
        ends = (self.least, self.greatest) if self.infinite == "clip" else (None, None)
        for end, beyond in zip(ends, (-math.inf, math.inf), strict=True):
            numbers = numbers.set((numbers == beyond).fill_null(False), end)
        return [numbers], reasons

    def _parts(self, values: pl.Series) -> tuple[list[pl.Series], pl.Series | None]:
        import polars as pl

        texts = stripped(values)
        absent = is_missing(texts, (*MISSING, *self.missing))
        if self.kind == "address":
            parts: dict[str, pl.Series] = dict(zip(ADDRESS_PARTS, octets_of(texts), strict=True))
            what = "is no IPv4 address"
        else:
            times = times_of(values, self.time_format)
            hours = times.dt.hour().cast(pl.Float64) + times.dt.minute().cast(pl.Float64) / 60
            days = times.dt.epoch("s").cast(pl.Float64) / 86400
            weekday = times.dt.weekday().cast(pl.Float64)
            parts = dict(zip(DATE_PARTS, (hours, weekday, days), strict=True))
            what = f"is no time such as {self.time_format}"
        chosen = [parts[part] for part in self.parts]
        return chosen, _reasons(values, chosen[0].is_null() & ~absent, what)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form: what differs from the defaults."""
        stored = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {item.name: stored[item.name] for item in fields(self) if getattr(self, item.name) != item.default}


def _reasons(values: pl.Series, where: pl.Series, what: str) -> pl.Series | None:
    """What is wrong with the values at some places, and null elsewhere; None if it is none of them."""
    if not where.any():
        return None
    shown = "'" + as_text(values).str.slice(0, LONGEST_SHOWN) + f"' {what}"
    return shown.set(~where, None)


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
