"""The plain formulas, in pieces of bounded memory, for every type and device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

PIECE_VALUES = 2**22  # differences at a time: 32 MB in float64


def max_forward(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """l_inf distances (n, m) of rows (n, d) and (m, d), and int32 (n, m), where each is attained first."""
    distance, index = x.new_empty(len(x), len(w)), x.new_empty(len(x), len(w), dtype=torch.int32)
    for rows, units in _pieces(x, w):
        distance[rows, units], position = _differences(x[rows], w[units]).abs_().max(-1)
        index[rows, units] = position.int()
    return distance, index


def bounds(low: Tensor, high: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest l_inf distance (n, m) between boxes ``[low, high]`` (n, d) and rows (m, d)."""
    least, most = low.new_empty(len(low), len(w)), low.new_empty(len(low), len(w))
    for rows, units in _pieces(low, w):
        above, below = _differences(low[rows], w[units]), -_differences(high[rows], w[units])
        least[rows, units] = torch.maximum(above, below).amax(-1).clamp_(min=0)
        most[rows, units] = -torch.minimum(above, below).amin(-1)
    return least, most


def sorted_forward(x: Tensor, w: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` greatest differences of rows (n, d) and (m, d), and int32 where they are: (count, n, m) both."""
    greatest, index = x.new_empty(count, len(x), len(w)), x.new_empty(count, len(x), len(w), dtype=torch.int32)
    for rows, units in _pieces(x, w):
        values, places = _differences(x[rows], w[units]).abs_().topk(count)
        greatest[:, rows, units], index[:, rows, units] = values.movedim(-1, 0), places.movedim(-1, 0).int()
    return greatest, index


def sorted_bounds(low: Tensor, high: Tensor, w: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Bounds, (count, n, m), of the `count` greatest differences of points of boxes (n, d) and rows (m, d)."""
    least, most = (low.new_empty(count, len(low), len(w)) for _ in range(2))
    for rows, units in _pieces(low, w):
        above, below = _differences(low[rows], w[units]), -_differences(high[rows], w[units])
        least[:, rows, units] = torch.maximum(above, below).clamp_(min=0).topk(count).values.movedim(-1, 0)
        most[:, rows, units] = torch.minimum(above, below).neg_().topk(count).values.movedim(-1, 0)
    return least, most


def power_forward(x: Tensor, w: Tensor, p: float) -> Tensor:
    """l_p distances (n, m) of rows (n, d) and (m, d): r (sum (|z| / r)^p)^(1/p), r the l_inf distance."""
    distance = x.new_empty(len(x), len(w))
    tiny = torch.finfo(x.dtype).tiny
    for rows, units in _pieces(x, w):
        size = _differences(x[rows], w[units]).abs_()
        largest = size.amax(-1)
        total = size.div_(largest.clamp(min=tiny)[..., None]).pow_(p).sum(-1)
        distance[rows, units] = torch.where(largest < tiny, largest, largest * total.pow(1.0 / p))
    return distance


def power_backward(x: Tensor, w: Tensor, distance: Tensor, gradient: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Gradients by `x` (n, d) and `w` (m, d) for the gradient (n, m) of the distances; 0 where the distance is 0."""
    grad_x, grad_w = torch.zeros_like(x), torch.zeros_like(w)
    tiny = torch.finfo(x.dtype).tiny
    for rows, units in _pieces(x, w):
        z, far = _differences(x[rows], w[units]), distance[rows, units]
        scaled = torch.where(far < tiny, 0.0, gradient[rows, units])
        change = z.abs().div_(far.clamp(min=tiny)[..., None]).pow_(p - 1.0)
        change.mul_(z.sign_()).mul_(scaled[..., None])
        grad_x[rows] += change.sum(1)
        grad_w[units] -= change.sum(0)
    return grad_x, grad_w


def _differences(x: Tensor, w: Tensor) -> Tensor:
    return x[:, None, :] - w[None, :, :]


def _pieces(x: Tensor, w: Tensor) -> Iterator[tuple[slice, slice]]:
    """Ranges of rows and units whose differences are at most `PIECE_VALUES`, one pair at least."""
    units = max(1, min(len(w), PIECE_VALUES // max(1, w.shape[1])))
    rows = max(1, PIECE_VALUES // max(1, units * w.shape[1]))
    for first in range(0, len(x), rows):
        for unit in range(0, len(w), units):
            yield slice(first, first + rows), slice(unit, unit + units)
