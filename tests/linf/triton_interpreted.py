"""The kernels for GPUs, run step by step on the CPU by Triton's interpreter, against the plain formula.

Collected only by `test_triton_kernels.py`, in a process that has TRITON_INTERPRET=1 before Triton is first imported.
"""

import math

import pytest
import torch

from asymcert.linf.kernels import eager
from asymcert.linf.kernels import triton_kernels as kernels

SHAPES = ((5, 3, 7), (1, 1, 1), (70, 66, 9), (3, 4, 65))  # less than, and more than, one tile


def rows(n, m, d):
    generator = torch.Generator().manual_seed(n * m + d)
    return torch.rand(n, d, generator=generator), torch.randn(m, d, generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_largest_difference(shape, dtype):
    x, w = (value.to(dtype) for value in rows(*shape))
    for got, want in zip(kernels.max_forward(x, w), eager.max_forward(x, w), strict=True):
        assert torch.equal(got, want)


def test_ties_go_to_the_first():
    x, w = torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[0.0, 2.0, 0.0]])
    assert kernels.max_forward(x, w)[1].item() == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_bounds_over_boxes(shape):
    x, w = rows(*shape)
    low, high = x - 0.1, x + 0.3
    for got, want in zip(kernels.bounds(low, high, w), eager.bounds(low, high, w), strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", [1.0, 1.7, 2.0, 6.0, 8.0, 23.7, 300.0])
def test_powers_and_gradients(shape, p):
    x, w = rows(*shape)
    exact = eager.power_forward(x.double(), w.double(), p)
    distance = kernels.power_forward(x, w, p)
    torch.testing.assert_close(distance.double(), exact, rtol=3e-6, atol=0)
    gradient = torch.randn(distance.shape, generator=torch.Generator().manual_seed(1))
    ours = kernels.power_backward(x, w, distance, gradient, p)
    theirs = eager.power_backward(x.double(), w.double(), exact, gradient.double(), p)
    for got, want in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got.double(), want, rtol=5e-4, atol=3e-5 + 4e-7 * p)


@pytest.mark.parametrize("p", [1.0, 8.0, 9.3])
def test_equal_rows(p):
    x, w = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 5.0]])
    distance = kernels.power_forward(x, w, p)
    grad_x, grad_w = kernels.power_backward(x, w, distance, torch.ones(1, 2), p)
    assert distance.tolist() == [[0.0, 2.0]]
    assert grad_x.tolist() == [[0.0, 0.0, -1.0]]
    assert grad_w.tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_even_powers_are_told_from_others():
    assert [kernels._even(p) for p in (2.0, 8.0, 9.0, 8.5, 1000.0, math.inf)] == [2, 8, 0, 0, 0, 0]
