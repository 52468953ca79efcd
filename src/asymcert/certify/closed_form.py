"""The published closed-form certificate: margin over Lipschitz constant times dual gradient norm."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import option
from asymcert._floats import GREATEST, TINY, down, dual_exponent, scaled_norm, up
from asymcert.certify.base import Certificate, Certifier, join
from asymcert.certify.rounding import Rounding
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class ClosedForm(Certifier):
    """``r_p(x) = margin / (Lip_p(phi) * ||grad g(phi(x))||_q)``, q dual to p, for any p in [1, inf].

    Costs divide the gradient. A box, immutable features or directions only shrink what the adversary can do,
    so the radius holds for them too; it does not use them. A zero gradient with a positive margin means that
    the classifier is sensitive everywhere: the radius is infinite.

    One forward and one backward pass serve all threat models; the gradient of the summed scores holds every
    sample's own gradient.

    Parameters
    ----------
    sound
        Whether bounds on all rounding errors are subtracted, the certifier's and the deployed classifier's.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, Theorem 3.1.
    """

    method: ClassVar[str] = "closed-form"
    kind: ClassVar[type[BinaryClassifier]] = FeatureConvexClassifier

    sound: bool = option(True, "Subtract bounds on all rounding errors.")

    def _certificates(
        self, model: FeatureConvexClassifier, x: Tensor, threats: Sequence[ThreatModel]
    ) -> list[Certificate]:
        exact = in_float64(model)
        rounding = Rounding(exact, model.dtype) if self.sound else None
        parts: list[list[tuple[Tensor, ...]]] = [[] for _ in threats]
        for chunk in exact.chunks(x):
            margin, gradient = tangent_plane(exact, chunk)
            size = gradient.abs().flatten(1)
            if rounding is not None:
                size = size + rounding.gradient_error.flatten()
            deployed = deployed_margin(model, chunk, margin)
            for chunks, threat in zip(parts, threats, strict=True):
                threat.check(chunk)
                slope = slope_bound(exact, size, threat)
                chunks.append((closed_form_radius(rounding, threat, chunk, margin, slope, deployed), deployed, slope))
        joined = [(*join(chunks), threat) for chunks, threat in zip(parts, threats, strict=True)]
        return [
            Certificate(radius, margin, slope, threat, self.method, self.sound)
            for radius, margin, slope, threat in joined
        ]


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
    """``Lip_p(phi) * ||size / cost||_q``, rounded up, for absolute gradients by the features: (n, d) -> (n,).

    q is dual to the norm that the map measures features in.
    """
    if isinstance(threat.cost, Tensor):
        cost = model.feature_map.feature_cost(threat.cost_for(model.input_shape).to(size.device), model.input_shape)
        shape = model.feature_map.output_shape(model.input_shape)
        size = _nonzero_stays(size, size / cost.expand(shape).flatten())
    norm = scaled_norm(size, dual_exponent(model.feature_map.feature_norm(threat.norm)))
    bound = norm * model.feature_map.lipschitz(threat.norm) * up(2.0 * (size.shape[1] + 16))
    return _nonzero_stays(norm, bound)


def _nonzero_stays(before: Tensor, after: Tensor) -> Tensor:
    """`after`, but never rounded to zero or a subnormal number where `before` is positive."""
    return torch.where(before > 0, after.clamp(min=TINY), after)


def closed_form_radius(
    rounding: Rounding | None, threat: ThreatModel, x: Tensor, margin: Tensor, slope: Tensor, deployed: Tensor
) -> Tensor:
    """Margin over slope, errors subtracted, rounded down; 0 where the deployed verdict is not sensitive."""
    limit = math.inf
    if rounding is not None:
        error = rounding.deployed_error(x, threat)
        margin = (margin - rounding.cut_error(x) - error.fixed).nan_to_num(0.0, neginf=0.0)
        slope, limit = slope + error.rate, error.limit
    positive = (margin > 0) & (deployed > 0)
    quotient = (margin / slope * down(8)).clamp(max=GREATEST)  # only a slope of 0 gives an infinite radius
    radius = torch.where(positive, quotient, 0.0)
    radius = torch.where(positive & (slope == 0), math.inf, radius)
    return torch.minimum(radius, torch.as_tensor(limit).to(radius))
