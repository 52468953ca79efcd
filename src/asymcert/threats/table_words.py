"""Edits of words in the columns of texts of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from asymcert._checks import did_you_mean, refuse
from asymcert.datasets.columns import Column
from asymcert.datasets.text_columns import EncodedColumn
from asymcert.texts.vocabulary import Vocabulary
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
    vocabularies = [_vocabulary(column) for column in columns]
    known = [vocabulary for vocabulary in vocabularies if vocabulary is not None]
    if not known:
        raise refuse("edits", "about a model of texts that learned their words", "another model", "Train it on texts.")
    words = {word for vocabulary in known for word in vocabulary.words}
    for word in protected:
        if word not in words:
            remedy = did_you_mean(word, words) or "Words that the model does not know need no protection."
            raise refuse("protected", "words that the model knows", repr(word), remedy)
    family, ends, kept = [], [], []
    for column, vocabulary in zip(columns, vocabularies, strict=True):
        start = sum(map(len, family))
        family.append(torch.full((column.inputs,), OTHER) if vocabulary is None else _families(vocabulary))
        ends.append(_ends(vocabulary, start, len(family[-1])))
        kept.append(_protected(vocabulary, set(protected), len(family[-1])))
    grams = max(vocabulary.grams_per_word for vocabulary in known)
    mask = torch.cat(kept) if protected else None
    priced = kinds if isinstance(kinds, Mapping) else dict.fromkeys(kinds, 1.0)
    return WordEdits(priced, torch.cat(family).to(torch.int8), mask, grams, torch.cat(ends), **options)


def _vocabulary(column: Column) -> Vocabulary | None:
    """The vocabulary of a column of texts; None of others."""
    return column.encoder.vocabulary if isinstance(column, EncodedColumn) else None


def _families(vocabulary: Vocabulary) -> Tensor:
    return torch.from_numpy(vocabulary.families)


def _own(vocabulary: Vocabulary) -> list[str]:
    """The word of each input of the family of words: once there, then often."""
    return [*vocabulary.words, *(word for word, _ in vocabulary.often)]


def _ends(vocabulary: Vocabulary | None, start: int, inputs: int) -> Tensor:
    """Inputs of the words of words and pairs, which begin at `start`: (inputs, 2)."""
    ends = torch.full((inputs, 2), -1)
    if vocabulary is not None:
        number = {word: place for place, word in enumerate(vocabulary.words)}
        own = torch.tensor([number[word] for word in _own(vocabulary)], dtype=torch.int64)
        pairs = torch.from_numpy(vocabulary.ends)
        ends[: len(own)] = start + own[:, None]
        ends[len(own) : len(own) + len(pairs)] = start + pairs
    return ends


def _protected(vocabulary: Vocabulary | None, words: set[str], inputs: int) -> Tensor:
    mask = torch.zeros(inputs, dtype=torch.bool)
    if vocabulary is not None:
        own = [word in words for word in _own(vocabulary)]
        mask[: len(own)] = torch.tensor(own, dtype=torch.bool)
    return mask
