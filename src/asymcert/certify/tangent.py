"""The exact radius of the tangent plane at the input, under the whole threat model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import option
from asymcert.certify.alerts import alerts, at_alerts
from asymcert.certify.base import Certificate, Certifier, join
from asymcert.certify.cuts import Cuts
from asymcert.certify.evasion import fewest_columns
from asymcert.certify.planes import Planes
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class Tangent(Certifier):
    """What the closed form throws away is used: how each feature follows its coordinate, and how far it may go.

    The margin lies above its tangent plane at the input, and the plane falls by a known piecewise linear function of
    each coordinate's change. The radius is the least size of an admissible change that brings the plane to zero;
    infinite where none does. But for rounding never below the closed form, and equal to it for affine maps without a
    box.

    Where columns are counted (norm 0) it is a number of columns of which no change, by any amount, undoes the verdict;
    the best answer with one column more is tried, and where it succeeds it is `upper` and `adversarial`.

    Parameters
    ----------
    sound
        Whether bounds on all rounding errors are subtracted.
    """

    method: ClassVar[str] = "tangent"
    kind: ClassVar[type[BinaryClassifier]] = FeatureConvexClassifier
    counts: ClassVar[bool] = True
    edits: ClassVar[bool] = True

    sound: bool = option(True, "Subtract bounds on all rounding errors.")

    def _certificates(
        self, model: FeatureConvexClassifier, x: Tensor, threats: Sequence[ThreatModel]
    ) -> list[Certificate]:
        planes = Planes(model, self.sound)
        return [self._certify(model, planes, x, threat) for threat in threats]

    def _certify(self, model: FeatureConvexClassifier, planes: Planes, x: Tensor, threat: ThreatModel) -> Certificate:
        planes.check(threat)
        chunks = []
        for chunk in planes.chunks(x):
            margin, sensitive = alerts(model, chunk, threat)
            chunks.append((margin, *at_alerts(sensitive, chunk, 1, partial(self._radii, model, planes, threat))))
        margin, radius, upper, adversarial, anchors, weights = join(chunks)
        parts = {"adversarial": adversarial, "anchors": anchors, "weights": weights}
        parts |= {"upper": upper} if threat.norm == 0 else {}
        slope = torch.full_like(margin, torch.nan)
        return Certificate(radius, margin, slope, threat, self.method, self.sound, **parts)

    def _radii(
        self, model: FeatureConvexClassifier, planes: Planes, threat: ThreatModel, x: Tensor
    ) -> tuple[Tensor, ...]:
        """Radius, best known size of a change that undoes the verdict, changed input, anchors and weights."""
        cuts = Cuts(planes, x, threat)
        cuts.add(x)
        weights = torch.ones_like(cuts.value)
        plane = cuts.radius(weights)
        upper, adversarial = torch.full_like(plane.radius, torch.inf), x + plane.change
        if threat.norm == 0:
            upper, adversarial = fewest_columns(model, cuts, weights, plane.radius)
        return plane.radius, upper, adversarial, cuts.anchors, weights
