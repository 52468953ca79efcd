"""What is added to cross-entropy: Jacobian regularisation, a hinge on the certified radius, certified cross-entropy.

All of them need at most one gradient of the *summed* scores by the features: rows of that gradient are the
samples' own, because the network that is regularised treats samples independently (never a batch
normalisation in training mode).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from asymcert.training.config import TrainConfig

TINY = 1e-12  # keeps square roots and quotients differentiable at zero


def needs_gradient(config: TrainConfig) -> bool:
    """Whether the loss uses the scores' gradient by the features."""
    return config.loss != "cross-entropy" or config.penalty != "none"


def classification_loss(scores: Tensor, sensitive: Tensor) -> Tensor:
    """Mean binary cross-entropy of scores (n,) against labels bool (n,)."""
    return functional.binary_cross_entropy_with_logits(scores, sensitive.to(scores.dtype))


def gradient_loss(
    config: TrainConfig, scores: Tensor, gradient: Tensor, sensitive: Tensor, lipschitz: dict[float, float]
) -> Tensor:
    """The part of the loss that acts on the gradient.

    Parameters
    ----------
    scores
        (n,), of the function that will be deployed.
    gradient
        (n, *feature_shape), differentiable by the weights.
    sensitive
        Bool (n,).
    lipschitz
        The feature map's constant per norm.
    """
    if config.loss == "radius":
        return config.radius_weight * radius_hinge(scores, gradient, sensitive, config.targets, lipschitz)
    if config.loss == "certified":
        return config.radius_weight * certified_loss(scores, gradient, sensitive, config.targets, lipschitz)
    chosen = gradient[sensitive] if config.penalise_sensitive_only else gradient
    return config.penalty_weight * jacobian_norm(chosen, config.penalty_max, mean=config.penalty == "rms")


def jacobian_norm(gradient: Tensor, max_weight: float, mean: bool) -> Tensor:
    """Root of the mean, or as published of the sum, of squared gradient sizes over a batch.

    The size is ``||.||_2 + max_weight * ||.||_inf``; the second part buys l1 radius.
    """
    size = gradient.flatten(1).abs()
    squares = (dual_norm(size, 2.0) + max_weight * dual_norm(size, 1.0)).square()
    return torch.sqrt((squares.mean() if mean and len(squares) else squares.sum()) + TINY)


def radius_hinge(
    scores: Tensor, gradient: Tensor, sensitive: Tensor, targets: dict[float, float], lipschitz: dict[float, float]
) -> Tensor:
    """``relu(1 - r_p / target_p)``, at most 2, averaged over norms; summed over sensitive samples, per sample of all.

    ``r_p = score / (Lip_p * ||gradient||_q)`` is the closed-form radius at threshold 0.
    """
    size = gradient.flatten(1).abs()
    hinges = []
    for norm, target in targets.items():
        slope = lipschitz[norm] * dual_norm(size, norm)
        hinges.append(functional.relu(1.0 - scores / (target * slope + TINY)).clamp(max=2.0))
    return (torch.stack(hinges).mean(0) * sensitive).mean()


def certified_loss(
    scores: Tensor, gradient: Tensor, sensitive: Tensor, targets: dict[float, float], lipschitz: dict[float, float]
) -> Tensor:
    """``softplus(target * slope - score)``, the slope averaged over norms; summed and scaled as the hinge.

    The score falls by at most target times slope within the target radius, so this bounds the worst-case
    cross-entropy there (Wong and Kolter, ICML 2018, for another bound).
    """
    size = gradient.flatten(1).abs()
    drops = [target * lipschitz[norm] * dual_norm(size, norm) for norm, target in targets.items()]
    return (functional.softplus(torch.stack(drops).mean(0) - scores) * sensitive).mean()


def dual_norm(size: Tensor, norm: float) -> Tensor:
    """Dual of l_p, for p = `norm` in {1, 2, inf}, of each row of absolute values: (n, d) -> (n,)."""
    if norm == 1:
        return size.amax(1)
    return size.sum(1) if math.isinf(norm) else torch.sqrt(size.square().sum(1) + TINY)
