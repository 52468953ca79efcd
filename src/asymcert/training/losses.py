"""What is added to cross-entropy: Jacobian regularisation, a hinge on the certified radius, certified cross-entropy.

All of them need at most one gradient of the *summed* scores by the features: rows of that gradient are the
samples' own, because the network that is regularised treats samples independently (never a batch
normalisation in training mode).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from asymcert.features import FeatureMap
from asymcert.training.config import TrainConfig

TINY = 1e-12  # keeps square roots and quotients differentiable at zero


def needs_gradient(config: TrainConfig) -> bool:
    """Whether the loss uses the size of the scores' gradient by the features."""
    return config.loss != "cross-entropy" or config.penalty != "none"


@dataclass(frozen=True)
class Steepness:
    """How fast scores change with the input, by the sizes of their gradients by the features.

    Parameters
    ----------
    constant, norm
        Of the feature map: its Lipschitz constant, and the norm that it measures features in, one of 1, 2 and inf.
    """

    constant: float
    norm: float

    @classmethod
    def of(cls, feature_map: FeatureMap, norm: float) -> Self:
        """Behind a map of inputs in l_p, p = `norm`."""
        return cls(feature_map.lipschitz(norm), feature_map.feature_norm(norm))

    def bound(self, size: Tensor) -> Tensor:
        """The constant times the dual norms of absolute values: (n, d) -> (n,)."""
        return self.constant * dual_norm(size, self.norm)


@dataclass(frozen=True)
class Weighing:
    """How labels count in the cross-entropy.

    Parameters
    ----------
    smoothing
        Share of every label that is spread over both classes.
    weights
        Of samples of the other and of the sensitive class.
    """

    smoothing: float = 0.0
    weights: tuple[float, float] | None = None


def classification_loss(scores: Tensor, sensitive: Tensor, weighing: Weighing | None = None) -> Tensor:
    """Mean binary cross-entropy of scores (n,), or (members, n), against labels bool (n,)."""
    targets, weight = sensitive.to(scores.dtype), None
    if weighing is not None:
        targets = targets * (1.0 - weighing.smoothing) + weighing.smoothing / 2
        if weighing.weights is not None:
            weight = scores.new_tensor(weighing.weights)[sensitive.long()]
    return functional.binary_cross_entropy_with_logits(scores, targets.expand_as(scores), weight)


def training_loss(
    config: TrainConfig,
    scores: Tensor,
    deployed: Tensor,
    gradient: Tensor,
    sensitive: Tensor,
    steepness: dict[float, Steepness],
    share: float,
    weighing: Weighing | None = None,
) -> Tensor:
    """The whole loss where it uses the gradient.

    Parameters
    ----------
    scores
        (n,), of the network in training, or (members, n).
    deployed
        (n,), of the function that will be deployed; they differ under batch normalisation only.
    gradient
        (n, *feature_shape), of `deployed`, differentiable by the weights.
    sensitive
        Bool (n,).
    steepness
        Of scores behind the feature map, by norm.
    share
        In [0, 1]: how much of the part that acts on the gradient counts yet.
    weighing
        How labels count; None as they are.
    """
    if config.loss == "certified":
        fall = share * worst_fall(gradient, config.targets, steepness)
        return certified_loss(scores, fall, sensitive, config.sensitive_only, weighing)
    if config.loss == "radius":
        extra = config.radius_weight * radius_hinge(deployed, gradient, sensitive, config.targets, steepness)
    else:
        chosen = gradient[sensitive] if config.sensitive_only else gradient
        extra = config.penalty_weight * jacobian_norm(chosen, config.penalty_max, mean=config.penalty == "rms")
    return classification_loss(scores, sensitive, weighing) + share * extra


def jacobian_norm(gradient: Tensor, max_weight: float, mean: bool) -> Tensor:
    """Root of the mean, or as published of the sum, of squared gradient sizes over a batch.

    The size is ``||.||_2 + max_weight * ||.||_inf``; the second part buys l1 radius.
    """
    size = gradient.flatten(1).abs()
    squares = (dual_norm(size, 2.0) + max_weight * dual_norm(size, 1.0)).square()
    return torch.sqrt((squares.mean() if mean and len(squares) else squares.sum()) + TINY)


def radius_hinge(
    scores: Tensor, gradient: Tensor, sensitive: Tensor, targets: dict[float, float], steepness: dict[float, Steepness]
) -> Tensor:
    """``relu(1 - r_p / target_p)``, at most 2, averaged over norms; summed over sensitive samples, per sample of all.

    ``r_p = score / (Lip_p * ||gradient||_q)`` is the closed-form radius at threshold 0.
    """
    size = gradient.flatten(1).abs()
    hinges = []
    for norm, target in targets.items():
        slope = steepness[norm].bound(size)
        hinges.append(functional.relu(1.0 - scores / (target * slope + TINY)).clamp(max=2.0))
    return (torch.stack(hinges).mean(0) * sensitive).mean()


def worst_fall(gradient: Tensor, targets: dict[float, float], steepness: dict[float, Steepness]) -> Tensor:
    """Target radius times slope, which bounds how far the score falls within it, averaged over norms: (n,)."""
    size = gradient.flatten(1).abs()
    falls = [target * steepness[norm].bound(size) for norm, target in targets.items()]
    return torch.stack(falls).mean(0)


def certified_loss(
    scores: Tensor, fall: Tensor, sensitive: Tensor, sensitive_only: bool, weighing: Weighing | None = None
) -> Tensor:
    """Mean cross-entropy of scores that have moved by `fall` (n,) to the wrong side.

    On sensitive samples that bounds the worst-case cross-entropy in the target ball (as Wong and Kolter, ICML 2018, for
    another bound). On the others, which no certificate is for, it does not; it keeps their scores low and flat.
    """
    towards = torch.where(sensitive, -1.0, 0.0 if sensitive_only else 1.0)
    return classification_loss(scores + towards * fall, sensitive, weighing)


def dual_norm(size: Tensor, norm: float) -> Tensor:
    """Dual of l_p, for p = `norm` in {1, 2, inf}, of each row of absolute values: (n, d) -> (n,)."""
    if norm == 1:
        return size.amax(1)
    return size.sum(1) if math.isinf(norm) else torch.sqrt(size.square().sum(1) + TINY)
