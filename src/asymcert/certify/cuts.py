"""Tangent planes of a classifier's margin, and the radius that any average of them proves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import check_inputs, refuse
from asymcert.certify.budgets import radius, solve
from asymcert.certify.drops import UNIT, Drops, Pieces
from asymcert.certify.passes import closed_form_radius, in_float64, slope_bound, tangent_plane
from asymcert.certify.rounding import DeployedError, Rounding
from asymcert.classifier import CHUNK_VALUES, FeatureConvexClassifier
from asymcert.threat import ThreatModel

BISECTIONS = 45
FAR = 1e15  # change of one coordinate where nothing limits the adversary
CACHED_VALUES = 2**21  # per chunk on a CPU: elementwise work on what the caches hold is several times faster


@dataclass(frozen=True)
class PlaneRadius:
    """What one plane per sample proves.

    `radius` (n,) is valid and rounded down. `change` (n, *input_shape) is the adversary's best answer to the plane, of
    about that size (where the radius is infinite: the far end of the box).
    """

    radius: Tensor
    change: Tensor


class Planes:
    """What all cuts of one classifier share: its float64 form, its rounding, the pieces of its feature map.

    Raises
    ------
    InputError
        The feature map is not coordinatewise.
    """

    def __init__(self, model: FeatureConvexClassifier, sound: bool):
        if not model.feature_map.coordinatewise:
            got = f"{type(model.feature_map).__name__}, whose features mix inputs"
            raise refuse("model", "one with a coordinatewise feature map", got, "Use method='closed-form'.")
        self.model = in_float64(model)
        self.rounding = Rounding(self.model, model.dtype) if sound else None
        self.pieces = Pieces(self.model.feature_map, self.model.input_shape)

    def chunks(self, x: Tensor, cuts: int = 1) -> Iterator[Tensor]:
        """Checked float64 inputs in pieces of bounded memory, for so many cuts."""
        values = (cuts + 8 * (len(self.pieces.knots) + 1)) * self.pieces.steepest.numel()
        budget = CACHED_VALUES if self.model.device.type == "cpu" else CHUNK_VALUES
        size = max(1, budget // max(values, self.model.score.activations))
        for chunk in check_inputs(x, self.model.input_shape).split(size):
            yield chunk.to(self.model.device, torch.float64)


class Cuts:
    """Tangent planes at any points, for one chunk of inputs under one threat model.

    Cut k says ``margin(x + delta) >= value_k + gradient_k . (phi(x + delta) - phi(x))`` for every delta.

    Parameters
    ----------
    model
        The deployed classifier, or the `Planes` made from it.
    x
        (n, *input_shape), inside the box of `threat`.
    sound
        Whether all rounding is subtracted; not used where `model` is `Planes`.
    """

    def __init__(
        self, model: FeatureConvexClassifier | Planes, x: Tensor, threat: ThreatModel, sound: bool = True
    ) -> None:
        planes = model if isinstance(model, Planes) else Planes(model, sound)
        self.model, self.rounding, self.pieces = planes.model, planes.rounding, planes.pieces
        self.x, self.threat = x.to(self.model.device, torch.float64), threat
        self.features = self.model.feature_map(self.x)
        low, high = threat.interval(self.x)
        self._low, self._high, self._flat = low.flatten(1), high.flatten(1), self.x.flatten(1)
        self._cost = threat.cost_for(self.model.input_shape).to(self.x).reshape(1, -1)
        n, features = len(self.x), self.features.flatten(1).shape[1]
        self.value = self.x.new_empty(n, 0)
        self.error = self.x.new_empty(n, 0)
        self._gradient = self.x.new_empty(n, 0, features)
        self.anchors = self.x.new_empty(n, 0, *self.model.input_shape)
        self._deployed = self._deployed_error()

    @property
    def gradient(self) -> Tensor:
        """(n, K, *feature_shape)."""
        return self._gradient.view(*self._gradient.shape[:2], *self.features.shape[1:])

    def add(self, points: Tensor) -> Tensor:
        """Add the tangent plane at points (n, *input_shape); returns the margins there, (n,)."""
        points = points.to(self.x)
        margin, gradient = tangent_plane(self.model, points)
        gradient = gradient.flatten(1)
        value = margin + (gradient * (self.features - self.model.feature_map(points)).flatten(1)).sum(1)
        if self.rounding is None:
            error = torch.zeros_like(value)
        else:
            error = self.rounding.cut_error(self.x, None if torch.equal(points, self.x) else points)
        self.value = torch.cat((self.value, value[:, None]), 1)
        self.error = torch.cat((self.error, error[:, None]), 1)
        self._gradient = torch.cat((self._gradient, gradient[:, None]), 1)
        self.anchors = torch.cat((self.anchors, points[:, None]), 1)
        return margin

    def at(self, change: Tensor) -> Tensor:
        """Value of each cut at ``x + change``: (n, *input_shape) -> (n, K)."""
        moved = (self.model.feature_map(self.x + change) - self.features).flatten(1)
        return self.value + torch.einsum("nkd,nd->nk", self._gradient, moved)

    def radius(self, weights: Tensor) -> PlaneRadius:
        """Radius that the average of the cuts proves, for nonnegative weights (n, K) that sum to 1 in each row.

        Never below the closed form of the same plane. The change can be made coordinate by coordinate; where
        drops are not concave it may spend less than the radius.
        """
        total = weights.sum(1)
        amount = ((self.value - self.error) * weights).sum(1)
        gradient = torch.einsum("nkd,nk->nd", self._gradient, weights)
        # Averaging rounds: K + 1 roundings of the terms, and weights whose sum is off by a few units of 2^-53.
        slack = (4.0 * weights.shape[1] + 16.0) * UNIT
        amount = amount - slack * (self.value.abs() * weights).sum(1) - self._deployed.fixed * total * (1 + slack)
        amount = torch.where(amount > 0, amount, 0.0).nan_to_num(0.0, 0.0, 0.0)
        drops, slope, error = self._drops(gradient, slack)
        budgets, price = solve(amount, drops, self.threat.norm)
        rate = self._deployed.rate * (1 + slack)
        found = radius(amount, drops, price, self.threat.dual_norm, rate)
        if math.isinf(self.threat.norm) and len(self.pieces.knots):
            found = self._farthest(amount, slope, error, found, rate)
            budgets = found.clamp(max=1e300)[:, None].expand_as(budgets)
        found = torch.minimum(torch.where(amount > 0, found, 0.0), self._deployed.limit)
        if weights.shape[1] == 1 and torch.equal(self.anchors[:, 0], self.x):
            found = torch.maximum(found, self._closed_form())  # the same plane: they differ by rounding
        return PlaneRadius(found, self._worst(gradient, slope, budgets).view_as(self.x))

    def _deployed_error(self) -> DeployedError:
        if self.rounding is not None:
            return self.rounding.deployed_error(self.x, self.threat)
        zero = self.x.new_zeros(len(self.x))
        return DeployedError(zero, 0.0, zero + math.inf)

    def _gradient_error(self, gradient: Tensor, slack: float) -> Tensor:
        """Bound on the error of an average of computed gradients: (n, d) or (d,)."""
        if self.rounding is None:
            return slack * gradient.abs()
        return (1.0 + slack) * self.rounding.gradient_error.flatten() + 2.0 * slack * self.rounding.slope.flatten()

    def _drops(self, gradient: Tensor, slack: float) -> tuple[Drops, Tensor, Tensor]:
        slope = self.pieces.falls(gradient)
        error = self.pieces.uncertainty(gradient, self._gradient_error(gradient, slack))
        return self.pieces.drops(slope, error, self._flat, self._low, self._high, self._cost), slope, error

    def _closed_form(self) -> Tensor:
        """The closed form of the first cut, whose anchor is the input: (n,)."""
        margin, size = self.value[:, 0], self._gradient[:, 0].abs()
        if self.rounding is not None:
            size = size + self.rounding.gradient_error.flatten()
        slope = slope_bound(self.model, size, self.threat)
        return closed_form_radius(self.rounding, self.threat, self.x, margin, slope, margin)

    def _farthest(self, amount: Tensor, slope: Tensor, error: Tensor, low: Tensor, rate: float) -> Tensor:
        """l_inf: the largest radius at which the drops, concave or not, stay below the amount; at least `low`."""
        corner = (torch.maximum(-self._low, self._high) * self._cost).amax(1)
        high = torch.where(corner.isfinite(), corner, low.clamp(max=1e150) * 4.0)
        slack = 1.0 + 4.0 * (self._flat.shape[1] + 16) * UNIT
        whole = self._total_drop(corner, slope, error) * slack
        out_of_reach = (whole < amount) & (rate == 0.0)
        low = low.clamp(max=1e300)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            fits = self._total_drop(middle, slope, error) * slack + rate * middle * slack < amount
            low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
        return torch.where(out_of_reach, math.inf, low)

    def _total_drop(self, size: Tensor, slope: Tensor, error: Tensor) -> Tensor:
        """Greatest fall of the plane when every coordinate may cost up to `size` (n,), rounded up: (n,)."""
        room = size[:, None] / self._cost * (1.0 + 8 * UNIT)
        low, high = torch.maximum(self._low, -room), torch.minimum(self._high, room)
        drops = self.pieces.drops(slope, error, self._flat, low, high, self._cost)
        return torch.where(drops.ray.amax(1) > 0, math.inf, drops.drop.amax(0).clamp(min=0.0).sum(1))

    def _worst(self, gradient: Tensor, slope: Tensor, budgets: Tensor) -> Tensor:
        """The change within budgets (n, d) that lowers the plane most, coordinate by coordinate: (n, d)."""
        room = torch.minimum(budgets / self._cost, torch.full_like(budgets, FAR))
        low, high = torch.maximum(self._low, -room), torch.minimum(self._high, room)
        if len(slope) == 1:
            return torch.where(slope[0] > 0, low, high)
        best, least = torch.zeros_like(room), torch.zeros_like(room)
        start = self.features.flatten(1)
        for change in (low, high, *(torch.clamp(knot - self._flat, low, high) for knot in self.pieces.knots)):
            moved = self.model.feature_map((self._flat + change).view_as(self.x)).flatten(1) - start
            fall = (gradient * moved).view(len(room), *self.pieces.steepest.shape).sum(1)
            best, least = torch.where(fall < least, change, best), torch.minimum(fall, least)
        return best
