"""Kernels for GPUs in Triton; imported only where Triton is there.

Each programme owns a tile of results, holds it in registers and walks along the summed axis: per step it loads one
column of each operand, transposed beforehand so that columns are contiguous, and updates the whole tile by their outer
difference. Nothing else is kept, so memory is that of the results.

Tiles of 64 x 64 on 4 warps are 32 results a thread, and 640 programmes for a layer of 5120 units at batch 512, which
fill the 132 multiprocessors of a Hopper GPU to 97 %.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

TILE, WARPS, UNROLL = 64, 4, 4
LARGEST_EVEN = 64  # even powers up to here are multiplied out, each compiled by itself


def supports(x: Tensor, p: float) -> bool:
    """Whether `x` can be worked on here: on a GPU, powers only in float32, the largest difference in float64 too."""
    return x.is_cuda and (x.dtype == torch.float32 or (x.dtype == torch.float64 and math.isinf(p)))


def max_forward(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """l_inf distances (n, m) of rows (n, d) and (m, d), and int32 (n, m), where each is attained first."""
    distance, index = _filled(x, w, -1.0), x.new_empty(len(x), len(w), dtype=torch.int32)
    _launch(_max_kernel, distance, _columns(x), _columns(w), distance, index, *_sizes(x, w), with_index=True)
    return distance, index


def bounds(low: Tensor, high: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest l_inf distance (n, m) between boxes ``[low, high]`` (n, d) and rows (m, d)."""
    least, most = _filled(low, w, 0.0), _filled(low, w, 0.0)
    _launch(_bounds_kernel, least, _columns(low), _columns(high), _columns(w), least, most, *_sizes(low, w))
    return least, most


def power_forward(x: Tensor, w: Tensor, p: float) -> Tensor:
    """l_p distances (n, m) of rows (n, d) and (m, d): the l_inf distances first, then powers in [0, 1] of them."""
    largest, total, (xt, wt) = _filled(x, w, -1.0), x.new_empty(len(x), len(w)), (_columns(x), _columns(w))
    _launch(_max_kernel, largest, xt, wt, largest, largest, *_sizes(x, w), with_index=False)
    inverse = largest.clamp(min=torch.finfo(x.dtype).tiny).reciprocal()
    _launch(_power_kernel, total, xt, wt, inverse, total, p, *_sizes(x, w), even=_even(p))
    return torch.where(largest < torch.finfo(x.dtype).tiny, largest, largest * total.pow(1.0 / p))


