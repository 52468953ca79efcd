"""Upper bounds on l2 Lipschitz constants of layers, from their weights, rounding included."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from asymcert._floats import TINY, UNIT, UP

ITERATIONS = 50  # towards the best weights of a Schur test, any of which are valid


def product_above(first: float, second: float) -> float:
    """Of constants, rounded up; 0 only where one of them is, lest a later layer multiply what underflow has lost."""
    return 0.0 if first == 0.0 or second == 0.0 else max(first * second, TINY) * UP


def spectral_bound(matrices: Tensor) -> float:
    """Upper bound of the greatest singular value of matrices (..., m, k), close to it where they are orthogonal.

    ``||W||^2 <= s + ||G - s I||_F`` for the Gram matrix G of the shorter side and any s; its rounding is added.
    For a real map by complex matrices at half of the frequencies, the inverse transform drops what has no mirror image,
    which is a projection: the bound holds for the whole map. Entries are scaled to at most 1, lest squares underflow.
    """
    largest = float(matrices.abs().max())
    if largest == 0.0 or math.isinf(largest):
        return largest
    matrices = matrices / largest
    gram = matrices @ matrices.mH if matrices.shape[-2] <= matrices.shape[-1] else matrices.mH @ matrices
    level = gram.diagonal(dim1=-2, dim2=-1).real.mean(-1, keepdim=True)
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    rest = torch.linalg.matrix_norm(gram - level[..., None] * identity)
    rounding = 8.0 * (max(matrices.shape[-2:]) + 16) * UNIT * matrices.abs().square().sum((-2, -1))
    return product_above(math.sqrt(float((level[..., 0] + rest + rounding).max())), largest)


def overlaps(weight: Tensor) -> Tensor:
    """Sizes of the entries of ``A A^T``, for the map A of a matrix (m, k) or a kernel (m, c, s, s): (m, m).

    Of a kernel, entries of two channels are summed over all differences of place.
    """
    if weight.ndim == 2:
        return (weight @ weight.T).abs()
    return functional.conv2d(weight, weight, padding=weight.shape[2] - 1).abs().sum((2, 3))


def squared_norm_bound(weight: Tensor) -> float:
    """Upper bound of ``||A||^2`` for the map A of a matrix (m, k), or of a zero-padded convolution (m, c, s, s).

    Schur's test: for any r > 0, ``||A A^T|| <= max_i sum_j |A A^T|_ij r_j / r_i``; the rounding of the entries is
    added. A convolution of a finite image is a compression of that of the whole plane.
    """
    weight = weight.detach().double()
    largest = float(weight.abs().max())
    if largest == 0.0 or math.isinf(largest):
        return largest
    weight = weight / largest
    sizes, taps = overlaps(weight), weight[0, 0].numel()
    best, r = math.inf, torch.ones(len(sizes), dtype=torch.float64, device=weight.device)
    for _ in range(ITERATIONS):
        moved = sizes @ r
        best = min(best, float((moved / r).max()))
        r = (moved / moved.max()).clamp(min=TINY)
    terms = weight[0].numel() + len(weight) * (4 * taps)
    rounding = 8.0 * (terms + 16) * UNIT * taps * float(weight.square().sum())
    return product_above(product_above(best * (1.0 + 2.0 * terms * UNIT) + rounding, largest), largest)
