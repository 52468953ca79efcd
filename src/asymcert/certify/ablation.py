"""How many columns can change before most draws of a few columns see another verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._floats import above
from asymcert.certify.smoothing import Smoothing
from asymcert.models.ablated import AblatedClassifier
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class Ablation(Smoothing):
    """Votes over draws of e among G columns, as in `Smoothing`; radii in columns.

    A draw misses k changed columns with probability ``C(G - k, e) / C(G, e)``, and then sees no change. So the
    probability of *sensitive* falls by at most ``1 - C(G - k, e) / C(G, e)``; the radius is the greatest k for which
    it stays above the classifier's share, 1/2 at first. A column of the adversary that covers several of the model's
    counts as that many, prices count by the cheapest; what he cannot change is not used.

    Sound as `Smoothing`, with probability ``1 - alpha`` for each sample.

    Source: Levine and Feizi, Robustness Certificates for Sparse Adversarial Attacks by Randomized Ablation, AAAI 2020,
    Theorem 1, for two classes.
    """

    method: ClassVar[str] = "ablation"
    kind: ClassVar[type[BinaryClassifier]] = AblatedClassifier
    counts: ClassVar[bool] = True
    lengths: ClassVar[bool] = False

    def _radius(self, model: AblatedClassifier, excess: Tensor, threat: ThreatModel) -> Tensor:
        columns = threat.columns(model.input_shape)
        pairs = torch.stack((columns.index.cpu(), model.groups.cpu())).unique(dim=1)
        most = int(pairs[0].bincount().max())  # the model's columns in one of the adversary's
        losses = [_loss(model.columns, model.kept, k + 1) for k in range(model.columns)]
        safe = (torch.tensor(losses, dtype=torch.float64) < excess[:, None]).sum(1)
        return (safe // most).double() * float(columns.price.min())


def _loss(columns: int, kept: int, changed: int) -> float:
    """Probability that a draw shows a changed column, rounded up."""
    return above(float(1 - Fraction(math.comb(columns - changed, kept), math.comb(columns, kept))))
