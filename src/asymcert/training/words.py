"""What the score of a text loses by the worst edits of a few words, for training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from asymcert.threats.words import GRAM, PAIR, WORD, WordEdits


class WordFalls:
    """Greatest fall of tangent planes by at most so many edits of words, whatever words those are.

    An edit gains and loses at most so many features of each family; the adversary takes those that lower the plane
    most, whether or not one text has them all.

    Parameters
    ----------
    adversaries
        Edits of texts whose inputs are features of words, then pairs, then grams; and how many of them each one makes.
    rising
        Families of features whose slopes are never negative.
    """

    def __init__(self, adversaries: Sequence[tuple[WordEdits, int]], rising: Sequence[int] = ()):
        families = adversaries[0][0].family
        self.sizes = [int((families == family).sum()) for family in (WORD, PAIR, GRAM)]
        rooms = [edits.slots()[edits.plans.counts.sum(1) == count, :6] for edits, count in adversaries]
        self.plans = [len(own) for own in rooms]
        room = torch.cat(rooms)
        for family in rising:
            room[:, 2 * family] = 0  # they only raise the score
        self.rooms = room.minimum(torch.tensor(self.sizes).repeat_interleave(2))

    def __call__(self, slope: Tensor, present: Tensor) -> list[Tensor]:
        """Falls (n,) by each adversary, of planes of `slope` (n, F) at texts of the features `present`, bool (n, F)."""
        fall = slope.new_zeros(len(slope), len(self.rooms))
        rooms = iter(self.rooms.T.to(slope.device))
        for own, has in zip(slope.split(self.sizes, 1), present.split(self.sizes, 1), strict=True):
            for values, outside in ((-own, has), (own, ~has)):
                room = next(rooms)
                if bool(room.any()):
                    fall = fall + _sums(values.masked_fill(outside, 0.0), room)
        return [plans.amax(1) for plans in fall.split(self.plans, 1)]


def _sums(values: Tensor, room: Tensor) -> Tensor:
    """Sums of the greatest positive values (n, k), as many as each room (C,) allows: (n, C)."""
    greatest = values.topk(int(room.max()), 1).values.clamp(min=0.0)
    return functional.pad(greatest.cumsum(1), (1, 0))[:, room]
