"""One text under attack: the one place where what is tried on it is scored and priced."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from asymcert.attacks.texts.prices import Edit, EditPrices
from asymcert.attacks.texts.problem import TextProblem
from asymcert.attacks.texts.supply import Supply

MOST_STEPS = 40  # edits of one attack
MOST_PRICED = 32  # texts of one step that do not undo the verdict and are priced
MOST_LETTERS = 2**21  # of all texts that one attack tries: long texts are tried less often


@dataclass(frozen=True)
class ChangedText:
    """The best text that an attack found.

    Parameters
    ----------
    text
        As it is given to the classifier.
    price
        Least price of edits that make it, at most the budget.
    margin
        Of the model that is run.
    edits
        The cheapest that make it.
    """

    text: str
    price: float
    margin: float
    edits: tuple[Edit, ...]

    @property
    def undoes(self) -> bool:
        """Whether the verdict on it is not sensitive; a margin that is no number is none."""
        return not self.margin > 0

    @property
    def rank(self) -> tuple[bool, float]:
        """Cheaper ones that undo the verdict come before dearer ones, then those of lower margin."""
        return (False, self.price) if self.undoes else (True, self.margin)


class Trial:
    """One text under attack: scores what is tried, prices the best of it, and remembers the best within the budget.

    Parameters
    ----------
    problem
        The classifier.
    text
        Called sensitive.
    prices
        Of the adversary's edits.
    budget
        Greatest total price, inf for any.
    supply
        What may be added.
    generator
        Of everything that is drawn.
    """

    def __init__(
        self,
        problem: TextProblem,
        text: str,
        prices: EditPrices,
        budget: float,
        supply: Supply,
        generator: np.random.Generator,
    ):
        self.problem, self.prices, self.budget = problem, prices, budget
        self.supply, self.generator = supply, generator
        self.start = self._parts(text)
        self.seen, self.attempts = {text}, 0
        self.best = ChangedText(text, 0.0, float(problem.margins([text])[0]), ())

    @property
    def steps(self) -> int:
        """Edits that the budget has room for, at most `MOST_STEPS`."""
        cheapest = min(self.prices.kinds.values(), default=math.inf)
        return int(min(MOST_STEPS, self.budget // cheapest if math.isfinite(self.budget) else MOST_STEPS))

    def ranked(self, text: str) -> list[str]:
        """Words to add to a text, the most promising first."""
        return self.supply.ranked(self.problem, text, self.generator)

    def offer(self, texts: Iterator[str], most: int, keep: int = 1) -> list[str]:
        """Score so many new texts, and return the best `keep` of those within the budget, the lowest margin first."""
        room = MOST_LETTERS // max(1, len(self.best.text)) - self.attempts
        fresh = list(itertools.islice((text for text in texts if self._is_new(text)), max(0, min(most, room))))
        margins = self.problem.margins(fresh)
        self.attempts += len(fresh)
        kept: list[str] = []
        for rank, place in enumerate(np.argsort(margins, kind="stable").tolist()):
            if margins[place] > 0 and (len(kept) >= keep or rank >= MOST_PRICED):
                break
            kept += self._priced(fresh[place], float(margins[place]))
        return kept[:keep]

    def _priced(self, text: str, margin: float) -> list[str]:
        """The text, if its edits are within the budget."""
        edits = self.prices.edits(self.start, self._parts(text))
        if edits is None or (price := self.prices.total(edits)) > self.budget:
            return []
        self.best = min(self.best, ChangedText(text, price, margin, tuple(edits)), key=lambda each: each.rank)
        return [text]

    def _parts(self, text: str) -> list[list[str]]:
        """What prices are told of a text."""
        return self.problem.sentences(text) if self.prices.by_sentence else [self.problem.words(text)]

    def _is_new(self, text: str) -> bool:
        new = text not in self.seen
        self.seen.add(text)
        return new
