"""How one column of a table becomes inputs in [0, 1]."""

from __future__ import annotations

import math
import re
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from asymcert._checks import check_count, refuse
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

WORD_CAP = 4  # counts of a word above this are all the same; adding or removing one word moves an input by 1/4
_WORD = re.compile(r"\w+")

Values = NDArray[np.floating[Any]]


def words_of(text: str) -> list[str]:
    """Lower-cased words: runs of letters, digits and underscores.

    Examples
    --------
    >>> words_of("Free entry, FREE!")
    ['free', 'entry', 'free']
    """
    return _WORD.findall(text.lower())


@lru_cache(maxsize=2**16)
def bucket_of(word: str, size: int) -> int:
    """Number below `size` that is the same for the same word everywhere (CRC-32)."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) % size


def unnamed(values: pl.Series) -> pl.Series:
    """The same values by a plain name: methods of a series whose name is `*` or `^a$` take it as a pattern."""
    return values.alias("values")


@dataclass(frozen=True)
class Column(ABC):
    """A column, its features and what stands in for a missing value (`fill`; None refuses missing values)."""

    kind: ClassVar[str]
    is_text: ClassVar[bool]
    name: str
    fill: Any

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """One name for each feature."""

    @property
    def inputs(self) -> int:
        """Number of features."""
        return len(self.feature_names)

    @property
    @abstractmethod
    def units(self) -> tuple[float, ...]:
        """Original units in one scaled unit, for each feature; NaN where there is no original unit."""

    @property
    def words_in_unit(self) -> float | None:
        """How many words must change, at least, for a change of size 1 in any norm; None where inputs are no words."""
        return None

    def difference(self, before: Values, after: Values) -> str | None:
        """What differs between two rows of features (k,), where that says more than the value `after` stands for."""
        del before, after
        return None

    def unfit(self, values: pl.Series) -> pl.Series | None:
        """Why clean values cannot be encoded: text, null where they can; None where all can."""
        del values
        return None

    @abstractmethod
    def encode(self, values: pl.Series) -> Values:
        """Features (n, k) in [0, 1] of a clean series without missing values."""

    @abstractmethod
    def decode(self, features: Values) -> list[Any]:
        """Values of the column, as far as features (n, k) tell them."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"kind": self.kind} | {item.name: getattr(self, item.name) for item in fields(self)}

    def filled(self, values: pl.Series) -> pl.Series:
        """Put `fill` for missing values, or refuse them with a `DataError`."""
        missing = values.null_count()
        if missing and self.fill is None:
            raise DataError(
                f"Column '{self.name}' has {missing} missing values. "
                "Name an imputation as `impute` (mean, median, zero or most-frequent), or drop the rows."
            )
        return unnamed(values).fill_null(self.fill) if missing else values


@dataclass(frozen=True)
class NumericColumn(Column):
    """``(value - low) / (high - low)``, clipped to [0, 1]; 0 if low equals high.

    Clipping is 1-Lipschitz, so a radius in scaled units holds for what is clipped too.
    """

    kind = "numeric"
    is_text = False
    low: float
    high: float

    def __post_init__(self) -> None:
        numbers = [v for v in (self.low, self.high, self.fill) if v is not None]
        if any(isinstance(v, bool) or not isinstance(v, float | int) or not math.isfinite(v) for v in numbers):
            raise refuse(f"range of column '{self.name}'", "finite numbers", f"{self.low}, {self.high}, {self.fill}")
        if self.low > self.high or not math.isfinite(self.high - self.low):
            span = f"[{self.low}, {self.high}]"
            raise refuse(f"range of column '{self.name}'", "increasing and finite", span, "Rescale or drop it.")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The column's name."""
        return (self.name,)

    @property
    def units(self) -> tuple[float, ...]:
        """``high - low``; infinite for a constant column, whose input never moves."""
        return (self.high - self.low or math.inf,)

    def encode(self, values: pl.Series) -> Values:
        """Features (n, 1)."""
        return self.scaled(values.to_numpy().astype(np.float64))[:, None]

    def decode(self, features: Values) -> list[float]:
        """Numbers between `low` and `high`."""
        return (self.low + features[:, 0] * (self.high - self.low)).tolist()

    def scaled(self, numbers: Values) -> Values:
        """Inputs (n,) of numbers (n,)."""
        if self.low == self.high:
            return np.zeros(len(numbers))
        inside = np.clip(numbers, self.low, self.high)
        return np.clip((inside - self.low) / (self.high - self.low), 0.0, 1.0)


@dataclass(frozen=True)
class CategoryColumn(Column):
    """One input for each listed value, 1 where it is the row's, and one for all other values."""

    kind = "categories"
    is_text = True
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if len(set(self.values)) != len(self.values) or not all(isinstance(v, str) for v in self.values):
            raise refuse(f"values of column '{self.name}'", "distinct texts", self.values)
        check_fill(self)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """``column=value`` for each value, then ``column=<other>``."""
        return tuple(f"{self.name}={value}" for value in (*self.values, "<other>"))

    @property
    def units(self) -> tuple[float, ...]:
        """NaN: a category has no unit."""
        return (math.nan,) * (len(self.values) + 1)

    def encode(self, values: pl.Series) -> Values:
        """Features (n, number of values + 1)."""
        import polars as pl

        other = len(self.values)
        if not other:
            return np.ones((len(values), 1))
        options = {"default": other, "return_dtype": pl.UInt32}
        places = unnamed(values).cast(pl.String).replace_strict(self.values, range(other), **options)
        return np.eye(other + 1)[places.fill_null(other).to_numpy()]

    def decode(self, features: Values) -> list[str]:
        """The listed value, or ``<other>``."""
        return [(*self.values, "<other>")[place] for place in features.argmax(1)]


@dataclass(frozen=True)
class WordColumn(Column):
    """Hashed counts of lower-cased words: ``min(count, cap) / cap`` for each of `size` buckets."""

    kind = "words"
    is_text = True
    size: int
    cap: int

    def __post_init__(self) -> None:
        check_count("size", self.size)
        check_count("cap", self.cap)
        check_fill(self)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """``column#bucket`` for each bucket."""
        return tuple(f"{self.name}#{i}" for i in range(self.size))

    @property
    def inputs(self) -> int:
        """One for each bucket."""
        return self.size

    @property
    def units(self) -> tuple[float, ...]:
        """NaN: a bucket of words has no unit of the user's."""
        return (math.nan,) * self.size

    @property
    def words_in_unit(self) -> float:
        """A word adds ``1 / cap`` to a bucket."""
        return float(self.cap)

    def difference(self, before: Values, after: Values) -> str:
        """The number of words."""
        return f"{round(float(np.abs(after - before).sum()) * self.cap)} words added or removed"

    def encode(self, values: pl.Series) -> Values:
        """Features (n, size)."""
        counts = np.zeros((len(values), self.size))
        for row, text in zip(counts, values.to_list(), strict=True):
            np.add.at(row, [bucket_of(word, self.size) for word in words_of(text)], 1.0)
        return np.minimum(counts, self.cap) / self.cap

    def decode(self, features: Values) -> list[float]:
        """The number of words."""
        return np.rint(features.sum(1) * self.cap).tolist()


def check_fill(column: Column) -> None:
    """Refuse what is no text to stand in for a missing one."""
    if column.fill is not None and not isinstance(column.fill, str):
        raise refuse(f"fill of column '{column.name}'", "text", repr(column.fill))
