"""Falls by edits of words where every pair is charged to a word that is put in or taken out.

A pair of neighbours that a text gains has a new word in it; or else its two words met because one between them was
removed, and the text had both. A pair that it loses has a word in it that is gone; or else a word was added between the
two. So beside one pair for each removed word and one for each added, all pairs are charged to new and lost words: each
word pays for one pair with its right neighbour and one with its left, and no two words pay for the same. A gained pair
whose other word the text had not has two new words, which share its fall.
"""

from __future__ import annotations

import torch
from torch import Tensor

from asymcert._floats import up
from asymcert.threats.words import GRAM, PAIR, WORD, WordEdits


def falls_with_pairs(fall: Tensor, x: Tensor, edits: WordEdits, counts: Tensor) -> Tensor:
    """Greatest fall by so many edits, rounded up: (n, C).

    Parameters
    ----------
    fall
        (n, d): fall by the flip of each input, rounded up, at least 0; 0 for what edits cannot flip.
    x
        (n, d): inputs, 0 or 1.
    edits
        The adversary.
    counts
        Int64 (C, 3): words added, removed, replaced.
    """
    add, remove, replace = counts.to(x.device).unbind(1)
    put, taken, grams = add + replace, remove + replace, edits.grams_per_word
    family, ends, gone = edits.family.to(x.device), edits.words.to(x.device), x == 1
    gained, lost = torch.where(gone, 0.0, fall), torch.where(gone, fall, 0.0)
    made, broken = (((family == PAIR) & (own > 0).any(0)).nonzero()[:, 0] for own in (gained, lost))
    there = x[:, ends[made]] == 1  # (n, pairs, 2): which words of a pair the text has
    kept = torch.zeros_like(family, dtype=torch.bool) if edits.protected is None else edits.protected.to(x.device)
    charged = gained[:, made, None] * torch.where(there.flip(2), 1.0, 0.5)
    parts = (
        (_with_pairs(gained, charged, ends[made], edits, int(put.max())), put),
        (_with_pairs(lost, lost[:, broken, None] * ~kept[ends[broken]], ends[broken], edits, int(taken.max())), taken),
        (sums(torch.where(there.all(2), gained[:, made], 0.0), int(remove.max())), remove),
        (sums(lost[:, broken], int(add.max())), add),
        (sums(gained[:, family == GRAM], grams * int(put.max())), grams * put),
        (sums(lost[:, family == GRAM], grams * int(taken.max())), grams * taken),
    )
    return torch.stack([own[:, slots.clamp(max=own.shape[1] - 1)] for own, slots in parts]).sum(0) * up(16)


def sums(values: Tensor, most: int) -> Tensor:
    """Sums of the greatest 0, 1, ... and at most `most` of nonnegative values (n, k), rounded up: (n, m + 1)."""
    found = values.topk(min(most, values.shape[1]), dim=1).values
    return torch.nn.functional.pad(found.cumsum(1), (1, 0)) * up(2 * values.shape[1] + 8)


def _with_pairs(words: Tensor, pairs: Tensor, ends: Tensor, edits: WordEdits, most: int) -> Tensor:
    """As `sums` of the words with their pairs: the lesser of two bounds.

    One sums what comes first of each word, and what comes again of any. The other charges each word once, with all of
    its pairs: whichever words are put in or taken out, no more of them are distinct.

    `words` (n, d) has the falls by words, `pairs` (n, pairs, 2) what each pair takes from its two words, `ends`.
    """
    word, owner = edits.family.to(words.device) == WORD, edits.words.to(words.device)[:, 0]
    lists = [(words[:, word], owner[word]), *((pairs[:, :, side], ends[:, side]) for side in (0, 1))]
    first, again = zip(*(_best_and_rest(values, group, len(word)) for values, group in lists), strict=True)
    again = [values.topk(min(most, values.shape[1]), dim=1).values for values in again]
    repeats = torch.stack([torch.nn.functional.pad(values, (0, most - values.shape[1])) for values in again]).sum(0)
    apart = sums(torch.cat((torch.stack(first).sum(0)[:, word], repeats), 1) * up(8), most)
    whole = torch.stack([torch.zeros_like(words).index_add(1, group, values) for values, group in lists]).sum(0)
    return apart.minimum(sums(torch.nn.functional.pad(whole, (0, most)) * up(2 * words.shape[1] + 8), most))


def _best_and_rest(values: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Greatest of the nonnegative values (n, k) of each group, (n, groups), and all but that one: (n, k)."""
    index, number = group.expand_as(values), torch.arange(len(group), device=values.device)
    best = values.new_zeros(len(values), groups).scatter_reduce(1, index, values, "amax")
    places = torch.where(values == best.gather(1, index), number, len(group))
    first = places.new_full(best.shape, len(group)).scatter_reduce(1, index, places, "amin")
    return best, torch.where(first.gather(1, index) == number, 0.0, values)
