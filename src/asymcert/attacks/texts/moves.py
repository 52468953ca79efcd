"""Single edits of a text as it is written: from one string to the strings that one move makes of it.

None of them is believed: what a move costs is read from the words of its result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from asymcert.attacks.texts.prices import ADD, REMOVE, REPLACE

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIGITS = str.maketrans("oieastg", "0134579")
REPLACED = 8  # words that one other word takes the place of, each in turn
Move = Callable[[str, Sequence[str], np.random.Generator], Iterator[str]]  # text, words to add, randomness


def fillers(text: str, words: Sequence[str], generator: np.random.Generator) -> Iterator[str]:
    """One word more: at the end, at the front or somewhere between others."""
    pieces = _pieces(text)
    for word in words:
        place = int(generator.integers(-2, len(pieces) + 1))
        place = len(pieces) if place < 0 else place
        yield _joined(pieces[:place], [f" {word} "], pieces[place:])


def wedges(text: str, words: Sequence[str], generator: np.random.Generator) -> Iterator[str]:
    """The most promising words, and one that is in no vocabulary, in every gap: pairs are broken."""
    pieces = _pieces(text)
    for place in _shuffled(len(pieces), generator):
        for word in ("zzqx", *words[:3]):
            yield _joined(pieces[:place], [f" {word} "], pieces[place:])


def removals(text: str, words: Sequence[str], generator: np.random.Generator) -> Iterator[str]:
    """One word fewer, with the marks beside it or without."""
    pieces = _pieces(text)
    for place in _shuffled(len(pieces), generator):
        for rest in dict.fromkeys((re.sub(r"\w+", "", pieces[place]), " ")):
            yield _joined(pieces[:place], [rest], pieces[place + 1 :])


def replacements(text: str, words: Sequence[str], generator: np.random.Generator) -> Iterator[str]:
    """Another word in the place of one; marks beside it stay."""
    pieces = _pieces(text)
    for word in words:
        for place in _shuffled(len(pieces), generator)[:REPLACED]:
            yield _joined(
                pieces[:place], [re.sub(r"\w+", lambda _, word=word: word, pieces[place], count=1)], pieces[place + 1 :]
            )


def misspellings(text: str, words: Sequence[str], generator: np.random.Generator) -> Iterator[str]:
    """One word with letters swapped, dropped, doubled, added, repeated, or digits in their stead."""
    return _rewritten(text, generator, _misspelt)


def cuts(text: str, words: Sequence[str], generator: np.random.Generator) -> Iterator[str]:
    """One word split in two, or joined with the next."""
    yield from _rewritten(text, generator, _split)
    pieces = _pieces(text)
    for place in _shuffled(len(pieces) - 1, generator):
        yield _joined(pieces[:place], [pieces[place].rstrip()], pieces[place + 1 :])


MOVES: dict[str, tuple[Move, frozenset[str]]] = {  # and the kinds of edits of which it needs some
    "fillers": (fillers, frozenset({ADD})),
    "wedges": (wedges, frozenset({ADD})),
    "removals": (removals, frozenset({REMOVE})),
    "replacements": (replacements, frozenset({REPLACE, REMOVE})),
    "misspellings": (misspellings, frozenset({REPLACE, REMOVE})),
    "cuts": (cuts, frozenset({REPLACE, REMOVE})),
}


def _misspelt(word: str, generator: np.random.Generator) -> Iterator[str]:
    place = int(generator.integers(len(word)))
    letter = LETTERS[int(generator.integers(len(LETTERS)))]
    yield word[:place] + word[place + 1 : place + 2] + word[place : place + 1] + word[place + 2 :]
    yield word[:place] + word[place + 1 :]
    yield word[:place] + word[place] + word[place:]
    yield word[:place] + letter + word[place:]
    yield word.translate(DIGITS)
    yield word[:place] + word[place] * 4 + word[place:]
    yield word[::-1]


def _split(word: str, generator: np.random.Generator) -> Iterator[str]:
    place = 1 + int(generator.integers(max(1, len(word) - 1)))
    for mark in (" ", "-", ".", "_", "/", "\n"):
        yield word[:place] + mark + word[place:]


def _rewritten(
    text: str, generator: np.random.Generator, rewrite: Callable[[str, np.random.Generator], Iterator[str]]
) -> Iterator[str]:
    """Texts with one word rewritten, in every way that `rewrite` knows."""
    pieces = _pieces(text)
    for place in _shuffled(len(pieces), generator):
        word = pieces[place].rstrip()
        for other in rewrite(word, generator) if word else ():
            yield _joined(pieces[:place], [other, pieces[place][len(word) :]], pieces[place + 1 :])


def _pieces(text: str) -> list[str]:
    """A text cut before its words, each with the space after it: together they are the text."""
    return re.findall(r"\S+\s*|^\s+", text)


def _joined(*parts: Sequence[str]) -> str:
    return "".join("".join(part) for part in parts)


def _shuffled(count: int, generator: np.random.Generator) -> list[int]:
    return generator.permutation(max(0, count)).tolist()
