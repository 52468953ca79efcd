"""Prices of the inputs' changes, from which a proof's radius follows by weak duality."""

from __future__ import annotations

import math

import numpy as np

from asymcert.proofs.checker import Claim
from asymcert.proofs.checker_network import RefusedError

STEPS = 40  # of golden-section search, each of which shortens the interval by 0.618; a sharp peak (p near 1) takes more
GREATEST = 650.0  # logarithm of a multiplier
CLOSE = 1e-11  # relative distance at which two radii are taken for one
ROUNDS = 60  # of searching the radius within which prices are sought


def best_prices(claim: Claim) -> list[tuple[np.ndarray, float]]:
    """Prices, with one of which about the largest radius follows, and the radius to expect of each; p < inf.

    No input's change is greater than the radius, and prices need to cover no greater one: the smaller the changes that
    they cover, the lower they are. The largest radius is thus the one that prices for it just give. Radii that prices
    give fall as what they cover grows, so each trial bounds that radius from both sides.
    """
    feature_map = claim.model.map
    slope = feature_map.by_input(np.abs(claim.gradient * feature_map.steepest)[None])[0] / claim.at_cost
    trial, low, high = float(claim.value / slope.sum()) if slope.any() else 1.0, 0.0, math.inf
    tried: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        found = _priced(claim, trial)
        radius = 0.0 if found is None else found[1]
        low, high = (max(low, radius), trial) if radius < trial else (trial, min(high, radius))
        if low * (1.0 + CLOSE) >= high:
            break
        tried = [*tried[-1:], (trial, radius)]
        trial = _next(low, high, tried)
    priced = [_priced(claim, trial) for trial in (low, high) if 0 < trial < math.inf]
    return [(found[0], min(found[1], high)) for found in priced if found is not None]


def _next(low: float, high: float, tried: list[tuple[float, float]]) -> float:
    """The next radius to try: four times farther while one side is open, then by the secant of logarithms."""
    if math.isinf(high):
        return 4.0 * low
    if low == 0:
        return high / 4.0
    middle = math.sqrt(low) * math.sqrt(high)
    if len(tried) < 2 or not all(0 < radius < math.inf for _, radius in tried):
        return middle
    (left, at_left), (right, at_right) = ((math.log(trial), math.log(radius)) for trial, radius in tried)
    slope = (at_right - at_left) / (right - left) if right != left else 1.0
    root = right + (at_right - right) / (1.0 - slope) if slope < 1 else math.nan
    return math.exp(root) if math.log(low) < root < math.log(high) else middle


def _priced(claim: Claim, trial: float) -> tuple[np.ndarray, float] | None:
    """Prices against changes of at most `trial` of each input, and their radius; None where errors are too great."""
    try:
        _, _, budget, fall = claim.vertices(trial)
        margin = float(claim.value - claim.rounding(trial))
    except (RefusedError, FloatingPointError):
        return None
    if margin <= 0:
        return None
    with np.errstate(all="ignore"):
        search = PriceSearch(
            claim.measured, trial, margin, budget.reshape(len(budget), -1), fall.reshape(len(fall), -1)
        )
        price, radius = search.best()
    return price.reshape(claim.at.shape), radius


class PriceSearch:
    """Golden-section search for prices: the radius has a single peak over the multiplier that they come from.

    Parameters
    ----------
    norm, radius, margin
        p < inf, about the radius, and the fall that it takes.
    budget, fall
        (j, d): points of each input's fall against what is spent.
    """

    def __init__(self, norm: float, radius: float, margin: float, budget: np.ndarray, fall: np.ndarray):
        self.norm, self.radius, self.margin, self.budget, self.fall = norm, radius, margin, budget, fall
        budget, fall = np.vstack((0 * budget[:1], budget)), np.vstack((0 * fall[:1], fall))
        first, second = np.triu_indices(len(budget), 1)
        slopes = (fall[first] - fall[second]) / (budget[first] - budget[second])
        self.slopes = np.where(np.isfinite(slopes) & (slopes > 0), slopes, 0.0)

    def best(self) -> tuple[np.ndarray, float]:
        """Prices (d,) and their radius."""
        top = float(self.slopes.max())
        if top == 0:
            return np.zeros(self.budget.shape[1]), math.inf
        room = 0.0 if self.norm == 1 else math.log(self.budget.shape[1]) + (self.norm - 1.0) * math.log(8.0)
        left, right = math.log(top) - 40.0, min(math.log(top) + room, GREATEST)
        sharp = STEPS if self.norm == 1 else int(2.1 * math.log(max(1.0, 1.0 / (self.norm - 1.0))))
        ratio = (math.sqrt(5.0) - 1.0) / 2.0
        inner = [right - ratio * (right - left), left + ratio * (right - left)]
        radii = [self.of(point)[1] for point in inner]
        for _ in range(STEPS + sharp):
            if radii[0] >= radii[1] and radii[0] > 0:  # ties lie above the greatest slope, where prices stay
                right, inner[1], radii[1] = inner[1], inner[0], radii[0]
                inner[0] = right - ratio * (right - left)
                radii[0] = self.of(inner[0])[1]
            else:
                left, inner[0], radii[0] = inner[0], inner[1], radii[1]
                inner[1] = left + ratio * (right - left)
                radii[1] = self.of(inner[1])[1]
        return self.of(inner[radii[1] > radii[0]])

    def of(self, exponent: float) -> tuple[np.ndarray, float]:
        """Prices that come from the multiplier e^exponent, and their radius (negative if they are too low)."""
        price = self._price(math.exp(exponent))
        excess = self._excess(price[None])[0].sum()
        dual = math.inf if self.norm == 1 else self.norm / (self.norm - 1.0)
        top = price.max()
        return price, float(
            (self.margin - excess) / (top * np.linalg.norm(price / top, dual)) if top > 0 else -math.inf
        )

    def _excess(self, prices: np.ndarray) -> np.ndarray:
        """Greatest fall less its price, (c, d)."""
        return np.maximum((self.fall - prices[:, None] * self.budget).max(1), 0.0)

    def _price(self, multiplier: float) -> np.ndarray:
        """The price of each input that makes ``excess(price) + conjugate(price)`` least.

        That of ``multiplier * radius / p * (t / radius)^p``. The least value lies at a slope between two points of the
        fall, or where a point of it has the price as its derivative.
        """
        if self.norm == 1:
            return np.full(self.budget.shape[1], multiplier)
        power = self.norm - 1.0
        at_points = multiplier * (self.budget / self.radius) ** power
        candidates = np.vstack((self.slopes, at_points, 0 * at_points[:1]))
        spent = self.radius * (candidates / multiplier) ** (1.0 / power)
        value = self._excess(candidates) + np.where(candidates > 0, candidates * spent, 0.0) * (power / self.norm)
        chosen = np.where(np.isfinite(value), value, math.inf).argmin(0)
        return np.take_along_axis(candidates, chosen[None], 0)[0]
