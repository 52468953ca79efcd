"""Certificate of a union: what any of its members certifies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import option
from asymcert.certify.base import Certificate, Certifier, Threats
from asymcert.certify.closed_form import ClosedForm
from asymcert.certify.distance_nets import DistanceIntervals
from asymcert.certify.enclosure import Enclosure
from asymcert.certify.lipschitz_margin import LipschitzMargin
from asymcert.certify.tangent import Tangent
from asymcert.errors import InputError
from asymcert.models.base import BinaryClassifier
from asymcert.models.union import UnionClassifier

BEST_FIRST = (Tangent, Enclosure, ClosedForm, DistanceIntervals, LipschitzMargin)  # of one batched pass or few


@dataclass(frozen=True)
class Union(Certifier):
    """The greatest of the members' radii, each by the best quick method that takes it and the adversary.

    While one member's alert stands, so does the union's. A member about which no method can speak, such as a distance
    net where columns are counted, adds nothing.

    Parameters
    ----------
    sound
        As in the members' methods.
    """

    method: ClassVar[str] = "union"
    kind: ClassVar[type[BinaryClassifier]] = UnionClassifier
    counts: ClassVar[bool] = True

    sound: bool = option(True, "Subtract bounds on all rounding errors.")

    def _certificates(self, model: UnionClassifier, x: Tensor, threats: Threats) -> list[Certificate]:
        margin = model.margin(x).double()
        return [self._certificate(model, x, threats[place : place + 1], margin) for place in range(len(threats))]

    def _certificate(self, model: UnionClassifier, x: Tensor, threats: Threats, margin: Tensor) -> Certificate:
        """Of one adversary; refused if no method speaks about any member."""
        radius, reasons = torch.zeros_like(margin), []
        for member in model.deciding():
            found, reason = self._member(member, x, threats)
            reasons += [reason] if reason else []
            radius = radius if found is None else radius.maximum(found.to(radius.device))
        if len(reasons) == len(model.members):
            raise reasons[0]
        return Certificate(radius, margin, torch.full_like(margin, torch.nan), threats[0], self.method, self.sound)

    def _member(
        self, member: BinaryClassifier, x: Tensor, threats: Threats
    ) -> tuple[Tensor, None] | tuple[None, InputError | None]:
        """A member's radii by the first method that does not refuse, or why the last one of its kind did."""
        reason = None
        for certifier in BEST_FIRST:
            if isinstance(member, certifier.kind):
                try:
                    return certifier(sound=self.sound).certify(member, x, threats)[0].radius, None
                except InputError as error:
                    reason = error
        return None, reason
