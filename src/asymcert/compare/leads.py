"""Who is ahead at which balanced accuracy, by how much, and how surely: ours against rivals on the same samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from asymcert.compare.fronts import Point, best, bootstrap, by_contender, front, points_of, told_sizes
from asymcert.compare.run import Result
from asymcert.evaluate.detection import Estimate, Floats

LEVELS = 5  # accuracies at which fronts are compared
OURS, RIVALS = "ours", "rivals"
KEPT = 64  # ratios: neighbouring accuracies are mostly of the same points
SAME = 1e-3  # radii that differ by less are told as the same: two certificates of one net differ by their rounding


@dataclass(frozen=True, eq=False)
class Lead:
    """Ours against the best rival at one accuracy, on the same samples; None who does not reach it."""

    level: float
    ours: Point | None
    rival: Point | None

    @cached_property
    def ratio(self) -> Estimate:
        """Our median radius by the rival's, with its interval.

        Infinite or 0 where only ours or the rival reaches the accuracy, NaN where none does. Both points are held fixed
        while samples are drawn, the same ones for both.
        """
        if self.ours is None or self.rival is None:
            return Estimate(*[np.nan if self.ours is self.rival else np.inf if self.ours else 0.0] * 3)
        return _ratio(self.ours, self.rival)

    @property
    def leader(self) -> str:
        """Of greater radius: `OURS` or the rival's name; empty where both have the same, see `SAME`."""
        if self.ratio.value > 1 + SAME:
            return OURS
        return self.rival.contender if self.rival and self.ratio.value < 1 / (1 + SAME) else ""

    @property
    def beyond(self) -> bool:
        """Whether the interval holds neither 1 nor what counts as the same."""
        return self.ratio.lower > 1 + SAME or self.ratio.upper < 1 / (1 + SAME)

    @property
    def alone(self) -> bool:
        """Whether one of the two does not get so far."""
        return self.ours is None or self.rival is None

    @property
    def side(self) -> str:
        """`OURS` or `RIVALS` where that leads beyond the interval, or alone; else empty."""
        return "" if not self.beyond else OURS if self.ratio.value > 1 else RIVALS


@dataclass(frozen=True, eq=False)
class Stretch:
    """Neighbouring accuracies over which the same side leads beyond the intervals with every seed, or none does.

    Parameters
    ----------
    start
        Its least accuracy.
    steps
        The comparisons of all seeds at every step of their fronts there.
    """

    start: float
    steps: Sequence[Sequence[Lead]]

    @property
    def end(self) -> float:
        """Its greatest accuracy."""
        return self.steps[-1][0].level

    @property
    def side(self) -> str:
        """`OURS`, `RIVALS`, or empty."""
        return _agreed(self.steps[0])[0]

    @property
    def alone(self) -> bool:
        """Whether with no seed both sides reach these accuracies."""
        return _agreed(self.steps[0])[1]

    @property
    def rivals(self) -> list[str]:
        """The best ones there, in turn."""
        return list(dict.fromkeys(each.rival.contender for step in self.steps for each in step if each.rival))

    @property
    def ratios(self) -> list[float]:
        """Of radii, ours by the rival's, where both get so far."""
        return [each.ratio.value for step in self.steps for each in step if not each.alone]


@dataclass(frozen=True, eq=False)
class Match:
    """Ours against some rivals on the same samples.

    Parameters
    ----------
    ours, rivals
        Points of one norm.
    levels
        Accuracies to compare at, ascending.
    """

    ours: Sequence[Point]
    rivals: Sequence[Point]
    levels: Sequence[float]

    @property
    def whom(self) -> str:
        """Whom ours is against."""
        return "the best rival" if self.rivals[0].result.curve.whole else self.rivals[0].contender

    @cached_property
    def leads(self) -> list[Lead]:
        """At each of the levels."""
        return [self.lead(level) for level in self.levels]

    def lead(self, level: float) -> Lead:
        """At one accuracy."""
        return Lead(level, best(self.ours, level), best(self.rivals, level))


