"""The cheapest changed text that is known to undo a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asymcert.attacks.texts.moves import MOVES, removals
from asymcert.attacks.texts.prices import EditPrices, described
from asymcert.attacks.texts.problem import TextProblem
from asymcert.attacks.texts.search import EditSearch, Padding, TextAttack
from asymcert.attacks.texts.supply import Supply
from asymcert.attacks.texts.trial import Trial

ATTACKS = (
    EditSearch(("fillers",)),
    EditSearch(("replacements",)),
    EditSearch(tuple(MOVES), evaluations=480),
    Padding(),
)
TRIED = 64  # of texts with a word fewer


@dataclass(frozen=True)
class Evasion:
    """A text whose verdict is not sensitive any more.

    Parameters
    ----------
    text
        As it is given to the classifier.
    price
        Least price of edits that make it: no certificate of the original reaches so far.
    margin
        Of the model that is run.
    edits
        In words, such as ``added 'meeting' x2``.
    """

    text: str
    price: float
    margin: float
    edits: list[str]


def cheapest_edit(
    problem: TextProblem,
    text: str,
    prices: EditPrices,
    *,
    most: float = 20.0,
    supply: Supply | None = None,
    attacks: Sequence[TextAttack] = ATTACKS,
    seed: int = 0,
) -> Evasion | None:
    """Search for a text that undoes the verdict, each attack for a cheaper one than those before it found.

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
    attacks
        In their order.
    seed
        Of what is drawn.

    Returns
    -------
    Evasion or None
        None where no attack succeeded.
    """
    generator, supply, best = np.random.default_rng(seed), supply or Supply(), None
    for attack in attacks:
        trial = Trial(problem, text, prices, most, supply, generator)
        if attack.fits(prices):
            attack.run(trial)
        if trial.over:
            best = _shortened(trial)
            most = math.nextafter(best.price, -math.inf)
    return best


def _shortened(trial: Trial) -> Evasion:
    """The text that a trial found, without words that it does not need."""
    price = math.inf
    while trial.best.price < price:
        price = trial.best.price
        trial.offer(removals(trial.best.text, (), trial.generator), TRIED)
    best = trial.best
    edits = trial.prices.edits(trial.start, trial.problem.sentences(best.text))
    return Evasion(best.text, best.price, best.margin, described(edits or ()))
