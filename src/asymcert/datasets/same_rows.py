"""Which rows of tables are the same to a classifier."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asymcert.texts.options import TextOptions

if TYPE_CHECKING:
    import polars as pl

WORD = r"\w+"
Comparable = Callable[["pl.Series"], "pl.Series"]  # equal for texts that are the same


def same_rows(
    frames: Sequence[pl.DataFrame], texts: Collection[str], comparable: Comparable
) -> list[NDArray[np.int64]]:
    """A number for each row of clean frames, in order of appearance, the same for rows with the same features.

    Parameters
    ----------
    frames
        Frames of the same columns.
    texts
        Those of them that hold running text.
    comparable
        What is compared of it.
    """
    import polars as pl

    hashes = [_comparable(frame, texts, comparable).hash_rows() for frame in frames]
    _, first, same = np.unique(pl.concat(hashes).to_numpy(), return_index=True, return_inverse=True)
    numbers = np.argsort(np.argsort(first))[same]
    return np.split(numbers, np.cumsum([len(frame) for frame in frames])[:-1])


def _comparable(frame: pl.DataFrame, texts: Collection[str], comparable: Comparable) -> pl.DataFrame:
    if not texts:
        return frame
    columns = [comparable(values) if values.name in texts else values for values in frame.get_columns()]
    return frame.__class__([values.alias(str(place)) for place, values in enumerate(columns)])


def sorted_words(texts: pl.Series) -> pl.Series:
    """The words of each text, in alphabetic order: what hashed counts of them depend on."""
    words = texts.alias("values").str.to_lowercase().str.extract_all(WORD)
    return words.list.sort().list.join(" ")


def words_by(options: TextOptions) -> Comparable:
    """The words of each text's canonical form, in their order; remembered for texts seen before."""
    known: dict[str | None, str | None] = {None: None}

    def words(texts: pl.Series) -> pl.Series:
        values = texts.to_list()
        new = list({*values} - known.keys())
        known.update(zip(new, map(" ".join, options.words_in(new)), strict=True))
        return texts.__class__([known[text] for text in values], dtype=texts.dtype)

    return words
