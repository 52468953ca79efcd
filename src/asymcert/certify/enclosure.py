"""The tangent plane of a convex score over all that its features can be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import check_count, option, refuse
from asymcert._floats import TINY, UNIT, up
from asymcert.certify.base import Certificate, Certifier, Threats, join
from asymcert.certify.bisection import farthest
from asymcert.certify.closed_form import closed_form_radius, deployed_margin, in_float64, slope_bound, tangent_plane
from asymcert.certify.distance_bounds import box
from asymcert.certify.rounding import Rounding
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class Enclosure(Certifier):
    """The largest radius, by bisection, at which the margin's tangent plane stays positive for all features in reach.

    The margin lies above its tangent plane at the input, and features stay within the map's bounds over the box of all
    inputs in reach: the plane's least value over those is a sum. Uses a box, costs, immutable features and directions.
    Never below the closed form; infinite where no admissible change of any size undoes the verdict.

    Parameters
    ----------
    sound
        Whether bounds on all rounding errors are subtracted, the certifier's and the deployed classifier's.
    steps
        Halvings of the interval between a certified and an uncertified radius.

    Source: interval bounds as in Gowal et al., 2018; below a convex score they are this package's.
    """

    method: ClassVar[str] = "enclosure"
    kind: ClassVar[type[BinaryClassifier]] = FeatureConvexClassifier

    sound: bool = option(True, "Subtract bounds on all rounding errors.")
    steps: int = option(20, "interval, enclosure: halvings of the radius.")

    def __post_init__(self) -> None:
        check_count("steps", self.steps, 0)

    def _certificates(self, model: FeatureConvexClassifier, x: Tensor, threats: Threats) -> list[Certificate]:
        if not model.feature_map.encloses:
            got = f"{type(model.feature_map).__name__}, which does not"
            raise refuse("model", "one whose feature map encloses its features", got, "Use method='closed-form'.")
        exact = in_float64(model)
        rounding = Rounding(exact, model.dtype) if self.sound else None
        return [self._certificate(model, exact, rounding, x, threat) for threat in threats]

    def _certificate(
        self,
        model: FeatureConvexClassifier,
        exact: FeatureConvexClassifier,
        rounding: Rounding | None,
        x: Tensor,
        threat: ThreatModel,
    ) -> Certificate:
        chunks = []
        for chunk in exact.chunks(x):
            threat.check(chunk)
            plane = EnclosedPlane(exact, rounding, chunk, threat)
            margin = deployed_margin(model, chunk, plane.margin)
            low = plane.closed_form(margin)
            radius = torch.minimum(farthest(low, plane.stays_above, self.steps), plane.limit)
            chunks.append((radius, margin))
        radius, margin = join(chunks)
        return Certificate(radius, margin, torch.full_like(margin, math.nan), threat, self.method, self.sound)


class EnclosedPlane:
    """Tangent planes of the margin at one chunk of inputs, and what rounding may add to their falls.

    Parameters
    ----------
    model
        The classifier in float64.
    rounding
        Bounds on its errors, or None to ignore them.
    x
        (n, *input_shape), float64, inside the box of `threat`.
    """

    def __init__(self, model: FeatureConvexClassifier, rounding: Rounding | None, x: Tensor, threat: ThreatModel):
        self.model, self.rounding, self.x, self.threat = model, rounding, x, threat
        self.margin, gradient = tangent_plane(model, x)
        self.gradient = gradient.flatten(1)
        self.amount, self.error = self.margin, torch.zeros_like(self.gradient)
        self.rate, self.limit = 0.0, torch.full_like(self.margin, math.inf)
        if rounding is not None:
            deployed = rounding.deployed_error(x, threat)
            self.error = self.error + rounding.gradient_error.flatten()
            self.amount = self.margin - rounding.cut_error(x) - deployed.fixed
            self.rate, self.limit = deployed.rate, deployed.limit
        self.least, self.most = self._enclosed(x, x)

    def closed_form(self, deployed: Tensor) -> Tensor:
        """Radii (n,) by the slope alone; `deployed` are the margins of the classifier that is run."""
        slope = slope_bound(self.model, self.gradient.abs() + self.error, self.threat)
        return closed_form_radius(self.rounding, self.threat, self.x, self.margin, slope, deployed)

    def stays_above(self, radius: Tensor) -> Tensor:
        """Whether no change of size `radius` (n,) brings the plane to zero: bool (n,)."""
        low, high = self._enclosed(*box(self.x, self.threat, radius, UNIT, TINY))
        fallen, risen = (self.most - low).clamp(min=0.0), (high - self.least).clamp(min=0.0)
        steepest = torch.maximum((self.gradient + self.error) * fallen, (self.error - self.gradient) * risen)
        fall = steepest.clamp(min=0.0).sum(1)  # NaN, of infinite bounds, compares as False
        further = self.rate * radius if self.rate else 0.0
        return self.amount > (fall + further) * up(fallen.shape[1] + 16)

    def _enclosed(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of all features over boxes: (n, features) twice."""
        least, most = self.model.feature_map.enclosure(low, high, UNIT, TINY)
        return least.flatten(1), most.flatten(1)


@torch.no_grad()
def holds(model: FeatureConvexClassifier, x: Tensor, threat: ThreatModel, radius: float) -> Tensor:
    """Whether no change of that size undoes a sensitive verdict, rounding ignored: (n, *input_shape) -> bool (n,)."""
    planes = (EnclosedPlane(model, None, chunk, threat) for chunk in model.chunks(x))
    return torch.cat([plane.stays_above(torch.full_like(plane.margin, radius)) for plane in planes])
