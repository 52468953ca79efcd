"""Attacks on texts: searches for edits, words and sentences added in one go, other ways to write the same letters."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asymcert._checks import check_choice, check_count
from asymcert.attacks.texts.disguises import disguises
from asymcert.attacks.texts.moves import MOVES
from asymcert.attacks.texts.prices import ADD, EditPrices
from asymcert.attacks.texts.trial import Trial

LEAST_TRIED = 64  # texts of one step


class TextAttack(ABC):
    """Tries texts on a `Trial`, which believes nothing of them."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Kind and settings: what tells attacks apart in result rows."""

    @abstractmethod
    def fits(self, prices: EditPrices) -> bool:
        """Whether the adversary makes such edits."""

    @abstractmethod
    def run(self, trial: Trial) -> None:
        """Offer texts until the verdict is undone, or until nothing is left to try."""


@dataclass(frozen=True)
class EditSearch(TextAttack):
    """One edit after another, each time those that lower the margin most: a beam search, greedy with ``beam=1``.

    Parameters
    ----------
    moves
        Names of `MOVES` that it makes.
    beam
        Texts that are kept at each step.
    evaluations
        Texts that are scored, about; at least `LEAST_TRIED` at each step.
    """

    moves: tuple[str, ...]
    beam: int = 3
    evaluations: int = 240

    def __post_init__(self) -> None:
        for move in self.moves:
            check_choice("moves", move, tuple(MOVES))
        check_count("beam", self.beam)
        check_count("evaluations", self.evaluations)

    @property
    def name(self) -> str:
        """``fillers, beam of 3, 240 texts``."""
        return f"{' and '.join(self.moves)}, beam of {self.beam}, {self.evaluations} texts"

    def fits(self, prices: EditPrices) -> bool:
        """Whether one of its moves has kinds of edits that the adversary makes."""
        return any(MOVES[move][1] & set(prices.kinds) for move in self.moves)

    def run(self, trial: Trial) -> None:
        """As many steps as the budget has edits."""
        kept = [trial.best.text]
        tried = max(LEAST_TRIED, self.evaluations // max(1, trial.steps))
        for _ in range(trial.steps):
            words = trial.ranked(kept[0])
            moves = [MOVES[move][0](text, words, trial.generator) for move in self.moves for text in kept]
            kept = trial.offer(_alternately(moves), tried, self.beam)
            if trial.best.undoes or not kept:
                break


@dataclass(frozen=True)
class Padding(TextAttack):
    """As many words as the budget has room for, in one go, and any number of harmless sentences where these are free.

    Parameters
    ----------
    evaluations
        Texts that are scored, at most.
    """

    evaluations: int = 120

    def __post_init__(self) -> None:
        check_count("evaluations", self.evaluations)

    @property
    def name(self) -> str:
        """``padding, 120 texts``."""
        return f"padding, {self.evaluations} texts"

    def fits(self, prices: EditPrices) -> bool:
        """Whether the adversary adds something."""
        return prices.sentences or ADD in prices.kinds

    def run(self, trial: Trial) -> None:
        """Sentences where they cost nothing, then words."""
        text = trial.best.text
        if trial.prices.sentences:
            trial.offer(self._of_sentences(text, trial), self.evaluations // 2)
        if not trial.best.undoes and ADD in trial.prices.kinds:
            trial.offer(self._of_words(text, trial), self.evaluations)

    def _of_words(self, text: str, trial: Trial) -> Iterator[str]:
        words, sentences = trial.ranked(text), trial.supply.sentences
        for count in range(trial.steps, 0, -1):
            drawn = [words[place] for place in trial.generator.permutation(len(words))[:count]]
            sentence = sentences[int(trial.generator.integers(len(sentences)))].split() if sentences else []
            for chosen in (words, words[:1] * count, drawn, trial.supply.words, sentence):
                block = " ".join(chosen[:count])
                yield from (f"{text} {block}", f"{block} {text}")

    def _of_sentences(self, text: str, trial: Trial) -> Iterator[str]:
        sentences = trial.supply.sentences
        for count in itertools.islice(itertools.cycle((1, 3, 10, 40)), self.evaluations if sentences else 0):
            block = " ".join(
                sentences[place] for place in trial.generator.integers(len(sentences), size=count).tolist()
            )
            yield from (f"{text} {block}", f"{text}. {block}", f"{block} {text}", f"{block} {text}. {block}")


@dataclass(frozen=True)
class Disguise(TextAttack):
    """The same letters written otherwise: look-alikes, invisible characters, case, spaces, marks; see `disguises`."""

    @property
    def name(self) -> str:
        """``disguises``."""
        return "disguises"

    def fits(self, prices: EditPrices) -> bool:
        """True: what costs nothing needs no kind of edit."""
        return True

    def run(self, trial: Trial) -> None:
        """All of them."""
        trial.offer(disguises(trial.best.text, trial.generator), 10_000)


def default_text_attacks() -> list[TextAttack]:
    """Every kind of edit alone, greedily or with a beam, all together, and what costs little or nothing."""
    return [
        EditSearch(("fillers",), beam=1),
        EditSearch(("fillers", "wedges")),
        EditSearch(("removals",), beam=1),
        EditSearch(("removals",)),
        EditSearch(("replacements",)),
        EditSearch(("misspellings",)),
        EditSearch(("cuts",)),
        EditSearch(tuple(MOVES)),
        Padding(),
        Disguise(),
    ]


def _alternately(iterators: Sequence[Iterator[str]]) -> Iterator[str]:
    """The first of each, the second of each, and so on."""
    for row in itertools.zip_longest(*iterators):
        yield from (text for text in row if text is not None)
