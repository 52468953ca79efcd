"""Fronts of balanced accuracy against certified radius: the points that a method is run at, and their intervals.

A point is a trained model at one threshold, with one certifier, in one norm. A method's front at an accuracy is the
greatest median radius among its points that reach it: a step function, without interpolation between points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import polars as pl

from asymcert.compare.run import Result
from asymcert.compare.table_methods import COLUMNS
from asymcert.evaluate.curves import CONFIDENCE, round_sizes
from asymcert.evaluate.detection import Estimate, Floats, Labels, Times, once, resampled

RESAMPLES = 1000
SIZES = 3  # radii at which certified accuracies are told


@dataclass(frozen=True, eq=False)
class Point:
    """One operating point in one norm, sample by sample.

    Parameters
    ----------
    result
        What it is of.
    norm
        That radii are measured in.
    rows
        Evaluation rows of the first n test samples, sorted by index.
    """

    result: Result
    norm: float
    rows: pl.DataFrame

    @property
    def contender(self) -> str:
        """Whose front it is on: a method, or a certifier that was run on a part of the samples."""
        method, curve = self.result.method, self.result.curve
        return method.label if curve.whole else f"{curve.label} ({len(self.rows)} samples)"

    @property
    def ours(self) -> bool:
        """Whether it is of a feature-convex classifier."""
        return self.result.method.ours

    @cached_property
    def sensitive(self) -> Labels:
        """Labels (n,)."""
        return self.rows["label"].to_numpy()

    @cached_property
    def right(self) -> Labels:
        """Verdicts (n,) that are given and right."""
        return self.rows.select((pl.col("prediction") == pl.col("label")) & ~pl.col("abstained")).to_series().to_numpy()

    @cached_property
    def radii(self) -> Floats:
        """Of the sensitive samples (n1,); 0 where the verdict is wrong or withheld."""
        return (
            self.rows.filter("label").select(pl.when("prediction").then("radius").otherwise(0.0)).to_series().to_numpy()
        )

    def first(self, count: int) -> Point:
        """The same on the first samples only."""
        return replace(self, rows=self.rows.head(count))

    def accuracies(self, times: Times) -> Floats:
        """Balanced accuracy (b,) of samples that are drawn so often, see `resampled`."""
        of_sensitive, of_other = self.right[self.sensitive], self.right[~self.sensitive]
        return (times[0] @ of_sensitive / len(of_sensitive) + times[1] @ of_other / len(of_other)) / 2

    def medians(self, times: Times) -> Floats:
        """Median radius (b,) of the sensitive class; of numbers of columns the smaller of the two in the middle."""
        order, count = np.argsort(self.radii, kind="stable"), len(self.radii)
        upto, ordered = times[0][:, order].cumsum(axis=1), self.radii[order]
        low, high = (ordered[(upto <= place).sum(axis=1)] for place in ((count - 1) // 2, count // 2))
        return low if self.norm == COLUMNS else (low + high) / 2

    def certified(self, size: float, times: Times) -> Floats:
        """Share (b,) of the sensitive class that is called so under any change of a size."""
        kept = self.radii >= size if self.norm == COLUMNS and size else self.radii > size
        return times[0] @ kept / len(kept)

    def caught(self, times: Times) -> Floats:
        """Share (b,) of the sensitive class that is called so without any change."""
        of_sensitive = self.right[self.sensitive]
        return times[0] @ of_sensitive / len(of_sensitive)

    @cached_property
    def accuracy(self) -> float:
        """Balanced accuracy."""
        return float(self.accuracies(once(self.sensitive))[0])

    @cached_property
    def radius(self) -> float:
        """Median radius of the sensitive class."""
        return float(self.medians(once(self.sensitive))[0])

    @cached_property
    def accuracy_estimate(self) -> Estimate:
        """Balanced accuracy with its interval."""
        return self.estimate(self.accuracies)

    @cached_property
    def radius_estimate(self) -> Estimate:
        """Median radius of the sensitive class with its interval."""
        return self.estimate(self.medians)

    def certified_estimate(self, size: float) -> Estimate:
        """Certified accuracy of the sensitive class at a radius with its interval."""
        return self.estimate(lambda times: self.certified(size, times))

    def estimate(self, figure: Callable[[Times], Floats]) -> Estimate:
        """One of its figures, such as `medians`, with its interval."""
        return bootstrap(self.sensitive, figure)


def points_of(results: Sequence[Result]) -> dict[float, list[Point]]:
    """All points by norm, norms ascending, in the order of the results."""
    points = [
        Point(result, rows["norm"][0], rows.sort("index"))
        for result in results
        for rows in result.rows.partition_by("norm", maintain_order=True)
    ]
    return {norm: [each for each in points if each.norm == norm] for norm in sorted({each.norm for each in points})}


def by_contender(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Points by whose front they are on, in their order."""
    names = dict.fromkeys(point.contender for point in points)
    return {name: [point for point in points if point.contender == name] for name in names}


def best(points: Sequence[Point], level: float) -> Point | None:
    """The point of the greatest radius among those of at least that balanced accuracy; None where there is none."""
    return max((point for point in points if point.accuracy >= level), key=lambda point: point.radius, default=None)


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in one of accuracy and radius without losing in the other, accuracies ascending.

    Radii fall along it; of equal points the first is taken.
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (-point.accuracy, -point.radius)):
        if not kept or point.radius > kept[-1].radius:
            kept.append(point)
    return kept[::-1]


def told_sizes(points: Sequence[Point]) -> list[float]:
    """Round radii at which certified accuracies of one norm are told, from those of the points on fronts."""
    along = [point.radii for own in by_contender(points).values() for point in front(own)]
    return round_sizes(np.concatenate(along))[1 : 1 + SIZES]


def bootstrap(sensitive: Labels, figure: Callable[[Times], Floats]) -> Estimate:
    """A figure of labelled samples with the percentile interval of a bootstrap by class.

    Parameters
    ----------
    sensitive
        Bool (n,), the labels.
    figure
        From how often each sample is drawn, see `resampled`, to (b,) values. All figures of the same labels see the
        same draws, so that they can be compared.
    """
    value = float(figure(once(sensitive))[0])
    drawn = np.sort(np.concatenate([figure(times) for times in _draws(sensitive.tobytes())]))
    tail = int((1.0 - CONFIDENCE) / 2.0 * len(drawn))
    return Estimate(value, float(drawn[tail]), float(drawn[-1 - tail]))


@lru_cache(maxsize=8)  # one for each number of samples
def _draws(sensitive: bytes) -> list[Times]:
    return list(resampled(np.frombuffer(sensitive, dtype=np.bool_), RESAMPLES, 0))
