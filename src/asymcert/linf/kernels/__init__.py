"""l_p distances between the rows of two matrices, differentiable, never holding all differences at once.

Three ways to compute them: Triton on a GPU, compiled loops on a CPU, and the plain formula in pieces wherever neither
is there. All are reached through operators that `torch.compile` treats as one step.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert.linf.kernels import eager, native

__all__ = ["backend", "box_distances", "lp_distance", "sorted_distance"]


def lp_distance(x: Tensor, w: Tensor, p: float | Tensor = math.inf) -> Tensor:
    """``||x_b - w_o||_p`` for all pairs of rows.

    Parameters
    ----------
    x, w
        Shapes (n, d) and (m, d), d at least 1, of one floating-point type and device.
    p
        In [1, inf]; a finite one may be a float64 tensor of shape () on the CPU, which `torch.compile` lets change
        without compiling again. At inf the gradient goes to the first coordinate that attains the distance; pairs of
        equal rows have gradient zero, and so has every coordinate in which a pair agrees.

    Returns
    -------
    Tensor
        Shape (n, m). A row with NaN or infinite entries makes its distances NaN.

    Raises
    ------
    InputError
        Shapes or types do not fit, or p is below 1.

    Source: Zhang, Cai, Lu, He, Wang, ICML 2021; the relaxation to finite p, there, section 5.

    Examples
    --------
    >>> lp_distance(torch.tensor([[0.0, 1.0]]), torch.tensor([[3.0, -3.0]]), 2.0)
    tensor([[5.]])
    """
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1] or not x.shape[1]:
        raise refuse("x", "of shape (n, d) beside w of shape (m, d)", f"{tuple(x.shape)} beside {tuple(w.shape)}")
    if x.dtype != w.dtype or not x.is_floating_point():
        raise refuse("x", "of the same floating-point type as w", f"{x.dtype} beside {w.dtype}", "Convert one of them.")
    if isinstance(p, Tensor):
        return power_distance(x, w, p)
    if not p >= 1.0:  # NaN fails as well
        raise refuse("p", "in [1, inf]", p)
    if p == math.inf:
        return max_distance(x, w)[0]
    return power_distance(x, w, torch.tensor(p, dtype=torch.float64))


def sorted_distance(x: Tensor, w: Tensor, shares: Tensor) -> Tensor:
    """``sum_k shares_k s_k``, s_k being the k-th greatest of the differences ``|x_bi - w_oi|``, for all pairs of rows.

    Parameters
    ----------
    x, w
        Shapes (n, d) and (m, d) of one floating-point type and device.
    shares
        Shape (k,) of their type, k at most d.

    Returns
    -------
    Tensor
        Shape (n, m), differentiable by `x` and `w`; with one share of 1 the l_inf distance.

    Examples
    --------
    >>> sorted_distance(torch.tensor([[0.0, 1.0]]), torch.tensor([[4.0, -1.0]]), torch.tensor([0.75, 0.25]))
    tensor([[3.5000]])
    """
    greatest, _ = greatest_differences(x, w, len(shares))
    return (greatest * shares[:, None, None]).sum(0)


@torch.no_grad()
def box_distances(low: Tensor, high: Tensor, w: Tensor, shares: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Least and greatest l_inf distance, or `sorted_distance`, from row o of `w` to any point of box b.

    Parameters
    ----------
    low, high
        Corners (n, d) of the boxes, ``low <= high``.
    w
        Shape (m, d).
    shares
        Of the sorted distance.

    Returns
    -------
    tuple of Tensor
        Two of shape (n, m), exact up to the rounding of one subtraction and, with shares, of a product and a sum each.
    """
    low, high, w = low.contiguous(), high.contiguous(), w.contiguous()
    if shares is None:
        least, most = _kernels(low, math.inf).bounds(low, high, w)
    else:
        ends = _portable(low).sorted_bounds(low, high, w, len(shares))
        least, most = ((end * shares[:, None, None]).sum(0) for end in ends)
    broken = _broken(low, w) + _broken(high, w)
    return least + broken, most + broken


def backend(x: Tensor, p: float = math.inf) -> str:
    """Which kernels work on `x`: ``triton``, ``native`` or ``eager``."""
    return _kernels(x, p).__name__.rpartition(".")[2].removesuffix("_kernels")


