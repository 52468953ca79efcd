"""Modes that PyTorch can be put into outside a call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch


@contextlib.contextmanager
def lowered(precision: str) -> Iterator[None]:
    """Products of float32 numbers may be computed in less."""
    products = torch.backends.mkldnn.matmul
    before, products.fp32_precision = products.fp32_precision, precision
    try:
        yield
        assert products.fp32_precision == precision
    finally:
        products.fp32_precision = before


@contextlib.contextmanager
def switched(switch: Callable[..., object], value: object, before: object) -> Iterator[None]:
    switch(value)
    try:
        yield
    finally:
        switch(before)


MODES = {
    "plain": contextlib.nullcontext,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast float16": lambda: torch.autocast("cpu", torch.float16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "bfloat16 products": lambda: lowered("bf16"),
    "TF32 products": lambda: lowered("tf32"),
    "default float64": lambda: switched(torch.set_default_dtype, torch.float64, torch.float32),
    "default bfloat16": lambda: switched(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "another default device": lambda: torch.device("meta"),  # stands for an accelerator's
    "deterministic algorithms": lambda: switched(torch.use_deterministic_algorithms, True, False),
    "denormal numbers flushed": lambda: switched(torch.set_flush_denormal, True, False),
}
