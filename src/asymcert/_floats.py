"""Floating-point numbers and norms: one source of unit roundoff, outward rounding and dual norms."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

NORMS = (1.0, 2.0, math.inf)  # those that are reported unless others are asked for
UNIT = 2.0**-53  # unit roundoff of float64, in which certificates are computed
UP = 1.0 + 2.0**-30  # covers the rounding of error bounds themselves
TINY = torch.finfo(torch.float64).tiny  # the least normal number: what is below may be flushed to zero
GREATEST = torch.finfo(torch.float64).max


_LOCK = threading.Lock()
_lowered: dict[Any, str] = {}  # operations whose precision is raised for now, with what it was
_inside = 0  # blocks that need it raised


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """A block in which float32 products on `device` are float32 products: no autocast, no TF32, no bfloat16 inside.

    Bounds on rounding errors are about IEEE arithmetic. PyTorch's switches for the precision of products are those of
    the process: they are put back when the last block of all threads has ended.
    """
    global _inside
    with _LOCK:
        _inside += 1
        for operation in _operations(device):
            if operation.fp32_precision not in ("none", "ieee"):
                _lowered.setdefault(operation, operation.fp32_precision)
                operation.fp32_precision = "ieee"
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        with _LOCK:
            _inside -= 1
            while _lowered and not _inside:
                operation, before = _lowered.popitem()
                operation.fp32_precision = before


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """A block that no mode set outside reaches: `full_precision`, no inference mode, new tensors on the CPU."""
    elsewhere = torch.empty(0).device.type != "cpu"  # naming a device slows every operation
    with torch.inference_mode(False), full_precision(device), torch.device("cpu") if elsewhere else nullcontext():
        yield


def _operations(device: torch.device) -> list[Any]:
    """PyTorch's settings of how exact a device's products are."""
    cpu, cuda, cudnn = torch.backends.mkldnn, torch.backends.cuda, torch.backends.cudnn
    settings: dict[str, list[Any]] = {"cpu": [cpu.matmul, cpu.conv], "cuda": [cuda.matmul, cudnn.conv]}
    return settings.get(device.type, [])


def up(roundings: float) -> float:
    """Factor that makes a positive result of at most so many roundings an upper bound."""
    return 1.0 + roundings * UNIT


def down(roundings: float) -> float:
    """Factor that makes a positive result of at most so many roundings a lower bound."""
    return 1.0 - roundings * UNIT


def above(value: float) -> float:
    """Upper bound on a value that was computed with an error of at most one unit in the last place."""
    return math.nextafter(math.nextafter(value, math.inf), math.inf)


def dual_exponent(norm: float) -> float:
    """The q of the norm dual to l_p, p = `norm` in [1, inf]: 1/p + 1/q = 1."""
    if norm == 1:
        return math.inf
    return 1.0 if math.isinf(norm) else norm / (norm - 1)


def norm_ratio(to: float, of: float, count: int) -> float:
    """Greatest l_p norm, p = `to`, of `count` numbers whose l_q norm, q = `of`, is 1; rounded up."""
    return 1.0 if to >= of or count == 1 else count ** (1.0 / to - 1.0 / of) * up(16)


def norm_name(norm: float) -> str:
    """Name of a norm: ``l1``, ``l2``, ``linf``, ``l1.5``."""
    return "linf" if math.isinf(norm) else f"l{norm:g}"


def scaled_norm(size: Tensor, order: float) -> Tensor:
    """l_q norm of rows (n, d) of absolute values, scaled where powers could overflow or underflow."""
    if order == 1:
        return size.sum(1)
    largest = size.amax(1)
    if math.isinf(order):
        return largest
    safe = (largest == 0) | ((largest > 1e-100) & (largest < 1e100))
    if order == 2 and bool(safe.all()):
        return torch.linalg.vector_norm(size, dim=1)
    unit = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    norm = torch.linalg.vector_norm(size / unit[:, None], ord=order, dim=1) * unit
    return torch.where(largest > 0, norm.clamp(min=TINY), 0.0)
