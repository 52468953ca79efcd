"""The cheapest changed text that is known to undo a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from asymcert.attacks.texts.moves import MOVES, removals
from asymcert.attacks.texts.prices import EditPrices
from asymcert.attacks.texts.problem import TextProblem
from asymcert.attacks.texts.search import EditSearch, Padding
from asymcert.attacks.texts.supply import Supply
from asymcert.attacks.texts.trial import ChangedText, Trial

ATTACKS = (
    EditSearch(("fillers",)),
    EditSearch(("replacements",)),
    EditSearch(tuple(MOVES), evaluations=480),
    Padding(),
)
TRIED = 64  # of texts with a word fewer


def cheapest_edit(
    problem: TextProblem,
    text: str,
    prices: EditPrices,
    *,
    most: float = 20.0,
    supply: Supply | None = None,
    seed: int | Sequence[int] = 0,
) -> ChangedText:
    """Search for the cheapest text that undoes a verdict: each attack for a cheaper one than those before it found.

    Parameters
    ----------
    problem
        The classifier.
    text
        Called sensitive.
    prices
        Of edits.
    most
        Greatest price of interest.
    supply
        What may be added besides words of the vocabulary.
    seed
        Of what is drawn.

    Returns
    -------
    ChangedText
        No certificate of the text reaches its price, if it `undoes` the verdict; `described` puts its edits in words.
    """
    generator, found = np.random.default_rng(seed), []
    for attack in ATTACKS:
        trial = Trial(problem, text, prices, most, supply or Supply(), generator)
        if attack.fits(prices) and not trial.best.undoes:
            attack.run(trial)
            _shorten(trial)
        found.append(trial.best)
        if trial.best.undoes:
            most = math.nextafter(trial.best.price, -math.inf)
    return min(found, key=lambda each: each.rank)


def _shorten(trial: Trial) -> None:
    """Take out of the text that a trial found what it does not need."""
    price = math.inf
    while trial.best.undoes and trial.best.price < price:
        price = trial.best.price
        trial.offer(removals(trial.best.text, (), trial.generator), TRIED)
