"""Differentiable bounds of a ReLU network's score over a ball: by intervals, and by lines carried backward.

Those of `asymcert.certify.relu` without the box, the costs and the rounding, so that a training step can afford them.
They are no certificates.

Source: Gowal et al., 2018 (intervals); Zhang, Weng, Chen, Hsieh, Daniel, NeurIPS 2018, Theorem 3.2 (lines); both
together: Zhang, Chen, Xiao, Gowal, Stanforth, Li, Boning, Hsieh, ICLR 2020 (CROWN-IBP).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from asymcert.models.relu import Affine
from asymcert.training.losses import dual_norm

LEAST = 1e-8  # keeps the slope of the upper line finite where a ReLU's range has no width


def ranges(layers: Sequence[Affine], x: Tensor, epsilon: float, norm: float) -> list[tuple[Tensor, Tensor]]:
    """Least and greatest values (n, m_i) of each affine layer, by intervals; the first layer's are exact.

    Parameters
    ----------
    layers
        Weight (m_i, m_(i-1)) and bias (m_i,) of each affine layer, a ReLU between any two.
    x
        (n, d).
    epsilon, norm
        Greatest size of a change of x, in l_p for p in {1, 2, inf}.
    """
    weight, bias = layers[0]
    middle, half = functional.linear(x, weight, bias), epsilon * dual_norm(weight.abs(), norm)
    found = [(middle - half, middle + half)]
    for weight, bias in layers[1:]:
        low, high = (end.relu() for end in found[-1])
        middle = functional.linear((low + high) / 2.0, weight, bias)
        half = functional.linear((high - low) / 2.0, weight.abs())
        found.append((middle - half, middle + half))
    return found


def linear_bound(
    layers: Sequence[Affine],
    x: Tensor,
    epsilon: float,
    norm: float,
    hidden: Sequence[tuple[Tensor, Tensor]],
    signs: Tensor,
) -> Tensor:
    """Lower bounds (n,) of ``sign * score``, by lines around the ReLUs.

    Parameters
    ----------
    layers, x, epsilon, norm
        As in `ranges`; the last layer has one row, the score.
    hidden
        The `ranges` of the layers before a ReLU.
    signs
        (n,), 1 or -1.
    """
    weight, bias = layers[-1]
    passed, constant = signs[:, None] * weight, signs * bias
    for (weight, bias), (low, high) in zip(reversed(layers[:-1]), reversed(hidden), strict=True):
        least, most = low.clamp(max=0.0), high.clamp(min=0.0)
        steep = most / (most - least).clamp(min=LEAST)
        offset = (passed.clamp(max=0.0) * steep * least).sum(1)
        before = passed * torch.where(passed >= 0, (most > -least).to(steep), steep)
        constant = constant - offset + before @ bias
        passed = before @ weight
    return constant + (passed * x).sum(1) - epsilon * dual_norm(passed.abs(), norm)


def lower_bound(
    layers: Sequence[Affine], x: Tensor, epsilon: float, norm: float, signs: Tensor, linear: float
) -> Tensor:
    """Lower bounds (n,) of ``sign * score``: a share `linear` of `linear_bound`, the rest of the interval bound."""
    *hidden, (low, high) = ranges(layers, x, epsilon, norm)
    interval = torch.where(signs > 0, low[:, 0], -high[:, 0])
    return interval.lerp(linear_bound(layers, x, epsilon, norm, hidden, signs), linear)
