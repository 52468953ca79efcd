"""The forward and backward pass that every certificate starts from."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from asymcert.certify.budgets import scaled_norm
from asymcert.certify.drops import UNIT
from asymcert.classifier import FeatureConvexClassifier
from asymcert.threat import ThreatModel


def in_float64(model: FeatureConvexClassifier) -> FeatureConvexClassifier:
    """The model itself, or a double-precision copy of one that is deployed in another type."""
    return model if model.dtype == torch.float64 else copy.deepcopy(model).double()


def tangent_plane(model: FeatureConvexClassifier, x: Tensor) -> tuple[Tensor, Tensor]:
    """Margin (n,) and gradient of the score by the features (n, *feature_shape), in the model's type."""
    with torch.no_grad():
        features = model.feature_map(x)
    features = features.detach().requires_grad_(True)  # a map may return its input: that must stay as it is
    with torch.enable_grad():
        scores = model.score(features)
        (gradient,) = torch.autograd.grad(scores.sum(), features)
    return scores.detach() - model.threshold, gradient


def deployed_margin(model: FeatureConvexClassifier, x: Tensor, margin: Tensor) -> Tensor:
    """Margins (n,) of the classifier that is run, in float64; `margin` itself where that runs in float64."""
    return margin if model.dtype == torch.float64 else model.margin(x).double()


def slope_bound(model: FeatureConvexClassifier, size: Tensor, threat: ThreatModel) -> Tensor:
    """``Lip_p(phi) * ||size / cost||_q``, rounded up, for absolute gradients by the features: (n, d) -> (n,)."""
    if isinstance(threat.cost, Tensor):
        cost = model.feature_map.feature_cost(threat.cost_for(model.input_shape).to(size.device), model.input_shape)
        shape = model.feature_map.output_shape(model.input_shape)
        size = _nonzero_stays(size, size / cost.expand(shape).flatten())
    norm = scaled_norm(size, threat.dual_norm)
    bound = norm * model.feature_map.lipschitz(threat.norm) * (1.0 + 2.0 * (size.shape[1] + 16) * UNIT)
    return _nonzero_stays(norm, bound)


def _nonzero_stays(before: Tensor, after: Tensor) -> Tensor:
    """`after`, but never rounded to zero or a subnormal number where `before` is positive."""
    return torch.where(before > 0, after.clamp(min=torch.finfo(torch.float64).tiny), after)
