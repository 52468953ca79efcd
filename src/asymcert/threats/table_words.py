"""Edits of words in the columns of texts of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from asymcert._checks import did_you_mean, refuse
from asymcert.datasets.columns import Column
from asymcert.datasets.text_columns import EncodedColumn
from asymcert.threats.words import OTHER, WordEdits


def word_edits(
    columns: Sequence[Column],
    kinds: Mapping[str, float] | Sequence[str],
    protected: Sequence[str] = (),
    **options: bool,
) -> WordEdits:
    """Edits of the words of all texts in a table.

    Parameters
    ----------
    columns
        Those that the model reads. What an edit does to a column of texts, its vocabulary says.
    kinds
        Prices of the kinds of edits, or names of kinds that cost 1.
    protected
        Words that are not taken out of any text.
    options
        ``sentences`` and ``marks_stay`` of `WordEdits`.

    Raises
    ------
    InputError
        No column has words, or a protected word is in no vocabulary.
    """
    known = [column for column in columns if isinstance(column, EncodedColumn)]
    if not known:
        raise refuse("edits", "about a model of texts that learned their words", "another model", "Train it on texts.")
    words = {word for column in known for word in column.encoder.vocabulary.words}
    for word in protected:
        if word not in words:
            remedy = did_you_mean(word, words) or "Words that the model does not know need no protection."
            raise refuse("protected", "words that the model knows", repr(word), remedy)
    parts, start = [], 0
    for column in columns:
        parts.append(
            _of_texts(column, start, set(protected)) if isinstance(column, EncodedColumn) else _of_others(column)
        )
        start += len(parts[-1][0])
    family, ends, kept = (torch.cat(part) for part in zip(*parts, strict=True))
    grams = max(column.encoder.vocabulary.grams_per_word for column in known)
    return WordEdits(cast(Mapping[str, float], kinds), family, kept if protected else None, grams, ends, **options)


def _of_texts(column: EncodedColumn, start: int, protected: set[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Families of a column's features, of which the first is input `start`; the words of each; which are protected."""
    vocabulary = column.encoder.vocabulary
    family = torch.from_numpy(vocabulary.families)
    number = {word: place for place, word in enumerate(vocabulary.words)}
    own = [*vocabulary.words, *(word for word, _ in vocabulary.often)]
    ends, kept = torch.full((len(family), 2), -1), torch.zeros(len(family), dtype=torch.bool)
    ends[: len(own)] = start + torch.tensor([number[word] for word in own], dtype=torch.int64)[:, None]
    ends[len(own) : len(own) + len(vocabulary.pairs)] = start + torch.from_numpy(vocabulary.ends)
    kept[: len(own)] = torch.tensor([word in protected for word in own], dtype=torch.bool)
    return family, ends, kept


def _of_others(column: Column) -> tuple[Tensor, Tensor, Tensor]:
    family = torch.full((column.inputs,), OTHER, dtype=torch.int8)
    return family, torch.full((column.inputs, 2), -1), torch.zeros(column.inputs, dtype=torch.bool)
