"""How many edits of words it takes before a tangent plane falls by a given amount.

Edits of a text flip features. A word that is added brings at most one feature of words, two pairs and the grams of one
word, and parts at most one pair; one that is removed takes one of words, two pairs and its grams, and joins one pair; a
replaced one does both, without joining or parting others. So the plane falls by at most the sums of the greatest falls
by so many features of each family that a text has not and of each that it has, whatever words the adversary invents;
pairs are held to the words in them besides, see `falls_with_pairs`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert._floats import up
from asymcert.certify.drops import Pieces
from asymcert.certify.word_pairs import falls_with_pairs
from asymcert.threats.words import GRAM, PAIR, WORD, WordEdits

GAINED_AND_LOST = tuple(itertools.product((WORD, PAIR, GRAM), (1.0, -1.0)))  # in the order of `WordEdits.slots`


@dataclass(frozen=True)
class WordDrops:
    """What a plane can lose by edits of words.

    Parameters
    ----------
    edits
        The adversary.
    fall
        (n, d): fall by the flip of each input that his edits can flip, rounded up, at least 0.
    flip
        (n, d): the change that makes 1 of 0 and 0 of 1.
    falls
        (n, C): greatest fall by the edits of each plan, rounded up.
    """

    edits: WordEdits
    fall: Tensor
    flip: Tensor
    falls: Tensor

    @classmethod
    def of(cls, pieces: Pieces, edits: WordEdits, slope: Tensor, error: Tensor, x: Tensor) -> WordDrops:
        """Falls of planes of the derivatives `slope` (pieces, n, d), each wrong by at most `error`; see `Pieces`."""
        flip = 1.0 - 2.0 * x
        fall = torch.where(_possible(edits, x), pieces.falls_at(slope, error, x, flip).clamp(min=0.0), 0.0)
        return cls(edits, fall, flip, falls_with_pairs(fall, x, edits, edits.plans.counts))

    def radius(self, amount: Tensor) -> Tensor:
        """The price up to which, itself included, no edits bring the plane down by `amount` (n,): (n,)."""
        plans, first = self.edits.plans, self.needed(amount)
        ends = torch.cat((plans.below, plans.below.new_tensor([plans.limit]))).to(amount)
        beyond = self.fall.sum(1) * up(self.fall.shape[1] + 8) < amount
        return torch.where(amount > 0, torch.where(beyond, math.inf, ends[first]), 0.0)

    def needed(self, amount: Tensor) -> Tensor:
        """The first plan whose edits bring the plane down by `amount`, or one more than there are: int64 (n,)."""
        enough = self.falls >= amount[:, None]
        return torch.where(enough.any(1), enough.double().argmax(1), enough.shape[1])

    def answer(self, plan: Tensor) -> Tensor:
        """The change (n, d) of so many features by which plans (n,) lower the plane most; no text may have these."""
        slots, family = self.edits.slots().to(plan.device), self.edits.family.to(plan.device)
        room, chosen = slots[plan.clamp(max=len(slots) - 1)], torch.zeros_like(self.flip)
        for column, (own, sign) in enumerate(GAINED_AND_LOST):
            values = torch.where((family == own) & (self.flip == sign), self.fall, 0.0)
            most = int(room[:, column].max()) if len(room) else 0
            greatest = values.topk(min(most, values.shape[1]), dim=1)
            taken = torch.arange(greatest.indices.shape[1], device=plan.device) < room[:, column, None]
            chosen.scatter_add_(1, greatest.indices, (taken & (greatest.values > 0)).to(chosen))
        return chosen * self.flip


def check_edits(edits: WordEdits) -> None:
    """Refuse whole sentences, which may have any features."""
    if edits.sentences:
        remedy = "Certify a model of texts that reads sentences alone."
        raise refuse("edits", "without whole sentences for features of whole texts", "with them", remedy)


def _possible(edits: WordEdits, x: Tensor) -> Tensor:
    """Which inputs (n, d) edits can flip."""
    family, possible = edits.family.to(x.device), torch.zeros_like(x, dtype=torch.bool)
    most = edits.slots().amax(0).tolist()
    for room, (own, sign) in zip(most[:-1], GAINED_AND_LOST, strict=True):
        possible |= (family == own) & ((x == 0) == (sign > 0)) if room else False
    if edits.protected is not None:
        possible &= ~edits.protected.to(x.device) | (x == 0)
    if not most[0]:  # removing words joins no others than those that are there
        pair = family == PAIR
        possible[:, pair] &= (x[:, pair] == 1) | (x[:, edits.words.to(x.device)[pair]] == 1).all(2)
    return possible
