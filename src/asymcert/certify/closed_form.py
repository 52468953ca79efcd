"""The published closed-form certificate: margin over Lipschitz constant times dual gradient norm."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from asymcert.certify.base import Certificate, Certifier
from asymcert.classifier import FeatureConvexClassifier
from asymcert.threat import ThreatModel

UNIT = 2.0**-53  # unit roundoff of float64


class ClosedForm(Certifier):
    """``r_p(x) = margin / (Lip_p(phi) * ||grad g(phi(x))||_q)``, q dual to p, for any p in [1, inf].

    Costs divide the gradient. A box, immutable features or directions only shrink what the adversary can do,
    so the radius holds for them too; it does not use them. A zero gradient with a positive margin means that
    the classifier is sensitive everywhere: the radius is infinite.

    One forward and one backward pass serve all threat models; the gradient of the summed scores holds every
    sample's own gradient.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, Theorem 3.1.
    """

    method: ClassVar[str] = "closed-form"

    def certify(self, model: FeatureConvexClassifier, x: Tensor, threats: Sequence[ThreatModel]) -> list[Certificate]:
        """One certificate per threat model; the model runs in float64 whatever type it is deployed in.

        Raises
        ------
        InputError
            `x` is not a finite tensor of shape (n, *input_shape), or lies outside the box of a threat model.
        """
        model = in_float64(model)
        margins: list[Tensor] = []
        slopes: list[list[Tensor]] = [[] for _ in threats]
        for chunk in model.chunks(x):
            margin, gradient = tangent_plane(model, chunk)
            margins.append(margin)
            size = gradient.double().abs().flatten(1)
            for parts, threat in zip(slopes, threats, strict=True):
                threat.check(chunk)
                parts.append(slope_bound(model, size, threat))
        margin = _join(margins)
        return [self._certificate(margin, _join(parts), threat) for parts, threat in zip(slopes, threats, strict=True)]

    def _certificate(self, margin: Tensor, slope: Tensor, threat: ThreatModel) -> Certificate:
        radius = torch.where(margin > 0, margin / slope, 0.0)
        radius = torch.nextafter(radius, torch.zeros_like(radius))  # the quotient was rounded to nearest
        radius = torch.where((margin > 0) & (slope == 0), math.inf, radius)
        return Certificate(radius, margin, slope, threat, self.method)


def in_float64(model: FeatureConvexClassifier) -> FeatureConvexClassifier:
    """The model itself, or a double-precision copy of one that is deployed in another type."""
    return model if model.dtype == torch.float64 else copy.deepcopy(model).double()


def tangent_plane(model: FeatureConvexClassifier, x: Tensor) -> tuple[Tensor, Tensor]:
    """Margin (n,) and gradient of the score by the features (n, *feature_shape), in the model's type."""
    with torch.no_grad():
        features = model.feature_map(x)
    features.requires_grad_(True)
    with torch.enable_grad():
        scores = model.score(features)
        (gradient,) = torch.autograd.grad(scores.sum(), features)
    return scores.detach() - model.threshold, gradient


def slope_bound(model: FeatureConvexClassifier, size: Tensor, threat: ThreatModel) -> Tensor:
    """``Lip_p(phi) * ||size / cost||_q``, rounded up, for absolute gradients by the features: (n, d) -> (n,)."""
    if isinstance(threat.cost, Tensor):
        cost = model.feature_map.feature_cost(threat.cost_for(model.input_shape).to(size.device), model.input_shape)
        shape = model.feature_map.output_shape(model.input_shape)
        size = _nonzero_stays(size, size / cost.expand(shape).flatten())
    norm = _norm(size, threat.dual_norm)
    bound = norm * model.feature_map.lipschitz(threat.norm) * (1.0 + 2.0 * (size.shape[1] + 16) * UNIT)
    return _nonzero_stays(norm, bound)


def _norm(size: Tensor, order: float) -> Tensor:
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
    return _nonzero_stays(largest, torch.linalg.vector_norm(size / unit[:, None], ord=order, dim=1) * unit)


def _nonzero_stays(before: Tensor, after: Tensor) -> Tensor:
    """`after`, but never rounded to zero or a subnormal number where `before` is positive."""
    return torch.where(before > 0, after.clamp(min=torch.finfo(torch.float64).tiny), after)


def _join(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts).double() if parts else torch.empty(0, dtype=torch.float64)
