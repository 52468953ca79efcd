"""Certificate of a union: what any of its members certifies."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import option, refuse
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
        radius, refused = torch.zeros_like(margin), []
        for member in model.deciding():
            try:
                radius = radius.maximum(self._radius(member, x, threats).to(radius.device))
            except InputError as error:
                refused.append(error)
        if len(refused) == len(model.members):
            reasons = "; ".join(dict.fromkeys(str(error).rstrip(".") for error in refused))
            raise refuse("threat", "one that some member is certified against", threats[0].describe(), f"{reasons}.")
        return Certificate(radius, margin, torch.full_like(margin, torch.nan), threats[0], self.method, self.sound)

    def _radius(self, member: BinaryClassifier, x: Tensor, threats: Threats) -> Tensor:
        """A member's radii by the first method of its kind that does not refuse; else why the best one does."""
        best, *others = (each(sound=self.sound) for each in BEST_FIRST if isinstance(member, each.kind))
        try:
            return best.certify(member, x, threats)[0].radius
        except InputError as error:
            for certifier in others:
                with suppress(InputError):
                    return certifier.certify(member, x, threats)[0].radius
            raise error from None
