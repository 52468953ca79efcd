"""Prices of the inputs' changes, from which a proof's radius follows by weak duality."""

from __future__ import annotations

import math

import numpy as np

from asymcert.certify.checker import Claim
from asymcert.certify.checker_network import RefusedError

STEPS, FEWER = 80, 30  # of golden-section search, in the end and on the way; each shortens the interval by 0.618
CLOSE = 1e-3  # relative distance at which two radii within which prices are sought are taken for one
ROUNDS = 60  # of growing or shrinking that radius


def best_prices(claim: Claim) -> list[tuple[np.ndarray, float]]:
    """Prices, with one of which about the largest radius follows, and the radius to expect of each; p < inf.

    No input's change is greater than the radius, and prices need to cover no greater one: the smaller the changes that
    they cover, the lower they are. The largest radius is thus the one that prices for it just give.
    """
    slope = np.abs(claim.gradient).reshape(-1, *claim.x.shape).sum(0) / claim.cost
    trial, low, high = float(claim.value / slope.sum()) if slope.any() else 1.0, 0.0, math.inf
    for _ in range(ROUNDS):
        found = _priced(claim, trial, FEWER)
        radius = 0.0 if found is None else found[1]
        low, high = (max(low, radius), trial) if radius < trial else (trial, high)
        if low * (1.0 + 2.0 * CLOSE) >= high:
            break
        trial = low * (1.0 + CLOSE) if 0 < radius < trial else _between(low, high)
    priced = [_priced(claim, trial, STEPS) for trial in (low, high) if 0 < trial < math.inf]
    return [(found[0], min(found[1], high)) for found in priced if found is not None]


def _between(low: float, high: float) -> float:
    """The next radius to try: four times farther while one side is open."""
    if math.isinf(high):
        return 4.0 * low
    return high / 4.0 if low == 0 else math.sqrt(low * high)


def _priced(claim: Claim, trial: float, steps: int) -> tuple[np.ndarray, float] | None:
    """Prices against changes of at most `trial` of each input, and their radius; None where errors are too great."""
    try:
        least, greatest, budget, fall = claim.vertices(trial)
        margin = float(claim.value - claim.rounding(trial, least, greatest))
    except (RefusedError, FloatingPointError):
        return None
    if margin <= 0:
        return None
    with np.errstate(all="ignore"):
        search = PriceSearch(claim.norm, trial, margin, budget.reshape(len(budget), -1), fall.reshape(len(fall), -1))
        price, radius = search.best(steps)
    return price.reshape(claim.x.shape), radius


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

    def best(self, steps: int) -> tuple[np.ndarray, float]:
        """Prices (d,) and their radius, after so many steps."""
        top = float(self.slopes.max())
        if top == 0:
            return np.zeros(self.budget.shape[1]), math.inf
        room = 0.0 if self.norm == 1 else math.log(self.budget.shape[1]) + (self.norm - 1.0) * math.log(8.0)
        left, right = math.log(top) - 40.0, math.log(top) + room
        ratio = (math.sqrt(5.0) - 1.0) / 2.0
        inner = [right - ratio * (right - left), left + ratio * (right - left)]
        radii = [self.of(point)[1] for point in inner]
        for _ in range(steps):
            if radii[0] >= radii[1]:  # above the greatest slope prices no longer change: ties lie there
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
        return price, float((self.margin - excess) / np.linalg.norm(price, self._dual()))

    def _dual(self) -> float:
        return math.inf if self.norm == 1 else self.norm / (self.norm - 1.0)

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
