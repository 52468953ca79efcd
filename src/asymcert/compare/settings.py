"""What moves a method along its front of accuracy against radius: settings of its knob, and thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from asymcert.datasets import BinaryData
from asymcert.evaluate.detection import is_shown
from asymcert.evaluate.robust import OperatingPoint, operating_points
from asymcert.models.base import BinaryClassifier
from asymcert.models.thresholds import threshold_for_rate
from asymcert.models.voting import VotingClassifier

RATES = (0.01, 0.05)  # of false alarms
AROUND = (0.75, 1.33, 1.75)  # multiples of a model's own rate
VOTES = 1000  # for each validation sample


@dataclass(frozen=True)
class Setting:
    """One setting of a method's knob.

    Parameters
    ----------
    name
        What it is called, and its folder.
    options
        What the method's `train` is told besides data, budget and seed; none for the method as it is.
    """

    name: str = "default"
    options: Mapping[str, Any] = field(default_factory=dict)

    def folder(self, method: Path) -> Path:
        """Its run in the folder of a method, which itself is the run of the method as it is."""
        return method / self.name if self.options else method


AS_IT_IS = Setting()


def multiples(*fields: str, of: tuple[float, ...]) -> tuple[Setting, ...]:
    """The method as it is, and with numbers of its recipe multiplied, all by the same factor.

    Parameters
    ----------
    fields
        Of the recipe; what is 0 stays 0.
    of
        Factors besides 1, in the order in which they spread best: a shorter comparison takes the first ones.

    Examples
    --------
    >>> [setting.name for setting in multiples("sigma", of=(0.5, 2.0))]
    ['default', '0.5-times-sigma', '2-times-sigma']
    """
    named = {f"{factor:g}-times-{fields[0]}": {"scaled": dict.fromkeys(fields, factor)} for factor in of}
    return (AS_IT_IS, *(Setting(name, options) for name, options in named.items()))


def operating_points_of(model: BinaryClassifier, data: BinaryData) -> list[OperatingPoint]:
    """A model at other thresholds than its own, chosen on validation data by their rates of false alarms.

    Those of `RATES`, and some on either side of its own rate: fewer alarms cost radius, more cost accuracy. Of what
    decides by votes the share of them is moved, since the same votes then serve every point.
    """
    if isinstance(model, VotingClassifier):
        shares = model.shares(data.val.x, VOTES)
        rates = _rates(shares > model.share, data)
        shown = [rate for rate in rates if is_shown(rate, int((~data.val.y).sum()))]
        placed = [(rate, threshold_for_rate(shares, data.val.y, rate)) for rate in shown]
        placed = [(rate, max(share, model.least_share)) for rate, share in placed]
        return [OperatingPoint(rate, model.with_share(share)) for rate, share in placed if 0 < share < 1]
    return operating_points(model, data.val, _rates(model.margin(data.val.x) > 0, data))


def _rates(alerts: Tensor, data: BinaryData) -> list[float]:
    """Of false alarms, ascending, for a model that has these on validation data: bool (n,)."""
    own = float(alerts[~data.val.y].double().mean())
    rates = {round(rate, 4) for rate in (*RATES, *(multiple * own for multiple in AROUND))}
    return sorted(rate for rate in rates if 0 < rate < 1)
