"""Radii of classifiers that are smoothed by splitting noise, from exact counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import option
from asymcert._floats import down
from asymcert.certify.base import Certificate, Certifier, Threats, join
from asymcert.certify.norms import radius_against
from asymcert.models.base import BinaryClassifier
from asymcert.models.splitting import LEVELS, SplitClassifier
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class Splitting(Certifier):
    """``2 lambda (k / T - 1/2)`` in l1, from k sensitive votes among T splits; other norms by conversion.

    In whole numbers ``(2 k - T) / 510``, less the distance of the input to whole levels. Of a classifier by another
    share of the votes that share is in place of 1/2, and `SplitClassifier.halves` in place of T. Costs count by the
    cheapest feature; a box, immutable features and directions only shrink what the adversary can do and are not used.

    Parameters
    ----------
    sound
        Whether the roundings of these few operations are subtracted. Those of the base network do not matter: the votes
        that are counted are those of the network as it is run.

    Sound when the base network, run on the same batch again, gives the same votes.

    Source: Levine and Feizi, ICML 2021, Theorem 2 and Corollary 1; see `SplitClassifier` for inputs between levels.
    """

    method: ClassVar[str] = "splitting"
    kind: ClassVar[type[BinaryClassifier]] = SplitClassifier

    sound: bool = option(True, "Subtract bounds on all rounding errors.")

    def _certificates(self, model: SplitClassifier, x: Tensor, threats: Threats) -> list[Certificate]:
        parts: list[tuple[Tensor, ...]] = []
        for chunk in model.chunks(x):
            for threat in threats:
                threat.check(chunk)
            votes, distance = model.votes(chunk), model.distance(chunk)
            parts.append((self._radius(model, votes, distance), model.margin_of(votes, distance)))
        radius, margin = join(parts)
        return [self._certificate(model, radius, margin, threat) for threat in threats]

    def _radius(self, model: SplitClassifier, votes: Tensor, distance: Tensor) -> Tensor:
        """In l1: (n,)."""
        rounded = down(2) if self.sound else 1.0
        among_levels = (2 * votes - model.halves).double() / (2.0 * LEVELS)
        return ((among_levels * rounded - distance) * rounded).clamp(min=0.0)

    def _certificate(self, model: SplitClassifier, radius: Tensor, margin: Tensor, threat: ThreatModel) -> Certificate:
        found = radius_against(radius, 1.0, threat, model.input_shape)
        return Certificate(found, margin, torch.full_like(margin, math.nan), threat, self.method, self.sound)
