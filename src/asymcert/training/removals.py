"""What removals of words take of a text: each the word, and a pair on either side."""

from __future__ import annotations

import torch
from torch import Tensor

from asymcert.threats.words import PAIR, WORD, WordEdits


def removal_steps(value: Tensor, edits: WordEdits, most: int) -> Tensor:
    """What removals of words cost one by one, the dearest first: (n, most), differentiable by `value`.

    Whoever removes an occurrence of a word loses at most one feature of that word, one pair that the word ends and one
    that it begins. So the t-th removal of a word costs at most the t-th greatest value of each of the three, and k
    removals cost at most the sum of the k dearest such steps of all words. A pair counts at both of its words.

    Parameters
    ----------
    value
        (n, d): what the loss of each feature costs; 0 where a text has it not, or can not lose it.
    edits
        The adversary.
    most
        Removals.
    """
    row, place = (value > 0).nonzero(as_tuple=True)
    family, ends = edits.family.to(value.device)[place], edits.words.to(value.device)[place]
    lost, kind = torch.stack((family == WORD, family == PAIR, family == PAIR)).T.nonzero(as_tuple=True)
    row, cost = row[lost], value[row[lost], place[lost]]
    own = row * edits.inputs + torch.where(kind == 2, ends[lost, 1], ends[lost, 0])  # a word of a text
    turn = _ranks(own * 3 + kind, cost)
    step, member = (own * len(own) + turn).unique(return_inverse=True)
    costs = value.new_zeros(len(step)).index_add(0, member, cost)
    row = step // max(1, len(own) * edits.inputs)
    rank = _ranks(row, costs)
    inside = rank < most
    return value.new_zeros(len(value), most).index_put((row[inside], rank[inside]), costs[inside])


def _ranks(group: Tensor, value: Tensor) -> Tensor:
    """The place, from 0 on, of each of the values (m,) in its group, the greatest first: int64 (m,)."""
    order = value.detach().argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    ordered = group[order]
    place = torch.arange(len(group), device=group.device) - torch.searchsorted(ordered, ordered)
    return torch.empty_like(group).index_copy(0, order, place)
