"""Certificates of l_inf-distance nets: by their Lipschitz constant, and by interval bounds."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from asymcert._checks import check_choice, check_count, option
from asymcert._floats import down, up
from asymcert.certify.base import Certificate, Certifier, Threats, join
from asymcert.certify.bisection import farthest
from asymcert.certify.distance_bounds import MarginBounds
from asymcert.models.base import BinaryClassifier
from asymcert.models.distance_net import DistanceClassifier, others
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class _DistanceCertifier(Certifier, ABC):
    """What the two certificates share. Radii hold in l_inf and, since no norm is smaller than it, in every l_p."""

    kind: ClassVar[type[BinaryClassifier]] = DistanceClassifier

    sound: bool = option(True, "Subtract bounds on all rounding errors.")

    def _certificates(self, model: DistanceClassifier, x: Tensor, threats: Threats) -> list[Certificate]:
        bounds = self._bounds(model)
        chosen = torch.tensor(model.sensitive_class)
        return [self._certificate(model, bounds, x, threat, chosen, model.threshold) for threat in threats]

    def certify_classes(self, model: DistanceClassifier, x: Tensor, threat: ThreatModel) -> ClassCertificate:
        """Radii within which the predicted class, whichever it is, stays the same; the threshold plays no part."""
        with self._prepared(model, x) as checked:
            bounds, prediction = self._bounds(model), model.predict_class(checked)
            return ClassCertificate(prediction, self._certificate(model, bounds, checked, threat, prediction, 0.0))

    def _bounds(self, model: DistanceClassifier) -> MarginBounds:
        exact = model if model.dtype == torch.float64 else copy.deepcopy(model).double()
        return MarginBounds.of(exact, model.dtype, self.sound)

    def _certificate(
        self,
        model: DistanceClassifier,
        bounds: MarginBounds,
        x: Tensor,
        threat: ThreatModel,
        chosen: Tensor,
        threshold: float,
    ) -> Certificate:
        parts: list[tuple[Tensor, ...]] = []
        chosen, start = chosen.to(model.device).expand(len(x)), 0
        for chunk in bounds.model.chunks(x):
            threat.check(chunk)
            rows = chosen[start : start + len(chunk)]
            start += len(chunk)
            logits = model.logits(chunk)
            margin = (logits.gather(1, rows[:, None])[:, 0] - others(logits, rows) - threshold).double()
            slope = bounds.slope(rows) / float(threat.cost_for(model.input_shape).min()) * up(4)
            radius = torch.where(margin > 0, self._radius(bounds, chunk, threat, rows, threshold, slope), 0.0)
            parts.append((radius, margin, self._reported(slope)))
        radius, margin, slope = join(parts)
        return Certificate(radius, margin, slope, threat, self.method, self.sound)

    def _reported(self, slope: Tensor) -> Tensor:
        return slope

    @abstractmethod
    def _radius(
        self, bounds: MarginBounds, x: Tensor, threat: ThreatModel, chosen: Tensor, threshold: float, slope: Tensor
    ) -> Tensor:
        """Radii (n,), of any value where the margin is not positive."""


@dataclass(frozen=True)
class DistanceLipschitz(_DistanceCertifier):
    """``margin / 2``: each logit is 1-Lipschitz in l_inf. One forward pass; costs count by the cheapest feature.

    Behind a head the constant is that of its layers in turn. A box, immutable features and directions only shrink what
    the adversary can do; this certificate does not use them.

    Sound when the deployed forward pass is in IEEE arithmetic without flushing to zero anything but numbers below the
    smallest normal one.

    Source: Zhang, Cai, Lu, He, Wang, ICML 2021, section 3.
    """

    method: ClassVar[str] = "lipschitz"

    def _radius(
        self, bounds: MarginBounds, x: Tensor, threat: ThreatModel, chosen: Tensor, threshold: float, slope: Tensor
    ) -> Tensor:
        return lipschitz_radius(bounds, x, threat, chosen, threshold, slope)


@dataclass(frozen=True)
class DistanceIntervals(_DistanceCertifier):
    """The largest radius, by bisection, at which interval bounds keep the verdict; never below the Lipschitz one.

    Uses a box, costs, immutable features and directions. Infinite where no admissible change of any size undoes
    the verdict.

    Parameters
    ----------
    steps
        Halvings of the interval between a certified and an uncertified radius.

    Sound when `DistanceLipschitz` is.

    Source: Gowal et al., 2018, for interval bounds; Zhang, Cai, Lu, He, Wang, ICML 2021, appendix, for distances.
    """

    method: ClassVar[str] = "interval"

    steps: int = option(20, "interval, enclosure: halvings of the radius.")

    def __post_init__(self) -> None:
        check_count("steps", self.steps, 0)

    def _reported(self, slope: Tensor) -> Tensor:
        return torch.full_like(slope, math.nan)

    def _radius(
        self, bounds: MarginBounds, x: Tensor, threat: ThreatModel, chosen: Tensor, threshold: float, slope: Tensor
    ) -> Tensor:
        def certified(radius: Tensor) -> Tensor:
            return bounds.margin(*bounds.box(x, threat, radius), chosen, threshold) > 0

        return farthest(lipschitz_radius(bounds, x, threat, chosen, threshold, slope), certified, self.steps)


@dataclass(frozen=True, eq=False)
class ClassCertificate:
    """Certificates of multi-class predictions.

    Parameters
    ----------
    prediction
        Int64 (n,): class of the greatest logit.
    certificate
        Its radii: within them the prediction stays. Its margin is the distance to the second greatest logit; a tie has
        radius 0.
    """

    prediction: Tensor
    certificate: Certificate


BY_METHOD: dict[str, type[DistanceLipschitz] | type[DistanceIntervals]] = {
    kind.method: kind for kind in (DistanceLipschitz, DistanceIntervals)
}


def certify_classes(
    model: DistanceClassifier,
    x: Tensor,
    threat: ThreatModel | None = None,
    method: str = "lipschitz",
    sound: bool = True,
    **options: Any,
) -> ClassCertificate:
    """Certify the predicted class of each sample, by default in l_inf.

    Parameters
    ----------
    model, x
        The classifier and inputs of shape (n, *input_shape).
    threat
        The adversary.
    method
        ``lipschitz`` or ``interval``.
    sound
        Whether rounding errors are subtracted.
    options
        Of the method: ``steps`` for interval.
    """
    check_choice("method", method, tuple(BY_METHOD))
    certifier = BY_METHOD[method](sound=sound, **options)
    return certifier.certify_classes(model, x, threat if threat is not None else ThreatModel(norm=math.inf))


def lipschitz_radius(
    bounds: MarginBounds, x: Tensor, threat: ThreatModel, chosen: Tensor, threshold: float, slope: Tensor
) -> Tensor:
    """Margin at `x`, errors subtracted, over the slope, rounded down; 0 where that leaves nothing.

    Never so large that numbers could overflow on the way, which a head of small slope would not notice.
    """
    margin = bounds.margin(*bounds.point(x), chosen, threshold).clamp(min=0.0)
    limit = bounds.limit * float(threat.cost_for(bounds.model.input_shape).min())
    radius = torch.where(margin > 0, (margin / slope).clamp(max=limit), 0.0)
    return radius * down(8)