@torch.library.custom_op("asymcert::max_distance", mutates_args=())
def max_distance(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """l_inf distances (n, m), and where each is attained first, int32 (n, m)."""
    x, w = x.contiguous(), w.contiguous()
    distance, index = _kernels(x, math.inf).max_forward(x, w)
    return distance + _broken(x, w), index


@torch.library.custom_op("asymcert::greatest_differences", mutates_args=())
def greatest_differences(x: Tensor, w: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` greatest ``|x_bi - w_oi|``, the greatest first, and where, int32: both (count, n, m)."""
    x, w = x.contiguous(), w.contiguous()
    greatest, index = _portable(x).sorted_forward(x, w, count)
    return (greatest + _broken(x, w)).contiguous(), index.contiguous()


@torch.library.custom_op("asymcert::power_distance", mutates_args=())
def power_distance(x: Tensor, w: Tensor, p: Tensor) -> Tensor:
    """l_p distances (n, m) for finite p."""
    x, w = x.contiguous(), w.contiguous()
    return _kernels(x, float(p)).power_forward(x, w, float(p)) + _broken(x, w)


@torch.library.custom_op("asymcert::power_gradient", mutates_args=())
def power_gradient(x: Tensor, w: Tensor, distance: Tensor, gradient: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients by `x` and `w`, given that of the distances."""
    x, w = x.contiguous(), w.contiguous()
    kernels = _kernels(x, float(p))
    return kernels.power_backward(x, w, distance.contiguous(), gradient.contiguous(), float(p))


@torch.library.register_fake("asymcert::max_distance")
def _(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    shape = (x.shape[0], w.shape[0])
    return x.new_empty(shape), x.new_empty(shape, dtype=torch.int32)


@torch.library.register_fake("asymcert::greatest_differences")
def _(x: Tensor, w: Tensor, count: int) -> tuple[Tensor, Tensor]:
    shape = (count, x.shape[0], w.shape[0])
    return x.new_empty(shape), x.new_empty(shape, dtype=torch.int32)


@torch.library.register_fake("asymcert::power_distance")
def _(x: Tensor, w: Tensor, p: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], w.shape[0])


@torch.library.register_fake("asymcert::power_gradient")
def _(x: Tensor, w: Tensor, distance: Tensor, gradient: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), w.new_empty(w.shape)


def _keep_max(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[1])
    ctx.mark_non_differentiable(output[1])


def _max_gradient(ctx: Any, gradient: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor]:
    x, w, index = ctx.saved_tensors
    grad_x, grad_w = torch.zeros_like(x), torch.zeros_like(w)
    _spread(grad_x, grad_w, x, w, gradient, index.long())
    return grad_x, grad_w


def _spread(grad_x: Tensor, grad_w: Tensor, x: Tensor, w: Tensor, gradient: Tensor, index: Tensor) -> None:
    """Add gradients (n, m) of differences that stand at one coordinate each: gather its sign, scatter the gradient."""
    change = gradient * (x.gather(1, index) - w.gather(1, index.t()).t()).sign()
    grad_x.scatter_add_(1, index, change)
    grad_w.scatter_add_(1, index.t(), -change.t())


def _keep_greatest(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: tuple[Tensor, Tensor]) -> None:
    _keep_max(ctx, inputs[:2], output)


def _greatest_gradient(ctx: Any, gradient: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor, None]:
    x, w, index = ctx.saved_tensors
    grad_x, grad_w = torch.zeros_like(x), torch.zeros_like(w)
    for part, where in zip(gradient, index.long(), strict=True):
        _spread(grad_x, grad_w, x, w, part, where)
    return grad_x, grad_w, None


def _keep_power(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs, output)


def _power_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    x, w, p, distance = ctx.saved_tensors
    return *power_gradient(x, w, distance, gradient, p), None


torch.library.register_autograd("asymcert::max_distance", _max_gradient, setup_context=_keep_max)
torch.library.register_autograd("asymcert::greatest_differences", _greatest_gradient, setup_context=_keep_greatest)
torch.library.register_autograd("asymcert::power_distance", _power_gradient, setup_context=_keep_power)


def _kernels(x: Tensor, p: float) -> Any:
    triton = _triton() if x.is_cuda else None
    if triton is not None and triton.supports(x, p):
        return triton
    return native if native.supports(x, p) else eager


def _portable(x: Tensor) -> Any:
    """Kernels for what Triton has none for, the sorted distances of deployed nets."""
    return native if native.supports(x, math.inf) else eager


@functools.cache
def _triton() -> ModuleType | None:
    if importlib.util.find_spec("triton") is None or not torch.cuda.is_available():
        return None
    from asymcert.linf.kernels import triton_kernels

    return triton_kernels


def _broken(x: Tensor, w: Tensor) -> Tensor:
    """NaN where a row is not finite, else 0, (n, m) by broadcasting: comparisons inside kernels would lose NaN."""
    return (x * 0).sum(1)[:, None] + (w * 0).sum(1)
