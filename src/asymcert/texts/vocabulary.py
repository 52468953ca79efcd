"""Binary features of words: which words, pairs of neighbours and parts of words a text has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain, pairwise, repeat
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from asymcert._checks import check_count, check_known, refuse
from asymcert.texts.words import is_plain

WORD, PAIR, GRAM = 0, 1, 2  # families of features
EDGE = " "  # stands before and after a word in its parts
CACHED_WORDS = 2**16

Integers = NDArray[np.int64]
Codes = tuple[Integers, Integers]  # ascending codes of terms, and the feature of each


@dataclass(frozen=True)
class Vocabulary:
    """Features of a list of words, each 0 or 1; words that are in none of the lists are no feature.

    One more occurrence of a word, or one fewer, flips at most one feature of words, and so do pairs.

    Parameters
    ----------
    words
        Each is a feature: the list has it.
    often
        ``(word, n)``: the list has the word at least n times, n from 2 on, ascending for each word.
    pairs
        ``(left, right)``: the two stand side by side.
    grams
        Parts of words with an `EDGE` on both sides, such as ``" fre"``.
    longest
        Letters of a word, from its beginning, whose parts count.

    Raises
    ------
    InputError
        Features that are not distinct texts, or of words that are not in `words`.

    Examples
    --------
    >>> vocabulary = Vocabulary(("free", "now"), pairs=(("free", "now"),))
    >>> vocabulary.encode([["free", "now"], ["now", "free"]])[1].tolist()
    [0, 1, 2, 0, 1]
    """

    words: tuple[str, ...]
    often: tuple[tuple[str, int], ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    grams: tuple[str, ...] = ()
    longest: int = 20

    def __post_init__(self) -> None:
        check_count("longest", self.longest)
        for name in ("often", "pairs"):
            object.__setattr__(self, name, tuple(map(tuple, getattr(self, name))))
        for name in ("words", "grams"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if not all(isinstance(each, str) and each for each in getattr(self, name)):
                raise refuse(name, "made of texts that are not empty", "others")
        for name in ("words", "often", "pairs", "grams"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise refuse(name, "distinct", "one twice")
        known = self._numbers.keys()
        if not all(left in known and right in known for left, right in self.pairs):
            raise refuse("pairs", "made of two of `words` each", "others")
        for word, least in self.often:
            if word not in known or not isinstance(least, int) or least < 2:
                raise refuse("often", "made of one of `words` and a number from 2 on", repr((word, least)))

    @classmethod
    def fit(
        cls,
        documents: Iterable[Sequence[str]],
        *,
        least: int = 2,
        counts: int = 1,
        least_pairs: int = 2,
        grams: Sequence[int] = (),
        most: int = 2**16,
    ) -> Self:
        """The features that at least so many lists of words have.

        Parameters
        ----------
        documents
            Lists of words.
        least
            Lists that have a word, or a part of a word.
        counts
            Up to how many occurrences of a word are told apart.
        least_pairs
            Lists that have a pair; 0 for no pairs.
        grams
            Lengths of the parts of words; none for no parts.
        most
            Of each kind, the most frequent ones.
        """
        seen: list[Counter[Any]] = [Counter() for _ in range(4)]
        for document in documents:
            occurrences = Counter(document)
            seen[0].update(occurrences.keys())
            seen[1].update((word, n) for word, count in occurrences.items() for n in range(2, min(count, counts) + 1))
            if least_pairs:
                seen[2].update(set(pairwise(document)))
            if grams:
                seen[3].update({gram for word in occurrences for gram in parts_of(word, grams, cls.longest)})
        words = _frequent(seen[0], least, most)
        known = set(words)
        often = [entry for entry in _frequent(seen[1], least, most) if entry[0] in known]
        pairs = [pair for pair in _frequent(seen[2], least_pairs, most) if known.issuperset(pair)]
        return cls(tuple(words), tuple(sorted(often)), tuple(pairs), tuple(_frequent(seen[3], least, most)))

    def encode(self, documents: Sequence[Sequence[str]]) -> tuple[Integers, Integers]:
        """Features of n lists of words, in rows: where each row ends, (n + 1,), and ascending numbers of features."""
        lengths = np.fromiter(map(len, documents), np.int64, len(documents))
        row = np.repeat(np.arange(len(documents)), lengths)
        numbers = map(self._numbers.get, chain.from_iterable(documents), repeat(-1))
        word = np.fromiter(numbers, np.int64, len(row))
        known = word >= 0
        codes, times = np.unique((row * len(self.words) + word)[known], return_counts=True)
        own = np.divmod(codes, max(1, len(self.words)))
        found = [own, *self._often_of(*own, times), *self._pairs_of(row, word, known)]
        if self.grams:
            found.append(self._grams_of(documents, row))
        rows, features = (np.concatenate(parts) for parts in zip(*found, strict=True))
        codes = np.sort(rows * len(self) + features, kind="stable")  # parts are in order already
        distinct = np.append(True, codes[1:] != codes[:-1])[: len(codes)]  # np.unique hashes, which takes longer
        rows, features = np.divmod(codes[distinct], max(1, len(self)))
        return np.concatenate(([0], np.bincount(rows, minlength=len(documents)).cumsum())), features

    def _often_of(self, row: Integers, word: Integers, times: Integers) -> Iterable[tuple[Integers, Integers]]:
        for least in range(2, self._counts + 1):
            yield self._found((row, word), times >= least, self._often_codes, word * (self._counts + 1) + least)

    def _pairs_of(self, row: Integers, word: Integers, known: NDArray[np.bool_]) -> Iterable[tuple[Integers, Integers]]:
        if self.pairs and len(row) > 1:
            both = known[1:] & known[:-1] & (row[1:] == row[:-1])
            yield self._found((row[1:], word), both, self._pair_codes, word[:-1] * len(self.words) + word[1:])

    def _found(
        self,
        where: tuple[Integers, Integers],
        chosen: NDArray[np.bool_],
        known: tuple[Integers, Integers],
        code: Integers,
    ) -> tuple[Integers, Integers]:
        """Rows and features of those codes that are known."""
        row, code = where[0][chosen], code[chosen]
        codes, features = known
        if not len(codes):
            return row[:0], code[:0]
        place = np.searchsorted(codes, code).clip(max=len(codes) - 1)
        hit = codes[place] == code
        return row[hit], features[place[hit]]

    def _grams_of(self, documents: Sequence[Sequence[str]], row: Integers) -> tuple[Integers, Integers]:
        parts = [self._parts(word) for document in documents for word in document]
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        features = np.concatenate([np.empty(0, np.int64), *parts])
        return np.repeat(row, lengths), features

    def _parts(self, word: str) -> Integers:
        known = self._parts_cache.get(word)
        if known is None:
            numbers, lengths = self._gram_numbers, self.gram_lengths
            known = np.array(
                [numbers[gram] for gram in parts_of(word, lengths, self.longest) if gram in numbers], np.int64
            )
            if len(self._parts_cache) < CACHED_WORDS:
                self._parts_cache[word] = known
        return known

    def __len__(self) -> int:
        return len(self.words) + len(self.often) + len(self.pairs) + len(self.grams)

    @property
    def names(self) -> tuple[str, ...]:
        """What each feature is: ``free``, ``free x2``, ``free now``, ``..fre..``."""
        often = (f"{word} x{least}" for word, least in self.often)
        pairs = (f"{left} {right}" for left, right in self.pairs)
        return (*self.words, *often, *pairs, *(f"..{gram.replace(EDGE, '|')}.." for gram in self.grams))

    @property
    def summary(self) -> str:
        """How many features of each kind there are: ``5,012 words, 8,100 pairs``."""
        kinds = {"words": self.words, "counts": self.often, "pairs": self.pairs, "parts of words": self.grams}
        return ", ".join(f"{len(features):,} {kind}" for kind, features in kinds.items() if features)

    @property
    def families(self) -> NDArray[np.int8]:
        """`WORD`, `PAIR` or `GRAM` for each feature."""
        sizes = (len(self.words) + len(self.often), len(self.pairs), len(self.grams))
        return np.repeat(np.array((WORD, PAIR, GRAM), np.int8), sizes)

    @property
    def plain(self) -> NDArray[np.bool_]:
        """Bool for each feature: one of words of a language; not of marks, numbers, typed words, pairs, parts."""
        own = [is_plain(word) for word in (*self.words, *(word for word, _ in self.often))]
        return np.append(own, np.zeros(len(self) - len(own), bool)).astype(bool)

    @property
    def ends(self) -> Integers:
        """(number of pairs, 2): the features of the two words of each pair."""
        numbers = self._numbers
        return np.array([(numbers[left], numbers[right]) for left, right in self.pairs], np.int64).reshape(-1, 2)

    @cached_property
    def gram_lengths(self) -> tuple[int, ...]:
        """Lengths of the parts of words."""
        return tuple(sorted({len(gram) for gram in self.grams}))

    @property
    def grams_per_word(self) -> int:
        """The most parts that one word has."""
        return sum(max(0, self.longest + 2 - length + 1) for length in self.gram_lengths)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {name: list(part) if isinstance(part, tuple) else part for name, part in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave; an `InputError` for anything else."""
        if not isinstance(values, Mapping) or "words" not in values:
            raise refuse("vocabulary", "a dictionary with 'words'", repr(values)[:80])
        check_known(values, list(cls.__dataclass_fields__), "a vocabulary")
        return cls(**values)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def _counts(self) -> int:
        return max((least for _, least in self.often), default=1)

    @cached_property
    def _often_codes(self) -> tuple[Integers, Integers]:
        codes = [self._numbers[word] * (self._counts + 1) + least for word, least in self.often]
        return _sorted(codes, len(self.words))

    @cached_property
    def _pair_codes(self) -> tuple[Integers, Integers]:
        codes = self.ends @ np.array([len(self.words), 1])
        return _sorted(codes.tolist(), len(self.words) + len(self.often))

    @cached_property
    def _gram_numbers(self) -> dict[str, int]:
        first = len(self) - len(self.grams)
        return {gram: first + place for place, gram in enumerate(self.grams)}

    @cached_property
    def _parts_cache(self) -> dict[str, Integers]:
        return {}


def parts_of(word: str, lengths: Sequence[int], longest: int) -> set[str]:
    """Parts, of some lengths, of the first `longest` letters of a word with an `EDGE` on both sides.

    Typed words such as ``<url>`` have none, and a longer word has no edge at its end.
    """
    if word.startswith("<"):
        return set()
    edged = EDGE + (word[:longest] if len(word) > longest else word + EDGE)
    return {edged[start : start + length] for length in lengths for start in range(len(edged) - length + 1)}


def _frequent(counter: Counter[Any], least: int, most: int) -> list[Any]:
    """Entries that were counted at least so often, the most frequent first, equally frequent ones in their order."""
    found = sorted((-count, entry) for entry, count in counter.items() if count >= least)
    return [entry for _, entry in found[:most]]


def _sorted(codes: Sequence[int], first: int) -> tuple[Integers, Integers]:
    """Codes in ascending order, and the features, numbered from `first` on, that they stand for."""
    array = np.array(codes, np.int64)
    order = np.argsort(array)
    return array[order], first + order
