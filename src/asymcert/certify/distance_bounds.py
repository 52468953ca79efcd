"""Enclosures of what an l_inf-distance net computes over a box, rounding of the deployed forward pass included.

Widening each layer's bounds by the relative errors of its operations, of the deployed type and of the float64 that
bounds are computed in, encloses every number that either of them can come to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert._floats import UNIT, UP, up
from asymcert.certify.rounding import ARITHMETIC
from asymcert.features.base import widened
from asymcert.linf.net import TanhHead
from asymcert.models.distance_net import DistanceClassifier, others
from asymcert.threats.model import ThreatModel

TANH = 8  # units of rounding that a library's tanh is trusted to err by at most; the usual ones err by 1 or 2


@dataclass(frozen=True)
class MarginBounds:
    """Lower bounds of margins over boxes, for a classifier in float64 with the weights of the deployed one.

    Parameters
    ----------
    model
        The classifier in float64.
    unit
        Sum of the unit roundoffs of the deployed type and of float64; 0 to ignore all rounding.
    greatest, least
        Largest number and smallest normal number of the deployed type.
    """

    model: DistanceClassifier
    unit: float
    greatest: float
    least: float

    @classmethod
    def of(cls, model: DistanceClassifier, dtype: torch.dtype, sound: bool) -> MarginBounds:
        """Bounds for `model`, in float64, that is deployed in `dtype`.

        Raises
        ------
        InputError
            The net is at a finite p, or is deployed in a type whose rounding is not known.
        """
        if math.isfinite(model.net.p):
            remedy = "Train to the end of the schedule; at finite p the net is not 1-Lipschitz."
            raise refuse("model", "at p = inf, to be certified", f"p = {model.net.p:g}", remedy)
        if not sound:
            return cls(model, 0.0, torch.finfo(dtype).max, 0.0)
        if dtype not in ARITHMETIC:
            remedy = "Deploy the model in one of them, or certify with sound=False."
            raise refuse("model", "deployed in float32 or float64", str(dtype), remedy)
        return cls(model, ARITHMETIC[dtype].unit + UNIT, ARITHMETIC[dtype].greatest, torch.finfo(dtype).tiny)

    @property
    def stretch(self) -> float:
        """Growth of an interval's width through all layers by widening alone, rounded up."""
        operations = sum(layer.roundings for layer in self.model.net.distance_layers())
        return (1.0 + 2.0 * self.unit * UP) ** (operations / 2.0 + 4.0)

    @property
    def limit(self) -> float:
        """Size of an l_inf change that cannot bring any number on the way from below `greatest` / 8 to overflow."""
        head = self.model.net.head
        steepest = 1.0 if head is None else max(1.0, float(head.first.weight.abs().sum(1).max()))
        return self.greatest / (8.0 * steepest * self.stretch * UP)

    def box(self, x: Tensor, threat: ThreatModel, radius: Tensor) -> tuple[Tensor, Tensor]:
        """Corners of all inputs that changes of size at most `radius` (n,) lead to, conversion to the type included."""
        return box(x, threat, radius, self.unit, self.least)

    def point(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Corners of the inputs that conversion of `x` to the deployed type can lead to."""
        return widened(x, x, self.unit, self.least)

    def margin(self, low: Tensor, high: Tensor, chosen: Tensor, threshold: float) -> Tensor:
        """Lower bound (n,) of ``o_chosen - max of the others - threshold`` over boxes, -inf where numbers overflow."""
        low, high, largest = self.model.net.enclosure(low, high, self.unit, self.least)
        if self.model.net.head is not None:
            margin, size, inner = self._after_head(self.model.net.head, low, high, chosen)
            largest = torch.maximum(largest, torch.maximum(size, inner))
        else:
            size = torch.maximum(low.abs(), high.abs()).amax(1)
            margin = -high.gather(1, chosen[:, None])[:, 0] - others(-low, chosen)
        margin = margin - threshold - 8.0 * self.unit * (size + abs(threshold)) - self.least
        return torch.where(largest < self.greatest / 8, margin, -math.inf)  # NaN compares as False

    def slope(self, chosen: Tensor) -> Tensor:
        """Bound (n,) on the fall of the margin's bound per unit of an l_inf change."""
        head = self.model.net.head
        if head is None:
            return torch.full(chosen.shape, 2.0 * self.stretch, dtype=torch.float64, device=chosen.device) * UP
        first, last = head.first.weight, head.last.weight
        steepness = first.abs().sum(1)
        pairs = (last[:, None] - last[None]).abs() @ steepness  # (classes, classes); tanh has slope at most 1
        errors = 4.0 * self._gamma(first.shape[1] + last.shape[1] + TANH) * (last.abs() @ steepness).max()
        rounding = up(sum(first.shape) + 8)
        return (pairs.amax(1)[chosen] * rounding + errors) * self.stretch * UP

    def _gamma(self, operations: int) -> float:
        """Relative error of a sum after so many roundings."""
        total = (operations + 4) * self.unit
        return total / (1.0 - total) * UP if total < 0.5 else math.inf

    def _after_head(self, head: TanhHead, low: Tensor, high: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Lower bound (n,) of the margin behind the head, and the terms of its logits and of its inner layer (n,)."""
        weight, bias, most = head.first.weight, head.first.bias, torch.maximum(low.abs(), high.abs())
        centre, radius = (high + low) / 2, (high - low) / 2
        terms = most @ weight.abs().t() + bias.abs()
        error = self._gamma(weight.shape[1]) * terms + self.least * weight.shape[1]
        middle, reach = centre @ weight.t() + bias, radius @ weight.abs().t() + error
        low, high = torch.tanh(middle - reach) - TANH * self.unit, torch.tanh(middle + reach) + TANH * self.unit
        weight, bias, most = head.last.weight, head.last.bias, torch.maximum(low.abs(), high.abs())
        size = most @ weight.abs().t() + bias.abs()
        difference = weight[chosen][:, None] - weight[None]  # (n, classes, hidden)
        worst = torch.where(difference > 0, low[:, None], high[:, None])
        margins = (difference * worst).sum(2) + bias[chosen][:, None] - bias
        room = self._gamma(weight.shape[1] + 2) * 2.0 * size.amax(1) + self.least * weight.shape[1]
        return -others(-margins, chosen) - room, size.amax(1), terms.amax(1)


def box(x: Tensor, threat: ThreatModel, radius: Tensor, unit: float, least: float) -> tuple[Tensor, Tensor]:
    """Corners of all inputs that changes of size at most `radius` (n,) lead to, in a type of roundoff `unit`."""
    reach = radius.reshape(-1, *[1] * (x.ndim - 1)) / threat.cost_for(tuple(x.shape[1:])).to(x)
    low, high = threat.interval(x)
    return widened(x + torch.maximum(low, -reach), x + torch.minimum(high, reach), unit, least, x.abs())
