"""How many edits of words it takes before a tangent plane falls by a given amount.

Edits of a text flip features. A word that is added brings at most one feature of words, two pairs and the grams of one
word, and parts at most one pair; one that is removed takes one of words, two pairs and its grams, and brings one pair;
a replaced one does both without joining or parting others. So the plane falls by at most the sums of the greatest falls
by so many features of each family that a text has not and of each that it has, whatever words the adversary invents.
Words that are taken out take pairs of their own with them, see `removal_steps`: that bounds the same loss, and the
smaller of the two bounds counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from asymcert._floats import up
from asymcert.certify.drops import Pieces
from asymcert.threats.removals import removal_steps
from asymcert.threats.words import GRAM, PAIR, WORD, WordEdits

WORDS_LOST, PAIRS_LOST = 2 * WORD + 1, 2 * PAIR + 1  # numbers of lists


class _List(NamedTuple):
    """Flips of one kind, the greatest falls first."""

    sums: Tensor  # (n, k + 1): of the first falls, rounded up, from none on
    total: Tensor  # (n,): of all that there are
    place: Tensor  # (n, k): the inputs


@dataclass(frozen=True)
class WordDrops:
    """What a plane can lose by edits of words.

    Parameters
    ----------
    edits
        The adversary.
    lists
        Of the inputs of each family that are gained, and those that are lost.
    flip
        (n, d): the change that makes 1 of 0 and 0 of 1.
    """

    edits: WordEdits
    lists: list[_List]
    flip: Tensor
    removals: Tensor | None  # (n, k + 1): costs of the dearest removals of words with their pairs, from none on

    @classmethod
    def of(cls, pieces: Pieces, edits: WordEdits, slope: Tensor, error: Tensor, x: Tensor) -> WordDrops:
        """Falls of planes of the derivatives `slope` (pieces, n, d), each wrong by at most `error`; see `Pieces`."""
        flip = 1.0 - 2.0 * x
        fall = pieces.falls_at(slope, error, x, flip).clamp(min=0.0)
        if edits.protected is not None:
            fall = torch.where(edits.protected.to(x.device) & (x == 1), 0.0, fall)
        family, most = edits.family.to(x.device), edits.slots().amax(0).tolist()
        lists = []
        for number, own in enumerate((WORD, PAIR, GRAM)):
            place = (family == own).nonzero().flatten()
            for lost in (0, 1):
                values = torch.where(x[:, place] == lost, fall[:, place], 0.0)
                lists.append(_greatest(values, place, most[2 * number + lost]))
        taken = int(edits.plans.counts[:, 1:].sum(1).max())
        steps = None if edits.ends is None else removal_steps(torch.where(x == 1, fall, 0.0), edits, taken)
        return cls(edits, lists, flip, None if steps is None else _sums(steps))

    def falls(self) -> Tensor:
        """Greatest fall by the edits of each plan, rounded up: (n, C)."""
        slots = self._slots()
        falls = torch.stack([own.sums[:, slots[:, number]] for number, own in enumerate(self.lists)])
        total = falls.sum(0)
        if self.removals is not None:
            add, remove, replace = self.edits.plans.counts.to(slots.device).unbind(1)
            parted = self.lists[PAIRS_LOST].sums
            together = self.removals[:, remove + replace] + parted[:, add.clamp(max=parted.shape[1] - 1)]
            others = [number for number in range(len(falls)) if number not in (WORDS_LOST, PAIRS_LOST)]
            total = total.minimum(falls[others].sum(0) + together)
        return total * up(8)

    def radius(self, amount: Tensor) -> Tensor:
        """The price up to which, itself included, no edits bring the plane down by `amount` (n,): (n,)."""
        plans, first = self.edits.plans, self.needed(amount)
        ends = torch.cat((plans.below, plans.below.new_tensor([plans.limit]))).to(amount)
        beyond = sum(own.total for own in self.lists) * up(8) < amount
        return torch.where(amount > 0, torch.where(beyond, math.inf, ends[first]), 0.0)

    def needed(self, amount: Tensor) -> Tensor:
        """The first plan whose edits bring the plane down by `amount`, or one more than there are: int64 (n,)."""
        enough = self.falls() >= amount[:, None]
        return torch.where(enough.any(1), enough.double().argmax(1), enough.shape[1])

    def answer(self, plan: Tensor) -> Tensor:
        """The change (n, d) of features by which plans (n,) lower the plane most, whether or not a text has them."""
        slots = self._slots()
        room = slots[plan.clamp(max=len(slots) - 1)]  # (n, lists)
        chosen = torch.zeros_like(self.flip)
        for number, own in enumerate(self.lists):
            taken = torch.arange(own.place.shape[1], device=room.device) < room[:, number : number + 1]
            helps = own.sums.diff(dim=1) > 0
            chosen.scatter_add_(1, own.place, (taken & helps).to(chosen))
        return chosen * self.flip

    def _slots(self) -> Tensor:
        """How many flips of each list each plan may take, of those that there are: (C, lists)."""
        lengths = torch.tensor([own.place.shape[1] for own in self.lists])
        return self.edits.slots()[:, : len(self.lists)].minimum(lengths).to(self.flip.device)


def _greatest(values: Tensor, place: Tensor, most: int) -> _List:
    """The greatest `most` of nonnegative values (n, k) of inputs (k,), and their sums; no total of a list of none."""
    found, order = values.topk(min(most, len(place)), dim=1)
    slack = up(2 * len(place) + 8)
    total = values.sum(1) * slack if most else values.new_zeros(len(values))
    return _List(_sums(found), total, place[order])


def _sums(values: Tensor) -> Tensor:
    """Of the first of nonnegative values (n, k), from none on, rounded up: (n, k + 1)."""
    return torch.nn.functional.pad(values.cumsum(1), (1, 0)) * up(2 * values.shape[1] + 8)