@dataclass(frozen=True, eq=False)
class NormFronts:
    """The points of one norm, for each seed, and what is compared of them."""

    norm: float
    seeds: Sequence[Sequence[Point]]
    given: Sequence[float] = ()

    @cached_property
    def levels(self) -> list[float]:
        """Matched accuracies, ascending: those given, or by default some that are reached."""
        return sorted(set(self.given)) or matched_levels(self.seeds)

    @cached_property
    def sizes(self) -> list[float]:
        """Radii that certified accuracies are told at."""
        return told_sizes(self.seeds[0])

    @cached_property
    def matches(self) -> list[list[Match]]:
        """For each seed: ours against rivals run on all samples, then against each that was run on a part."""
        return [list(_matches(points, self.levels)) for points in self.seeds]


def stretches(matches: Sequence[Match]) -> list[Stretch]:
    """Who leads where between the first and the last level, with all seeds: every step of any front is looked at."""
    low, high = matches[0].levels[0], matches[0].levels[-1]
    fronts = [front(own) for each in matches for own in (each.ours, each.rivals)]
    steps = {point.accuracy for along in fronts for point in along if low <= point.accuracy < high}
    leads = [[each.lead(level) for each in matches] for level in sorted({*steps, high})]
    reached = [step for step in leads if all(each.ours or each.rival for each in step)]
    found: list[Stretch] = []
    for _, same in itertools.groupby(reached, key=_agreed):
        found.append(Stretch(found[-1].end if found else low, list(same)))
    return found


def _agreed(leads: Sequence[Lead]) -> tuple[str, bool]:
    """Which side leads with every seed, and whether none of the seeds has both."""
    sides = {each.side for each in leads}
    return sides.pop() if len(sides) == 1 else "", all(each.alone for each in leads)


def matched_levels(seeds: Sequence[Sequence[Point]], count: int = LEVELS) -> list[float]:
    """Accuracies to compare at, ascending: where points of the fronts are dense, as far as two contenders reach.

    Contenders that were run on a part of the samples have no say unless there are no others.

    Parameters
    ----------
    seeds
        Points of one norm, for each seed.
    count
        How many at most: quantiles of the accuracies of all fronts' points, rounded down to 0.1 %.
    """
    contenders = [list(by_contender(points).values()) for points in seeds]
    whole = [[own for own in each if own[0].result.curve.whole] or each for each in contenders]
    fronts = [[front(own) for own in each] for each in whole]
    reached = [sorted((own[-1].accuracy for own in each), reverse=True)[:2][-1] for each in fronts]
    along = [point.accuracy for each in fronts for own in each for point in own if point.accuracy <= min(reached)]
    found = np.quantile(along or [min(reached)], np.linspace(0.1, 1.0, count), method="lower")
    return sorted({float(np.floor(1000 * level + 1e-9) / 1000) for level in found})


def fronts_of(seeds: Sequence[Sequence[Result]], levels: Sequence[float] = ()) -> list[NormFronts]:
    """What the results of each seed make, norms ascending, compared at some accuracies."""
    points = [points_of(results) for results in seeds]
    return [NormFronts(norm, [each[norm] for each in points], levels) for norm in points[0]]


def _matches(points: Sequence[Point], levels: Sequence[float]) -> Iterator[Match]:
    ours = [point for point in points if point.ours and point.result.curve.whole]
    rivals = [own for own in by_contender(points).values() if not own[0].ours]
    whole = [point for own in rivals for point in own if point.result.curve.whole]
    if ours and whole:
        yield Match(ours, whole, levels)
    for own in rivals if ours else []:
        if not own[0].result.curve.whole:
            yield Match([point.first(len(own[0].rows)) for point in ours], own, levels)


@lru_cache(maxsize=KEPT)
def _ratio(ours: Point, rival: Point) -> Estimate:
    """Of median radii, with its interval."""
    return bootstrap(ours.sensitive, lambda times: _quotient(ours.medians(times), rival.medians(times)))


def _quotient(first: Floats, second: Floats) -> Floats:
    """Quotients (b,), 1 where both are 0 or both infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(first == second, 1.0, first / second)
