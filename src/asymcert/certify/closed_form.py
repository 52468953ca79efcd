"""The published closed-form certificate: margin over Lipschitz constant times dual gradient norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from asymcert._checks import option
from asymcert.certify.base import Certificate, Certifier, expect, join
from asymcert.certify.passes import closed_form_radius, deployed_margin, in_float64, slope_bound, tangent_plane
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

    def certify(self, model: BinaryClassifier, x: Tensor, threats: Sequence[ThreatModel]) -> list[Certificate]:
        """One certificate per threat model; passes run in float64 whatever type the model is deployed in.

        Raises
        ------
        InputError
            The model is not feature-convex, or `x` is not a finite tensor of shape (n, *input_shape), or lies outside
            the box of a threat model.
        """
        model = expect(model, FeatureConvexClassifier, self.method)
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
        joined = [(*join(chunks, 3), threat) for chunks, threat in zip(parts, threats, strict=True)]
        return [
            Certificate(radius, margin, slope, threat, self.method, self.sound)
            for radius, margin, slope, threat in joined
        ]
