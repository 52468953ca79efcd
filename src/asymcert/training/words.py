"""What the score of a text loses by the worst edits of a few words, for training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from asymcert.models.text import WindowCodes
from asymcert.threats.words import GRAM, PAIR, WORD, WordEdits


class WordFalls:
    """Greatest fall of tangent planes by so many edits of words, whatever words those are.

    A word that is put in brings the most harmful features that a text has not, and parts one pair. One that is taken
    out takes all pairs along that it is in, as `asymcert.certify.word_pairs` charges them, and joins one.

    Parameters
    ----------
    adversaries
        Edits of texts, and how many of them each one makes.
    rises
        Bool (F,): features that never lower the score, which no one puts in.
    """

    def __init__(self, adversaries: Sequence[tuple[WordEdits, int]], rises: Tensor):
        edits = adversaries[0][0]
        self.family, self.owner, self.grams = edits.family, edits.words, edits.grams_per_word
        self.harmful = [((edits.family == family) & ~rises).nonzero()[:, 0] for family in (WORD, PAIR, GRAM)]
        plans = [own.plans.counts[own.plans.counts.sum(1) == count] for own, count in adversaries]
        self.plans, self.counts = [len(own) for own in plans], torch.cat(plans)

    def __call__(self, slope: Tensor, table: Tensor, texts: WindowCodes) -> list[Tensor]:
        """Falls (n,) by each adversary.

        Parameters
        ----------
        slope
            (n, units): derivatives of scores by what a text's features add to the units.
        table
            (F, units): what each feature adds.
        texts
            The n windows.
        """
        rows, device = len(slope), slope.device
        add, remove, replace = self.counts.to(device).unbind(1)
        put, taken = add + replace, remove + replace
        lost = (slope[texts.window] * table[texts.feature]).sum(1).clamp(min=0.0)
        family, owner = self.family.to(device)[texts.feature], self.owner.to(device)[texts.feature]
        word, pair, gram = (family == own for own in (WORD, PAIR, GRAM))
        out = slope.new_zeros(rows, len(table))  # by each word that is taken out
        for own, side in ((word, 0), (pair, 0), (pair, 1)):
            out = out.index_put((texts.window[own], owner[own, side]), lost[own], accumulate=True)
        gains = (self._gains(slope, table, texts, own.to(device)) for own in self.harmful)
        falls = (
            *map(_sums, gains, (put, 2 * put + remove, self.grams * put)),
            _sums(out, taken),
            _sums(_padded(lost[pair], texts.window[pair], rows), add),
            _sums(_padded(lost[gram], texts.window[gram], rows), self.grams * taken),
        )
        return [plans.amax(1) for plans in torch.stack(falls).sum(0).split(self.plans, 1)]

    @staticmethod
    def _gains(slope: Tensor, table: Tensor, texts: WindowCodes, features: Tensor) -> Tensor:
        """Falls by each of some features that a text has not: (n, features)."""
        there = torch.zeros(len(slope), len(table), dtype=torch.bool, device=slope.device)
        there[texts.window, texts.feature] = True
        return (slope @ -table[features].T).masked_fill(there[:, features], 0.0)


def _padded(values: Tensor, row: Tensor, rows: int) -> Tensor:
    """Values (m,) of rows, ascending, one row each: (rows, most of a row)."""
    sizes = row.bincount(minlength=rows)
    place = torch.arange(len(row), device=row.device) - (sizes.cumsum(0) - sizes)[row]
    return values.new_zeros(rows, max(sizes.tolist(), default=0)).index_put((row, place), values)


def _sums(values: Tensor, room: Tensor) -> Tensor:
    """Sums of the greatest positive values (n, k), as many as each room (C,) allows: (n, C)."""
    greatest = values.topk(min(int(room.max()), values.shape[1]), 1).values.clamp(min=0.0)
    return functional.pad(greatest.cumsum(1), (1, 0))[:, room.clamp(max=greatest.shape[1])]