def power_backward(x: Tensor, w: Tensor, distance: Tensor, gradient: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Gradients by `x` (n, d) and `w` (m, d): one kernel, with the operands' roles exchanged for the second."""
    tiny = torch.finfo(x.dtype).tiny
    gradient = gradient.masked_fill(distance < tiny, 0.0)
    inverse = distance.clamp(min=tiny).reciprocal()
    grad_x, grad_w = torch.empty_like(x), torch.empty_like(w)
    even = _even(p)
    _launch(
        _gradient_kernel, grad_x, x, w, _columns(inverse), _columns(gradient), grad_x, p - 1.0, *_sizes(x, w), even=even
    )
    _launch(_gradient_kernel, grad_w, w, x, inverse, gradient, grad_w, p - 1.0, *_sizes(w, x), even=even)
    return grad_x, grad_w


def _even(p: float) -> int:
    """`p` if it is a small even integer, else 0."""
    return int(p) if p % 2 == 0 and p <= LARGEST_EVEN else 0


def _filled(x: Tensor, w: Tensor, value: float) -> Tensor:
    """Start of a maximum; loaded by the kernel, because the layout of a load decides how threads share a tile."""
    return x.new_full((len(x), len(w)), value)


def _columns(matrix: Tensor) -> Tensor:
    return matrix.t().contiguous()


def _sizes(x: Tensor, w: Tensor) -> tuple[int, int, int]:
    return len(x), len(w), w.shape[1]


def _launch(kernel: Any, result: Tensor, *arguments: Any, **constants: Any) -> None:
    """One programme for each tile of `result`."""
    grid = (triton.cdiv(result.shape[0], TILE), triton.cdiv(result.shape[1], TILE))
    if result.numel():
        kernel[grid](*arguments, tile=TILE, unroll=UNROLL, **constants, num_warps=WARPS)


@triton.jit
def _max_kernel(
    xt, wt, out, index, n, m, d, with_index: tl.constexpr, tile: tl.constexpr, unroll: tl.constexpr
):  # fmt: skip
    rows = tl.program_id(0) * tile + tl.arange(0, tile)
    units = tl.program_id(1) * tile + tl.arange(0, tile)
    inside_x, inside_w = rows < n, units < m
    x_column, w_column = xt + rows, wt + units
    target = rows.to(tl.int64)[:, None] * m + units[None, :]
    inside = inside_x[:, None] & inside_w[None, :]
    best = tl.load(out + target, mask=inside, other=-1.0)
    where = tl.zeros((tile, tile), tl.int32)
    at_start = tl.zeros((tile,), tl.int32)
    for start in range(0, d, unroll):
        for step in tl.static_range(unroll):  # pyright: ignore[reportGeneralTypeIssues]
            more = at_start + start + step < d  # past the end both are 0, which is no greater difference
            x = tl.load(x_column, mask=inside_x & more, other=0.0)
            w = tl.load(w_column, mask=inside_w & more, other=0.0)
            size = tl.abs(x[:, None] - w[None, :])
            if with_index:
                where = tl.where(size > best, start + step, where)
            best = tl.maximum(best, size)
            x_column += n
            w_column += m
    tl.store(out + target, best, mask=inside)
    if with_index:
        tl.store(index + target, where, mask=inside)


@triton.jit
def _bounds_kernel(lt, ht, wt, least, most, n, m, d, tile: tl.constexpr, unroll: tl.constexpr):
    rows = tl.program_id(0) * tile + tl.arange(0, tile)
    units = tl.program_id(1) * tile + tl.arange(0, tile)
    inside_x, inside_w = rows < n, units < m
    low_column, high_column, w_column = lt + rows, ht + rows, wt + units
    target = rows.to(tl.int64)[:, None] * m + units[None, :]
    inside = inside_x[:, None] & inside_w[None, :]
    near = tl.load(least + target, mask=inside, other=0.0)
    far = tl.load(most + target, mask=inside, other=0.0)
    at_start = tl.zeros((tile,), tl.int32)
    for start in range(0, d, unroll):
        for step in tl.static_range(unroll):  # pyright: ignore[reportGeneralTypeIssues]
            more = at_start + start + step < d
            low = tl.load(low_column, mask=inside_x & more, other=0.0)
            high = tl.load(high_column, mask=inside_x & more, other=0.0)
            w = tl.load(w_column, mask=inside_w & more, other=0.0)
            below = w[None, :] - low[:, None]
            above = high[:, None] - w[None, :]
            far = tl.maximum(far, tl.maximum(below, above))
            near = tl.maximum(near, -tl.minimum(below, above))
            low_column += n
            high_column += n
            w_column += m
    tl.store(least + target, near, mask=inside)
    tl.store(most + target, far, mask=inside)


@triton.jit
def _power(size, p, even: tl.constexpr):
    """``size ** p`` for size in [0, 1]: multiplications for an even p, else by logarithms."""
    if even > 0:
        result = _integer_power(size, even)
    else:
        result = tl.exp2(p * tl.log2(tl.maximum(size, 1e-37)))
    return result


@triton.jit
def _integer_power(base, exponent: tl.constexpr):
    """``base ** exponent`` for an integer of at least 1, by squaring."""
    result = base
    if exponent > 1:
        half = _integer_power(base, exponent // 2)
        result = half * half
        if exponent % 2 == 1:
            result = result * base
    return result


@triton.jit
def _power_kernel(
    xt, wt, inverse, out, p, n, m, d, even: tl.constexpr, tile: tl.constexpr, unroll: tl.constexpr
):  # fmt: skip
    rows = tl.program_id(0) * tile + tl.arange(0, tile)
    units = tl.program_id(1) * tile + tl.arange(0, tile)
    inside_x, inside_w = rows < n, units < m
    target = rows.to(tl.int64)[:, None] * m + units[None, :]
    inside = inside_x[:, None] & inside_w[None, :]
    scale = tl.load(inverse + target, mask=inside, other=0.0)
    x_column, w_column = xt + rows, wt + units
    total = tl.zeros((tile, tile), xt.dtype.element_ty)
    at_start = tl.zeros((tile,), tl.int32)
    for start in range(0, d, unroll):
        for step in tl.static_range(unroll):  # pyright: ignore[reportGeneralTypeIssues]
            more = at_start + start + step < d
            x = tl.load(x_column, mask=inside_x & more, other=0.0)
            w = tl.load(w_column, mask=inside_w & more, other=0.0)
            size = tl.abs(x[:, None] - w[None, :]) * scale
            total += tl.where(more, _power(size, p, even), 0.0)
            x_column += n
            w_column += m
    tl.store(out + target, total, mask=inside)


@triton.jit
def _gradient_kernel(
    x, w, inverse, gradient, out, power, n, m, d, even: tl.constexpr, tile: tl.constexpr, unroll: tl.constexpr
):  # fmt: skip
    """Gradients of a tile of `x` (n, d): the sum over the m units, whose factors lie in columns (m, n)."""
    rows = tl.program_id(0) * tile + tl.arange(0, tile)
    inputs = tl.program_id(1) * tile + tl.arange(0, tile)
    inside_x, inside_d = rows < n, inputs < d
    target = rows.to(tl.int64)[:, None] * d + inputs[None, :]
    inside = inside_x[:, None] & inside_d[None, :]
    value = tl.load(x + target, mask=inside, other=0.0)
    w_row, scale_column, gradient_column = w + inputs, inverse + rows, gradient + rows
    total = tl.zeros((tile, tile), x.dtype.element_ty)
    at_start = tl.zeros((tile,), tl.int32)
    for start in range(0, m, unroll):
        for step in tl.static_range(unroll):  # pyright: ignore[reportGeneralTypeIssues]
            more = at_start + start + step < m  # past the end the gradient is 0
            unit = tl.load(w_row, mask=inside_d & more, other=0.0)
            scale = tl.load(scale_column, mask=inside_x & more, other=0.0)
            factor = tl.load(gradient_column, mask=inside_x & more, other=0.0)
            z = (value - unit[None, :]) * scale[:, None]
            if even > 0:  # an odd power keeps the sign by itself
                change = _integer_power(z, even - 1)
            else:
                size = _power(tl.abs(z), power, even)
                change = tl.where(z > 0, size, tl.where(z < 0, -size, 0.0))
            total += factor[:, None] * change
            w_row += d
            scale_column += n
            gradient_column += n
    tl.store(out + target, total, mask=inside)
