"""The least size of change that brings a tangent plane down by a given amount.

Two steps. A solver finds, in plain floating point, how a least change spends its budget over coordinates, and with it
a price for each. Then weak duality gives a radius that needs no trust in the solver: for *any* prices,
``sum_i drop_i(t_i) <= sum_i max_t (drop_i(t) - price_i t) + ||price||_q ||t||_p``, so no change smaller than
``(amount - sum_i max_t (drop_i(t) - price_i t)) / ||price||_q`` brings the plane down by the amount.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._floats import TINY, UNIT, down, scaled_norm
from asymcert.certify.drops import Drops

ITERATIONS = 80  # of the solver; Newton steps on a piecewise linear function mostly need less than ten
STEEPEST = 64  # segments that an l1 budget is tried on first: sorting all of them takes longer than the rest
ACCURACY = 1e-13  # relative, of the amount; what is left is lost as radius, never as soundness


@dataclass(frozen=True)
class Segments:
    """Concave majorant of each coordinate's drop: pieces in the order in which they are spent, (j, n, d) each."""

    start: Tensor
    length: Tensor
    slope: Tensor


def radius(amount: Tensor, drops: Drops, price: Tensor, dual_norm: float, rate: float = 0.0) -> Tensor:
    """Size below which no change brings the plane down by ``amount - rate * size``, rounded down: (n,).

    Parameters
    ----------
    amount
        (n,), a lower bound on the plane's margin.
    price
        (n, d), nonnegative; lifted to the rays.
    rate
        What the margin loses besides, per unit of size.
    """
    slack = 4.0 * (price.shape[1] + 16) * UNIT
    price = torch.maximum(price, drops.ray)
    left = amount - drops.excess(price).sum(1) * (1.0 + slack)
    norm = scaled_norm(price, dual_norm) * (1.0 + slack) + rate
    found = torch.where(left > 0, left / norm * down(8), 0.0)
    return torch.where((left > 0) & (norm == 0), math.inf, found).nan_to_num(0.0, math.inf)


def solve(amount: Tensor, drops: Drops, norm: float) -> tuple[Tensor, Tensor]:
    """Budgets t (n, d) of a least change that spends ``drop`` until `amount` (n,), and prices (n, d) for `radius`.

    Where the whole box does not suffice, budgets go to its ends and prices are 0.
    """
    segments = majorant(drops)
    if norm == 1:
        return _cheapest_first(amount, segments)
    steepest = segments.slope[0].amax(1).clamp(min=TINY)[:, None]  # (n, 1)
    share = torch.ones_like(segments.slope)
    if not math.isinf(norm):
        share = (segments.slope.clamp(min=0.0) / steepest) ** (1.0 / (norm - 1.0))
    level = _level(amount, segments, share)[:, None]
    reached = (level * share - segments.start).nan_to_num(0.0).clamp(min=0.0)
    budgets = torch.minimum(reached, segments.length).sum(0)
    price = (segments.slope * (reached < segments.length)).amax(0)  # of the next unit of budget
    if not math.isinf(norm):  # where a coordinate waits at the end of a segment, its price is between two slopes
        price = torch.maximum(price, (steepest * (budgets / level) ** (norm - 1.0)).nan_to_num(0.0))
    return budgets, torch.where(level.isfinite(), price.clamp(min=0.0), 0.0)


def majorant(drops: Drops) -> Segments:
    """Upper hull of each coordinate's points and ray, by gift wrapping from the origin.

    Most hulls have few corners: coordinates whose own is complete are left out of the steps that follow.
    """
    if len(drops.reach) == 1:
        return _single(drops)
    left = torch.arange(drops.ray.numel(), device=drops.ray.device)
    points, height, ray = drops.reach.flatten(1), drops.drop.flatten(1), drops.ray.flatten()
    at, fallen = torch.zeros_like(ray), torch.zeros_like(ray)
    found = []
    while len(left) or not found:
        steepness = (height - fallen).div_(points - at).masked_fill_(points <= at, 0.0)
        steepest, chosen = steepness.max(0) if len(left) else (ray, left)
        end = points.gather(0, chosen[None])[0]
        onward = (steepest > 0) & (steepest > ray)
        slope = torch.maximum(steepest, ray)
        length = torch.where(onward, end - at, torch.where(slope > 0, math.inf, 0.0))
        found.append(_placed(left, drops.ray, at, length, slope))
        rows = onward.nonzero().squeeze(1)
        chosen, left, ray, at = chosen[rows], left[rows], ray[rows], end[rows]
        points, height = points.index_select(1, rows), height.index_select(1, rows)
        fallen = height.gather(0, chosen[None])[0]
    return Segments(*(torch.stack(parts) for parts in zip(*found, strict=True)))


