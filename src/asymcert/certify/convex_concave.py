"""Certificate of one convex logit against concave ones: the least of the radii of the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import check_choice, option
from asymcert.certify.base import Certificate, Certifier
from asymcert.certify.closed_form import ClosedForm
from asymcert.certify.refined import Refined
from asymcert.certify.tangent import Tangent
from asymcert.models.base import BinaryClassifier
from asymcert.models.convex_concave import ConvexConcaveClassifier
from asymcert.threats.model import ThreatModel

PAIRWISE: dict[str, type[ClosedForm | Tangent | Refined]] = {c.method: c for c in (ClosedForm, Tangent, Refined)}


@dataclass(frozen=True)
class ConvexConcave(Certifier):
    """``r(x) = min_k r_k(x)``, r_k certifying that the convex logit stays above the k-th concave one.

    The difference of a convex and a concave logit is convex, so every certificate of feature-convex classifiers applies
    to it; the verdict stays while all differences stay positive.

    Parameters
    ----------
    sound
        Whether bounds on all rounding errors are subtracted, the certifier's and the deployed classifier's.
    pairwise
        What certifies the pairs: ``closed-form``, ``tangent`` or ``refined``.

    Raises
    ------
    InputError
        Another `pairwise`.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, appendix A.
    """

    method: ClassVar[str] = "convex-concave"
    kind: ClassVar[type[BinaryClassifier]] = ConvexConcaveClassifier

    sound: bool = option(True, "Subtract bounds on all rounding errors.")
    pairwise: str = option("closed-form", "convex-concave: method for each pair of logits.")

    def __post_init__(self) -> None:
        check_choice("pairwise", self.pairwise, tuple(PAIRWISE))

    def _certificates(
        self, model: ConvexConcaveClassifier, x: Tensor, threats: Sequence[ThreatModel]
    ) -> list[Certificate]:
        margin = model.margin(x).double()
        certifier = PAIRWISE[self.pairwise](sound=self.sound)
        found = [certifier.certify(pair, x, threats) for pair in model.pairs()]
        return [self._least(margin, threat, of_pairs) for threat, *of_pairs in zip(threats, *found, strict=True)]

    def _least(self, margin: Tensor, threat: ThreatModel, pairs: Sequence[Certificate]) -> Certificate:
        """Certificate from those of all pairs against one adversary."""
        radius = reduce(torch.minimum, [pair.radius for pair in pairs])
        radius = torch.where(margin > 0, radius, 0.0)
        return Certificate(radius, margin, torch.full_like(margin, torch.nan), threat, self.method, self.sound)
