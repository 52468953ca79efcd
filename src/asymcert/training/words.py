"""What the score of a text loses by the worst edits of a few words, for training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from asymcert.threats.words import GRAM, PAIR, WORD, WordEdits
from asymcert.training.removals import removal_steps


class WordFalls:
    """Greatest fall of tangent planes by at most so many edits of words, whatever words those are.

    An edit gains and loses at most so many features of each family; the adversary takes those that lower the plane
    most, whether or not one text has them all. Removed words take no pairs but their own.

    Parameters
    ----------
    adversaries
        Edits of texts whose inputs are features of words, then pairs, then grams; and how many of them each one makes.
    rising
        Families of features whose slopes are never negative.
    """

    def __init__(self, adversaries: Sequence[tuple[WordEdits, int]], rising: Sequence[int] = ()):
        self.edits = adversaries[0][0]
        self.sizes = [int((self.edits.family == family).sum()) for family in (WORD, PAIR, GRAM)]
        counts = [edits.plans.counts[edits.plans.counts.sum(1) == count] for edits, count in adversaries]
        self.plans = [len(own) for own in counts]
        add, remove, replace = torch.cat(counts).unbind(1)
        put, taken, parts = add + replace, remove + replace, self.edits.grams_per_word
        gained = {WORD: put, PAIR: 2 * put + remove, GRAM: parts * put}
        self.gained = [torch.zeros_like(put) if family in rising else own for family, own in gained.items()]
        self.added, self.taken, self.grams = add, taken, parts * taken

    def __call__(self, slope: Tensor, present: Tensor) -> list[Tensor]:
        """Falls (n,) by each adversary, of planes of `slope` (n, F) at texts of the features `present`, bool (n, F)."""
        gained = torch.where(present, 0.0, -slope).clamp(min=0.0).split(self.sizes, 1)
        lost = torch.where(present, slope, 0.0).clamp(min=0.0)
        _, pairs, grams = lost.split(self.sizes, 1)
        steps = removal_steps(lost, self.edits, int(self.taken.max()))
        falls = [_sums(own, room) for own, room in zip(gained, self.gained, strict=True)]
        falls += [_sums(pairs, self.added), _sums(steps, self.taken), _sums(grams, self.grams)]
        return [plans.amax(1) for plans in torch.stack(falls).sum(0).split(self.plans, 1)]


def _sums(values: Tensor, room: Tensor) -> Tensor:
    """Sums of the greatest nonnegative values (n, k), as many as each room (C,) allows: (n, C)."""
    room = room.clamp(max=values.shape[1]).to(values.device)
    greatest = values.topk(int(room.max()), 1).values
    return functional.pad(greatest.cumsum(1), (1, 0))[:, room]