def _placed(where: Tensor, like: Tensor, *parts: Tensor) -> list[Tensor]:
    """Values of some coordinates among all (n, d): 0 elsewhere."""
    return [torch.zeros_like(like).flatten().index_copy_(0, where, part).view_as(like) for part in parts]


def _single(drops: Drops) -> Segments:
    """The one segment of a plane that is affine in the change."""
    ray = drops.ray > 0
    reach = drops.reach[0]
    slope = torch.where(ray, drops.ray, torch.where(reach > 0, drops.drop[0] / reach, 0.0))
    length = torch.where(ray, math.inf, reach)
    return Segments(torch.zeros_like(reach)[None], length[None], slope[None])


def _cheapest_first(amount: Tensor, segments: Segments) -> tuple[Tensor, Tensor]:
    """l1: spend on the steepest segments first; the price is the slope at which the amount is reached."""
    slope, length = (part.movedim(0, 1).flatten(1) for part in (segments.slope, segments.length))  # (n, j * d)
    spent, price = _steepest(amount, slope, length, min(STEEPEST, slope.shape[1]))
    rest = (price == 0) & (amount > 0)  # not reached by the steepest few
    if bool(rest.any()):
        spent[rest], price[rest] = _steepest(amount[rest], slope[rest], length[rest], slope.shape[1])
    pieces, samples, d = segments.slope.shape
    budgets = spent.view(samples, pieces, d).sum(1)
    return budgets, price[:, None].expand(budgets.shape)


def _steepest(amount: Tensor, slope: Tensor, length: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Spend on the steepest `count` segments of each row until the amount is reached: spent (n, d), price (n,).

    The price is 0 where they do not suffice.
    """
    steep, order = slope.topk(count, dim=1)  # descending
    room = length.gather(1, order)
    drop = torch.where(steep > 0, steep * room, 0.0).nan_to_num(0.0, math.inf)
    total = drop.cumsum(1)
    before = torch.cat((torch.zeros_like(total[:, :1]), total[:, :-1]), 1)
    share = torch.where(steep > 0, (amount[:, None] - before) / steep, 0.0).clamp(min=0.0)
    share = torch.minimum(share, room)
    last = torch.where(share > 0, steep, math.inf).amin(1)
    spent = torch.zeros_like(slope).scatter_(1, order, share)
    return spent, torch.where(total[:, -1] >= amount, last, 0.0).nan_to_num(0.0, 0.0)


def _level(amount: Tensor, segments: Segments, share: Tensor) -> Tensor:
    """The level v at which ``sum slope * clamp(v * share - start, 0, length)`` is the amount; inf if none: (n,).

    Newton steps inside a bracket, on the samples that are not done yet.
    """
    slope = segments.slope.clamp(min=0.0)
    capacity = torch.where(slope > 0, slope * segments.length, 0.0).sum((0, 2))
    level = torch.zeros_like(amount).masked_fill_(capacity < amount, math.inf)
    rows = ((capacity >= amount) & (amount > 0)).nonzero().squeeze(1)
    parts = [part[:, rows] for part in (slope, share, segments.start, segments.length)]
    low = amount[rows] / (parts[0] * parts[1]).sum((0, 2))  # the sum rises at most this fast: a lower bound
    high = torch.full_like(low, math.inf)
    level[rows] = low
    for _ in range(ITERATIONS):
        if not len(rows):
            break
        gap, rate = _gap(amount[rows], level[rows], *parts)
        now = level[rows]
        low, high = torch.where(gap > 0, now, low), torch.where(gap > 0, high, now)
        step = now + gap / rate
        middle = torch.where(high.isinf(), 2.0 * low, 0.5 * (low + high))
        level[rows] = torch.where((step >= low) & (step <= high), step, middle)
        unfinished = (gap.abs() > ACCURACY * amount[rows]) & (level[rows] != now)
        if not bool(unfinished.all()):
            rows, low, high = rows[unfinished], low[unfinished], high[unfinished]
            parts = [part[:, unfinished] for part in parts]
    return level


def _gap(
    amount: Tensor, level: Tensor, slope: Tensor, share: Tensor, start: Tensor, length: Tensor
) -> tuple[Tensor, Tensor]:
    """How much is missing from the amount at a level, and how fast that falls as the level rises: (n,) each."""
    reached = torch.addcmul(-start, level[:, None], share).clamp_(min=0.0)
    spent = torch.minimum(reached, length)
    active = (reached > 0) & (reached < length)
    return amount - (slope * spent).sum((0, 2)), (slope * share * active).sum((0, 2))
