"""What it costs to turn one text into another, from their words alone, and by which edits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from asymcert.texts.vocabulary import Vocabulary
from asymcert.threats.words import WordEdits, floored

MOST_CELLS = 2**21  # of an alignment; two words are one cell
MOST_SENTENCES = 2**12  # pairs of them that are aligned
ADD, REMOVE, REPLACE = "add", "remove", "replace"
Words = Sequence[str]
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Edit:
    """One edit: `old` was removed, `new` was added, or `new` stands in the place of `old`.

    Parameters
    ----------
    old, new
        Words; None where there is none.
    """

    old: str | None
    new: str | None

    @property
    def kind(self) -> str:
        """`ADD`, `REMOVE` or `REPLACE`."""
        return ADD if self.old is None else REMOVE if self.new is None else REPLACE

    def __str__(self) -> str:
        done = {ADD: f"added '{self.new}'", REMOVE: f"removed '{self.old}'"}
        return done.get(self.kind, f"'{self.old}' became '{self.new}'")


@dataclass(frozen=True)
class EditPrices:
    """Prices of edits, and which are possible at all.

    Parameters
    ----------
    kinds
        Price of each kind that the adversary makes.
    protected
        Words that he neither removes nor replaces.
    sentences
        Whether whole sentences are added for nothing; words of sentences that were there stay in theirs.
    marks_stay
        Whether words stay in their sentences, and no sentence is added unless `sentences` says so.
    """

    kinds: Mapping[str, float]
    protected: frozenset[str] = frozenset()
    sentences: bool = False
    marks_stay: bool = False

    @classmethod
    def of(cls, edits: WordEdits, vocabulary: Vocabulary) -> Self:
        """Those of a threat model on the features of a vocabulary."""
        protected = () if edits.protected is None else edits.protected.tolist()
        words = frozenset(word for word, kept in zip(vocabulary.words, protected, strict=False) if kept)
        return cls(dict(zip(edits.kinds, edits.prices, strict=True)), words, edits.sentences, edits.marks_stay)

    @property
    def by_sentence(self) -> bool:
        """Whether it matters which words are in one sentence."""
        return self.sentences or self.marks_stay

    def between(self, before: Sequence[Words], after: Sequence[Words]) -> float:
        """Least total price of edits from one text to another; inf where none are known.

        Also infinite where texts differ in so much that aligning them would take too long. Rounded down.

        Parameters
        ----------
        before, after
            Words of each sentence, or, but for `by_sentence`, of the text in one list.
        """
        edits = self.edits(before, after)
        return math.inf if edits is None else self.total(edits)

    def total(self, edits: Sequence[Edit]) -> float:
        """Price of a list of edits, rounded down."""
        counts = Counter(edit.kind for edit in edits)
        return floored(sum((Fraction(self.kinds[kind]) * count for kind, count in counts.items()), Fraction(0)))

    def edits(self, before: Sequence[Words], after: Sequence[Words]) -> list[Edit] | None:
        """The cheapest edits, in the order of the texts; None where there are none."""
        if not self.by_sentence:
            return self._words(*([word for words in text for word in words] for text in (before, after)))
        return self._sentences([tuple(words) for words in before], [tuple(words) for words in after])

    def _words(self, before: Words, after: Words) -> list[Edit] | None:
        before, after = _trimmed(before, after)
        if len(before) * len(after) > MOST_CELLS:
            return None
        add = self.kinds.get(ADD, math.inf)
        removal, change = (self._taking(before, kind) for kind in (REMOVE, REPLACE))
        old, new = np.array(before, dtype=object), np.array(after, dtype=object)
        cells = np.where(old[:, None] == new, 0.0, change[:, None])
        path = cheapest_path(removal, np.full(len(new), add), cells)
        return None if path is None else [Edit(*pair) for pair in _pairs(path, before, after) if pair[0] != pair[1]]

    def _taking(self, words: Words, kind: str) -> Table:
        """Price of taking out each word, by this kind of edit."""
        price = self.kinds.get(kind, math.inf)
        return np.array([math.inf if word in self.protected else price for word in words], np.float64)

    def _sentences(self, before: Sequence[Words], after: Sequence[Words]) -> list[Edit] | None:
        """Sentences that were there are edited or emptied, in their order; others are new."""
        before, after = _trimmed(before, after)
        if len(before) * len(after) > MOST_SENTENCES or sum(map(len, before)) * sum(map(len, after)) > MOST_CELLS:
            return None
        found = {(i, j): self._words(a, b) for i, a in enumerate(before) for j, b in enumerate(after)}
        emptied = [self._words(words, ()) for words in before]
        cells = np.array([self._price(edits) for edits in found.values()]).reshape(len(before), len(after))
        fresh = np.full(len(after), 0.0 if self.sentences else math.inf)
        path = cheapest_path(np.array([self._price(edits) for edits in emptied]), fresh, cells)
        if path is None:
            return None
        steps = [found[i, j] if i is not None and j is not None else emptied[i] for i, j in path if i is not None]
        return [edit for edits in steps for edit in edits or ()]

    def _price(self, edits: Sequence[Edit] | None) -> float:
        return math.inf if edits is None else self.total(edits)


def described(edits: Sequence[Edit]) -> list[str]:
    """Edits in words, equal ones once with their number: ``added 'meeting' x2``."""
    return [f"{edit} x{count}" if count > 1 else str(edit) for edit, count in Counter(edits).items()]


def cheapest_path(removal: Table, addition: Table, pairing: Table) -> list[tuple[int | None, int | None]] | None:
    """The cheapest alignment of two lists: pairs of places, None for a place of the other list alone.

    Parameters
    ----------
    removal, addition, pairing
        (n,), (m,), (n, m): price of each entry that has no partner, and of each pair; infinite for never.

    Returns
    -------
    list of tuple or None
        None where no alignment is possible.
    """
    n, m = pairing.shape
    cost = np.full((n + 1, m + 1), math.inf)
    cost[0] = np.concatenate(([0.0], addition.cumsum()))
    for i in range(n):
        row = cost[i] + removal[i]
        row[1:] = np.minimum(row[1:], cost[i, :-1] + pairing[i])
        cost[i + 1] = _with_additions(row, addition)
    return None if math.isinf(cost[n, m]) else _walked(cost, removal, addition, pairing)


def _with_additions(row: Table, addition: Table) -> Table:
    """Least costs of a row where entries of the second list may be added one after another."""
    if len(addition) == 0 or math.isinf(addition[0]):
        return row
    so_far = np.arange(len(row)) * addition[0]  # additions cost the same, all of them
    return np.minimum.accumulate(row - so_far) + so_far


def _walked(cost: Table, removal: Table, addition: Table, pairing: Table) -> list[tuple[int | None, int | None]]:
    """From the end of the table back to its beginning, by pairs where these cost the least."""
    i, j = pairing.shape
    path: list[tuple[int | None, int | None]] = []
    while i or j:
        paired = float(cost[i - 1, j - 1] + pairing[i - 1, j - 1]) if i and j else math.inf
        removed = float(cost[i - 1, j] + removal[i - 1]) if i else math.inf
        added = float(cost[i, j - 1] + addition[j - 1]) if j else math.inf
        least = min(paired, removed, added)
        old, new = least in (paired, removed), least == paired or least < removed
        i, j = i - old, j - new
        path.append((i if old else None, j if new else None))
    return path[::-1]


def _trimmed(before: Sequence[Any], after: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """Both without what they begin and end with in common: some cheapest alignment keeps all of that."""
    most = min(len(before), len(after))
    start = next((k for k in range(most) if before[k] != after[k]), most)
    most -= start
    end = next((k for k in range(most) if before[-1 - k] != after[-1 - k]), most)
    return before[start : len(before) - end], after[start : len(after) - end]


def _pairs(
    path: Sequence[tuple[int | None, int | None]], before: Words, after: Words
) -> list[tuple[str | None, str | None]]:
    return [(None if i is None else before[i], None if j is None else after[j]) for i, j in path]
