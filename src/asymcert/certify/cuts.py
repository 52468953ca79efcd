"""Tangent planes of a classifier's margin, and the radius that any average of them proves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from asymcert._floats import UNIT, UP, dual_exponent, up
from asymcert.certify.budgets import radius, solve
from asymcert.certify.closed_form import closed_form_radius, slope_bound, tangent_plane
from asymcert.certify.columns import ColumnDrops
from asymcert.certify.coordinates import FAR
from asymcert.certify.drops import Drops
from asymcert.certify.planes import Planes
from asymcert.certify.rounding import DeployedError
from asymcert.certify.sizes import FixedSize, last_below
from asymcert.certify.words import WordDrops
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel

TIGHTENINGS = 120  # at most; mostly about six, but where the answer jumps each third only halves a bracket


@dataclass(frozen=True)
class PlaneRadius:
    """What one plane per sample proves.

    `radius` (n,) is valid and rounded down. `change` (n, *input_shape) is the adversary's best answer to the plane, of
    about that size (where the radius is infinite: the far end of the box).
    """

    radius: Tensor
    change: Tensor


@dataclass(frozen=True)
class _Plane:
    """One aggregated plane per sample: lower bound on its margin, derivatives on the map's pieces and their error."""

    amount: Tensor  # (n,)
    slope: Tensor  # (pieces, n, d)
    error: Tensor  # (pieces, n, d)


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
        self.coordinates = planes.coordinates
        self.x, self.threat = x.to(self.model.device, torch.float64), threat
        self.features = self.model.feature_map(self.x)
        planes.check(threat)
        self._least, self._greatest = threat.interval(self.x)
        self._low, self._high = self.coordinates.interval(self._least, self._greatest)
        self._at = self.coordinates.of(self.x)
        self._input_cost = threat.cost_for(self.model.input_shape).to(self.x)
        self._cost = self.coordinates.cost(self._input_cost, threat.norm)
        self._norm = self.coordinates.norm(threat.norm)
        n, features = len(self.x), self.features.flatten(1).shape[1]
        self.value = self.x.new_empty(n, 0)
        self.error = self.x.new_empty(n, 0)
        self._gradient = self.x.new_empty(n, 0, features)
        self.anchors = self.x.new_empty(n, 0, *self.model.input_shape)
        self._deployed = self._deployed_error()
        self.columns = threat.columns(self.model.input_shape).to(self.x.device) if threat.norm == 0 else None

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

    def radius(self, weights: Tensor, tightenings: int = TIGHTENINGS) -> PlaneRadius:
        """Radius that the average of the cuts proves, for nonnegative weights (n, K) that sum to 1 in each row.

        Valid with fewer `tightenings` too, but perhaps not the greatest. Never below the closed form of the same
        plane. The change can be made coordinate by coordinate; where
        drops are not concave it may spend less than the radius.
        """
        plane = self._average(weights)
        if self.threat.norm == 0:
            return self._counted(plane)
        found, budgets = self._within(plane, slice(None))
        if len(self.pieces.knots) and math.isinf(self._norm):
            found = self._farthest(plane, found, tightenings)
            budgets = found.clamp(max=FAR)[:, None].expand_as(budgets)
        elif len(self.pieces.knots):
            found, budgets = self._tighten(plane, found, budgets, tightenings)
        found = torch.minimum(torch.where(plane.amount > 0, found, 0.0), self._deployed.limit)
        if weights.shape[1] == 1 and torch.equal(self.anchors[:, 0], self.x):
            found = torch.maximum(found, self._closed_form())  # the same plane: they differ by rounding
        return PlaneRadius(found, self._worst(plane.slope, budgets))

    def column_drops(self, weights: Tensor) -> tuple[ColumnDrops, Tensor]:
        """What the average of the cuts loses by each column, and the amount (n,) that it must not lose in all."""
        plane = self._average(weights)
        return self._drops_by_column(plane), plane.amount

    def _average(self, weights: Tensor) -> _Plane:
        total = weights.sum(1)
        amount = ((self.value - self.error) * weights).sum(1)
        gradient = torch.einsum("nkd,nk->nd", self._gradient, weights)
        # Averaging rounds: K + 1 roundings of the terms, and weights whose sum is off by a few units of 2^-53.
        slack = (4.0 * weights.shape[1] + 16.0) * UNIT
        amount = amount - slack * (self.value.abs() * weights).sum(1) - self._deployed.fixed * total * (1 + slack)
        slope = self.pieces.falls(gradient)
        error = self.pieces.uncertainty(gradient, self._gradient_error(gradient, slack))
        if len(self.pieces.knots):
            amount = amount - self.pieces.misplaced(slope, error, self.coordinates.blur(self.x))
        amount = torch.where(amount > 0, amount, 0.0).nan_to_num(0.0, 0.0, 0.0)
        return _Plane(amount, *self.coordinates.slopes(slope, error))

    def _drops_by_column(self, plane: _Plane) -> ColumnDrops:
        columns = self.columns
        assert columns is not None
        return ColumnDrops.of(self.pieces, columns, plane.slope, plane.error, self._at, self._low, self._high)

    def _counted(self, plane: _Plane) -> PlaneRadius:
        """Where columns or words are counted; the change is that of the adversary's best answer."""
        edits = self.threat.edits
        if edits is None:
            drops = self._drops_by_column(plane)
        else:
            drops = WordDrops.of(self.pieces, edits, plane.slope, plane.error, self._at)
        found = torch.minimum(drops.radius(plane.amount), self._deployed.limit)
        change = drops.answer(drops.needed(plane.amount)).clamp(-FAR, FAR)
        return PlaneRadius(found, change.view_as(self.x))

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

    def _closed_form(self) -> Tensor:
        """The closed form of the first cut, whose anchor is the input: (n,)."""
        margin, size = self.value[:, 0], self._gradient[:, 0].abs()
        if self.rounding is not None:
            size = size + self.rounding.gradient_error.flatten()
        slope = slope_bound(self.model, size, self.threat)
        return closed_form_radius(self.rounding, self.threat, self.x, margin, slope, margin)

    def _within(self, plane: _Plane, rows: Tensor | slice, size: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Radius of some rows' planes and budgets that attain it, if no coordinate may cost more than `size`."""
        low, high = self._room(rows, size)
        amount = plane.amount[rows]
        drops = self._drops(plane, rows, low, high)
        budgets, price = solve(amount, drops, self._norm)
        return radius(amount, drops, price, dual_exponent(self._norm), self._deployed.rate * UP), budgets

    def _room(self, rows: Tensor | slice, size: Tensor | None) -> tuple[Tensor, Tensor]:
        """Least and greatest change (n, d) of some rows' coordinates, if none may cost more than `size` (n,)."""
        low, high = self._low[rows], self._high[rows]
        if size is None:
            return low, high
        if self.coordinates.mixes:  # nor any input, which in l_inf is a sharper limit
            low, high = self.coordinates.interval(*self._input_room(rows, size))
        room = size[:, None] / self._cost * up(8)
        return torch.maximum(low, -room), torch.minimum(high, room)

    def _input_room(self, rows: Tensor | slice, size: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest change (n, *input_shape) of some rows' inputs, if none may cost more than `size` (n,)."""
        room = size.view(-1, *[1] * (self.x.ndim - 1)) / self._input_cost * up(8)
        return torch.maximum(self._least[rows], -room), torch.minimum(self._greatest[rows], room)

    def _drops(self, plane: _Plane, rows: Tensor | slice, low: Tensor, high: Tensor) -> Drops:
        slope, error = plane.slope[:, rows], plane.error[:, rows]
        return self.pieces.drops(slope, error, self._at[rows], low, high, self._cost)

    def _farthest(self, plane: _Plane, low: Tensor, tightenings: int) -> Tensor:
        """l_inf: the largest radius at which the drops, concave or not, stay below the amount; at least `low`."""
        corner = (torch.maximum(-self._least, self._greatest) * self._input_cost).flatten(1).amax(1)
        low = low.clamp(max=FAR)
        high = torch.where(corner.isfinite(), torch.maximum(corner, low), 4.0 * low)
        above = self._excess(plane, high)
        while bool(((above < 0) & corner.isinf() & (high < FAR) & (low > 0)).any()):
            high = torch.where(corner.isinf() & (above < 0), 4.0 * high, high)  # each row by itself
            above = self._excess(plane, high)
        never = (above < 0) & corner.isfinite() & (self._deployed.rate == 0)
        high = torch.where(plane.amount > 0, high, low)
        return torch.where(never, math.inf, last_below(partial(self._excess, plane), low, high, tightenings))

    def _excess(self, plane: _Plane, size: Tensor) -> Tensor:
        """Greatest fall of the plane when every coordinate may cost up to `size` (n,), minus the amount, rounded up."""
        drops = self._drops(plane, slice(None), *self._room(slice(None), size))
        slack = up(4.0 * (self._at.shape[1] + 16))
        return (drops.drop.amax(0).clamp(min=0.0).sum(1) + self._deployed.rate * size) * slack - plane.amount

    def _tighten(self, plane: _Plane, valid: Tensor, budgets: Tensor, tightenings: int) -> tuple[Tensor, Tensor]:
        """The greatest radius found, at least the valid one given, and its budgets.

        A change of size at most R costs at most R in every coordinate, and drops that are not concave have a smaller
        concave majorant up to R than up to the end of the box. So ``min(R, radius up to R)`` is valid for *every* R;
        the second falls as R grows, and it is greatest where both are equal. That R is bracketed.
        """
        rows = ((plane.amount > 0) & (valid < FAR)).nonzero().squeeze(1)
        search = FixedSize(valid[rows])
        for _ in range(tightenings):
            if not len(rows):
                break
            size = search.following()
            found, spent = self._within(plane, rows, size)
            better = search.take(size, found)
            valid[rows], budgets[rows] = search.low, torch.where(better[:, None], spent, budgets[rows])
            rows = rows[search.keep(FAR)]
        return valid, budgets

    def _worst(self, slope: Tensor, budgets: Tensor) -> Tensor:
        """The change within budgets (n, d) that lowers the plane most, coordinate by coordinate: (n, *input_shape)."""
        every, size = slice(None), budgets.amax(1).clamp(max=FAR)
        low, high = self._room(every, size)
        room = torch.minimum(budgets / self._cost, torch.full_like(budgets, FAR))
        change = self.pieces.worst(slope, self._at, torch.maximum(low, -room), torch.minimum(high, room))
        return self.coordinates.spread(change, *self._input_room(every, size))
