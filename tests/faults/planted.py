"""Ten mistakes that a certifier or a model could make, each as small as it can be."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from asymcert.certify import Certificate, Certifier
from asymcert.certify.closed_form import tangent_plane
from asymcert.certify.cuts import Cuts
from asymcert.convex import ConvexMLP
from asymcert.features import Identity
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import balanced, random_mlp, randomise, seeded


class Faulty(Certifier):
    """A true certifier with one step replaced; without a replacement it only passes on."""

    kind, sound = BinaryClassifier, True

    def __init__(self, inner: Certifier):
        self.inner, self.method = inner, inner.method  # pyright: ignore[reportAttributeAccessIssue]

    def _certificates(self, model, x, threats):
        certificates = self.inner.certify(self.model(model), x, [self.threat(threat, model) for threat in threats])
        parts = zip(certificates, threats, strict=True)
        return [self.relabel(certificate, threat, model.margin(x).double()) for certificate, threat in parts]

    def relabel(self, certificate: Certificate, threat: ThreatModel, margin: Tensor) -> Certificate:
        """The certificate as if it were one of the deployed classifier against the threat that was asked about."""
        radius = torch.where(margin > 0, self.radius(certificate.radius), 0.0)
        return replace(certificate, radius=radius, margin=margin, threat=threat, upper=None)

    def model(self, model: FeatureConvexClassifier) -> FeatureConvexClassifier:
        return model

    def threat(self, threat: ThreatModel, model: FeatureConvexClassifier) -> ThreatModel:
        return threat

    def radius(self, radius: Tensor) -> Tensor:
        return radius


class FivePercentMore(Faulty):
    def radius(self, radius):
        return radius * 1.05


class UpperTooLow(Faulty):
    """Not in the list, and the other side of it: an upper bound below the size of the flip that it stands for."""

    def relabel(self, certificate, threat, margin):
        assert certificate.upper is not None
        return replace(certificate, radius=0.9 * certificate.radius, upper=0.99 * certificate.upper)


class WrongDualNorm(Faulty):
    """Measures gradients in the norm of the change: the dual norm of the dual norm."""

    def threat(self, threat, model):
        return replace(threat, norm=threat.dual_norm)


class LipschitzOfAnotherNorm(Faulty):
    """The feature map's constant for l_inf, whatever the norm."""

    def model(self, model):
        other = copy.copy(model)
        feature_map = copy.deepcopy(model.feature_map)
        constant = feature_map.lipschitz(math.inf)
        feature_map.lipschitz = lambda norm: constant
        other._modules = {**model._modules, "feature_map": feature_map}
        return other


class ThresholdLeftOut(Faulty):
    def model(self, model):
        return model.with_threshold(0.0)


class RoundedToNearest(Faulty):
    """Radii stored in single precision, rounded to nearest."""

    def radius(self, radius):
        return radius.float().double()


class RoundingIgnored(Faulty):
    """Errors of the passes, the certifier's and the deployed classifier's, are not subtracted."""

    def __init__(self, inner: Certifier):
        super().__init__(replace(inner, sound=False))  # pyright: ignore[reportArgumentType]


class SinglePrecision(Faulty):
    """Margins and gradients are accumulated in float32, whatever the classifier is deployed in."""

    def _certificates(self, model, x, threats):
        margin, gradient = tangent_plane(copy.deepcopy(model).float(), x.float())
        certificates = []
        for threat in threats:
            cost = model.feature_map.feature_cost(threat.cost_for(model.input_shape), model.input_shape)
            size = torch.linalg.vector_norm((gradient / cost).float().flatten(1), ord=threat.dual_norm, dim=1)
            slope = size * model.feature_map.lipschitz(threat.norm)
            radius = torch.where(margin > 0, margin / slope, 0.0).double()
            plain = Certificate(radius, margin.double(), slope.double(), threat, self.method)
            certificates.append(self.relabel(plain, threat, model.margin(x).double()))
        return certificates


class Averaged(Faulty):
    """The planes at an input and at the worst case of its own plane, averaged by fixed weights."""

    weights = (0.75, 0.25)

    def _certificates(self, model, x, threats):
        margin = model.margin(x).double()
        return [self._average(model, x, threat, margin) for threat in threats]

    def _average(self, model, x, threat, margin):
        cuts = Cuts(model, x, threat)
        cuts.add(x)
        cuts.add(x + cuts.radius(torch.ones_like(cuts.value)).change)
        weights = torch.tensor([self.weights], dtype=torch.float64).expand_as(cuts.value)
        radius = torch.where(margin > 0, cuts.radius(weights).radius, 0.0)
        return Certificate(radius, margin, torch.full_like(margin, math.nan), threat, self.method)


class WeightsOffTheSimplex(Averaged):
    """They sum to one, and one of them is negative. (A sum other than one would only scale the plane.)"""

    weights = (-0.75, 1.75)


class ForgottenCoordinate(Faulty):
    """Treats the first input as immutable."""

    def threat(self, threat, model):
        mutable = torch.ones(model.input_shape, dtype=torch.bool)
        mutable.view(-1)[0] = False
        return replace(threat, mutable=mutable if threat.mutable is None else mutable & threat.mutable)


class AssumedBox(Faulty):
    """Takes the range of the data for a box that the adversary keeps to."""

    low, high = 0.0, 1.0

    def threat(self, threat, model):
        lower = self.low if threat.lower is None else threat.lower.clamp(min=self.low)
        upper = self.high if threat.upper is None else threat.upper.clamp(max=self.high)
        return replace(threat, lower=lower, upper=upper)


class UncheckedScale(ConvexMLP):
    """Forgets that the scales of batch normalisation are among the weights that must be nonnegative."""

    def nonnegative(self) -> Iterator[tuple[str, Tensor]]:
        for name, weight in super().nonnegative():
            if not name.endswith("scale"):
                yield name, weight


def negative_hidden_weight(seed: int, sign: float = -1.0) -> tuple[FeatureConvexClassifier, Tensor]:
    """A classifier whose last hidden weights changed sign after it was checked, and samples."""
    model, x = random_mlp(seed)
    score = model.score
    assert isinstance(score, ConvexMLP)
    score.hidden[-1].weight.mul_(sign)  # pyright: ignore[reportCallIssue]
    return model.with_threshold(model.threshold + float(model.margin(x).quantile(0.25))), x


def negative_scale(seed: int, sign: float = -1.0) -> tuple[FeatureConvexClassifier, Tensor]:
    """A classifier folded from a network with one negative scale that nobody clamped, and samples."""
    generator = seeded(seed)
    x = torch.rand(24, 6, generator=generator, dtype=torch.float64)
    score = randomise(UncheckedScale((6,), (16, 8), batch_norm=True), generator)
    with torch.no_grad():
        for norm, scale in zip(score.norms, (1.0, sign), strict=True):  # pyright: ignore[reportArgumentType]
            norm.norm.weight.fill_(scale)  # pyright: ignore
    return balanced(Identity(), score, x), x
