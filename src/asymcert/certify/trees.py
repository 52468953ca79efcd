"""How many columns an adversary must change before trees change their verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import option
from asymcert._floats import UNIT, up
from asymcert.certify.base import Certificate, Certifier, Threats, join
from asymcert.certify.columns import ColumnDrops
from asymcert.models.base import BinaryClassifier
from asymcert.models.trees import TreeSum, TreeUnits
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class TreeColumns(Certifier):
    """The worst that k columns can do if every unit that looks at one of them falls as low as it can.

    A unit is a tree of a sum, which can fall to its least leaf, or a part of a vote, which can withdraw it. Each column
    is charged with all units that look at it, and the k dearest add up to less than the margin. For a vote of parts on
    disjoint columns that is exact as long as parts can be turned by one column; for a sum of trees it is a valid bound,
    far from exact where trees look at many columns. Directions are not used, nor boxes beyond whether they let an
    input move.

    Parameters
    ----------
    sound
        Whether the roundings of the sums are subtracted.

    Source: Hammoudeh and Lowd, Feature Partition Aggregation, 2023, Theorem 1, for votes.
    """

    method: ClassVar[str] = "tree-columns"
    kind: ClassVar[type[BinaryClassifier]] = TreeUnits
    counts: ClassVar[bool] = True
    lengths: ClassVar[bool] = False

    sound: bool = option(True, "Subtract bounds on all rounding errors.")

    def _certificates(self, model: TreeUnits, x: Tensor, threats: Threats) -> list[Certificate]:
        units = model.units.double()
        chunks = []
        for chunk in model.chunks(x):
            falls, margin = model.falls(chunk), model(chunk)
            chunks.append((margin, *(self._radius(model, chunk, threat, units, falls, margin) for threat in threats)))
        margin, *radii = join(chunks)
        nothing = torch.full_like(margin, math.nan)
        pairs = zip(radii, threats, strict=True)
        return [Certificate(radius, margin, nothing, threat, self.method, self.sound) for radius, threat in pairs]

    def _radius(
        self, model: TreeUnits, x: Tensor, threat: ThreatModel, units: Tensor, falls: Tensor, margin: Tensor
    ) -> Tensor:
        low, high = threat.interval(x)
        columns = threat.columns(model.input_shape).to(x.device)
        movable = columns.total(((low < 0) | (high > 0)).double()) > 0
        looks = (columns.total(units) > 0).double()  # (U, G)
        drop = torch.where(movable, falls @ looks, 0.0) * up(len(units) + 8)
        amount = margin - 2.0 * sum_error(model) if self.sound else margin
        return ColumnDrops(drop, torch.zeros_like(x), columns).radius(amount)


def sum_error(model: TreeUnits) -> float:
    """Bound on the rounding of a deployed margin: of a sum of trees; votes are counted exactly."""
    if not isinstance(model, TreeSum):
        return 0.0
    trees = model.trees
    largest = float(trees.size.sum()) + float(trees.base.double().abs().sum()) + abs(model.threshold)
    return 2.0 * (len(trees.root) + 4) * UNIT * largest
