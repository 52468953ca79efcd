"""Losses and weight decay of l_inf-distance nets."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert.linf.layers import DistanceLayer
from asymcert.linf.net import LinfDistanceNet
from asymcert.training.linf_config import LinfConfig

TINY = 1e-12  # keeps quotients finite
HINGE_MIX = 0.75  # share of the worst class in the hinge; the rest averages all classes


def training_loss(
    config: LinfConfig,
    net: LinfDistanceNet,
    x: Tensor,
    labels: Tensor,
    scale: Tensor,
    mix: float,
    draws: torch.Generator | None = None,
) -> Tensor:
    """Loss of one batch: inputs (n, *input_shape), int64 labels (n,), learned scale () of the logits."""
    features = net.features(x, draws)
    logits = -features if net.head is None else net.head(features)
    gaps = worst_gaps(net, features, logits, labels, config.radii(labels, net.classes))
    if config.loss == "hinge":
        excess = gaps.clamp(min=0.0)
        losses = HINGE_MIX * excess.amax(1) + (1.0 - HINGE_MIX) * excess.mean(1)
    else:
        losses = mix * functional.cross_entropy(scale * logits, labels, reduction="none")
        losses = losses + gaps.clamp(0.0, 1.0).amax(1)
    weights = class_weights(config, labels, net.classes)
    return (weights * losses).sum() / weights.sum()


def class_weights(config: LinfConfig, labels: Tensor, classes: int) -> Tensor:
    """Weight of each sample in the loss: int64 (n,) -> (n,)."""
    return torch.where(labels == classes - 1, config.sensitive_weight, 1.0)


def worst_gaps(net: LinfDistanceNet, features: Tensor, logits: Tensor, labels: Tensor, epsilon: Tensor) -> Tensor:
    """How far each class can come within a change of `epsilon` (n,) of the standardised input: (n, classes).

    Nonpositive where the class provably stays behind the label's, at p = inf; 0 for the label itself. Without a head in
    units of ``2 epsilon``, 1 being a tie at the input; behind one, an interval bound in units of the logits.
    """
    own, epsilon = labels[:, None], epsilon[:, None]
    if net.head is None:
        gaps = 1.0 + (logits - logits.gather(1, own)) / (2.0 * epsilon)
    else:
        first, last = net.head.first, net.head.last
        middle, reach = first(features), epsilon * first.weight.abs().sum(1)
        low, high = torch.tanh(middle - reach), torch.tanh(middle + reach)
        difference = last.weight[None] - last.weight[labels][:, None]  # (n, classes, hidden)
        worst = torch.where(difference > 0, high[:, None], low[:, None])
        gaps = (difference * worst).sum(2) + last.bias - last.bias[labels][:, None]
    return gaps.scatter(1, own, 0.0)


@torch.no_grad()
def decay_norms(net: nn.Module, amount: float) -> None:
    """Step down the gradient of each unit's ``||w||_p^2 / 2`` at its layer's p; ordinary decay for other weights."""
    for module in net.modules():
        for name, weight in module.named_parameters(recurse=False):
            if not isinstance(module, DistanceLayer) or name != "weight":
                weight.mul_(1.0 - amount)
            elif math.isinf(module.p):
                largest = weight.abs().argmax(1, keepdim=True)
                weight.scatter_add_(1, largest, -amount * weight.gather(1, largest))
            else:
                size = torch.linalg.vector_norm(weight, ord=math.inf, dim=1, keepdim=True).clamp(min=1e-30)
                share = weight.abs() / size
                norm = share.pow(module.p).sum(1, keepdim=True).pow(1.0 / module.p)
                weight.sub_(amount * weight * (share / norm).pow(module.p - 2.0))
