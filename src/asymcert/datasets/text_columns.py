"""Columns of running text, by the features of a learned vocabulary."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asymcert._checks import check_count, refuse
from asymcert.datasets.columns import Column, Values, check_fill
from asymcert.errors import DataError
from asymcert.texts.codes import MOST_FEATURES, packed
from asymcert.texts.encoder import TextEncoder
from asymcert.texts.options import TextOptions

if TYPE_CHECKING:
    import polars as pl

LONGEST = 10**6  # characters of a text
MOST_NAMED = 12  # features in one line
BESIDE_OTHERS = 2**11  # features of a kind where a table has other columns too, each an input of its own


@dataclass(frozen=True)
class EncodedColumn(Column):
    """A column of texts with the encoder of its features."""

    is_text = True
    encoder: TextEncoder

    def __post_init__(self) -> None:
        if isinstance(self.encoder, Mapping):
            object.__setattr__(self, "encoder", TextEncoder.from_dict(self.encoder))
        if not 0 < len(self.encoder.vocabulary) <= MOST_FEATURES:
            size = len(self.encoder.vocabulary)
            raise refuse("encoder", f"of 1 to {MOST_FEATURES} features", f"{size}", "Provide more texts.")
        check_fill(self)

    @property
    @abstractmethod
    def families(self) -> NDArray[np.int8] | None:
        """Of each input the family of its feature; None where inputs are no features."""

    def unfit(self, values: pl.Series) -> pl.Series | None:
        """Texts that are too long."""
        import polars as pl

        lengths = values.str.len_chars()
        return pl.select(
            pl.when(lengths > LONGEST).then(pl.format("a text of {} characters, more than " + f"{LONGEST}", lengths))
        ).to_series()

    @property
    def units(self) -> tuple[float, ...]:
        """NaN: features have no unit of the user's."""
        return (math.nan,) * self.inputs

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        parts = {item.name: getattr(self, item.name) for item in fields(self)}
        return {"kind": self.kind, **parts, "encoder": self.encoder.to_dict()}


@dataclass(frozen=True)
class TextColumn(EncodedColumn):
    """One input for each feature of the whole text, 0 or 1; it may stand beside other columns."""

    kind = "text"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """``column: feature``."""
        return tuple(f"{self.name}: {feature}" for feature in self.features)

    @property
    def inputs(self) -> int:
        """One for each feature."""
        return len(self.encoder.vocabulary)

    @property
    def families(self) -> NDArray[np.int8]:
        """Those of the vocabulary."""
        return self.encoder.vocabulary.families

    @property
    def words_in_unit(self) -> float:
        """A word has a feature of its own, makes two pairs where it parts one, and has parts."""
        vocabulary = self.encoder.vocabulary
        return 1.0 / (1 + 3 * bool(vocabulary.pairs) + vocabulary.grams_per_word)

    def difference(self, before: Values, after: Values) -> str:
        """The features that came and went, such as ``+hello -free``; the first of them."""
        moved = np.flatnonzero(before != after)
        signed = [f"{'+' if after[place] > before[place] else '-'}{self.features[place]}" for place in moved]
        more = len(signed) - MOST_NAMED
        return " ".join(signed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the features."""
        return self.encoder.vocabulary.names

    def encode(self, values: pl.Series) -> Values:
        """Features (n, inputs)."""
        return self.encoder.rows(values.to_list())

    def decode(self, features: Values) -> list[str]:
        """Words that the text has, as far as features tell."""
        words = np.array(self.encoder.vocabulary.words, dtype=object)
        return [" ".join(words[row[: len(words)] > 0]) for row in features]


@dataclass(frozen=True)
class WindowsColumn(EncodedColumn):
    """The only column of a table: each text by the features of its windows, as a list of codes.

    Parameters
    ----------
    width
        Codes of a row, at least; a longer text has more.
    """

    kind = "windows"
    width: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("width", self.width)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """``column#place`` for each code."""
        return tuple(f"{self.name}#{place}" for place in range(self.width))

    @property
    def families(self) -> None:
        """None: inputs are lists of features."""
        return None

    def encode(self, values: pl.Series) -> Values:
        """Codes (n, width or more); see `asymcert.texts.codes.packed`."""
        return packed(self.encoder.encode(values.to_list()), len(values), self.width)

    def decode(self, features: Values) -> list[float]:
        """The number of codes."""
        return (features > 0).sum(1).tolist()


def fitted(name: str, fill: str | None, texts: Sequence[str], options: TextOptions, alone: bool) -> EncodedColumn:
    """Learn the features of a column of texts: of their windows where it is `alone`, else of whole texts."""
    longest = max(map(len, texts), default=0)
    if longest > LONGEST:
        what = f"Column '{name}' has a text of {longest} characters, more than {LONGEST}"
        raise DataError(f"{what}. Shorten it or leave it out.")
    if alone:
        return WindowsColumn(name, fill, options.fit(texts), 1)
    return TextColumn(name, fill, options.fit(texts, BESIDE_OTHERS))
