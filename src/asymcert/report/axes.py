"""Axes of sizes and radii: where they end, where their ticks and bins are, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asymcert.report.series import WORD_COUNTS, Series, largest_radius
from asymcert.threats.model import WORDS

BEYOND = 1.04  # of the largest radius, that an axis ends at
AROUND = 0.25  # beside the first and the last count, so that their marks are whole
MOST_BINS = 30
MOST_TICKS = 20  # where every count has one


def are_counts(panel: Sequence[Series]) -> bool:
    """Whether the sizes of all series are whole numbers."""
    return all(each.whole for each in panel)


def last_size(panel: Sequence[Series]) -> float:
    """The size that curves are drawn to: of counts the first that no finite radius reaches."""
    largest = largest_radius(panel)
    if not are_counts(panel):
        return BEYOND * largest
    return min(largest + 1, WORD_COUNTS[-1]) if panel[0].unit == WORDS else largest + 1


def ends(panel: Sequence[Series], last: float) -> tuple[float, float]:
    """Ends of an axis of sizes up to `last`."""
    return (-AROUND, float(np.floor(last)) + AROUND) if are_counts(panel) else (0.0, last)


def size_title(panel: Sequence[Series]) -> str:
    """What an axis of sizes is called."""
    unit = panel[0].unit
    return f"Size of the change, at most so many {unit}" if are_counts(panel) else f"Size of the change, {unit}"


def radius_bins(panel: Sequence[Series]) -> NDArray[np.float64]:
    """Edges of a histogram over a panel's radii; Rice's rule, 2 n^(1/3) bins, between 8 and 30.

    Counts lie in the middle of bins, one in each or an equal number of them.
    """
    largest = largest_radius(panel)
    if are_counts(panel):
        width = float(np.ceil(largest / MOST_BINS))
        return 0.5 + width * np.arange(np.ceil(largest / width) + 1)
    count = max(len(series.radii) for series in panel)
    return np.linspace(0.0, largest, 1 + int(np.clip(np.ceil(2 * count ** (1 / 3)), 8, MOST_BINS)))


def bin_names(panel: Sequence[Series], edges: NDArray[np.float64]) -> list[str]:
    """What the bins are called."""
    if not are_counts(panel):
        return [f"from {edge:.4g}" for edge in edges[:-1]]
    firsts, lasts = np.ceil(edges[:-1]), np.floor(edges[1:])
    pairs = zip(firsts, lasts, strict=True)
    return [f"{first:g}" if first == last else f"{first:g} to {last:g}" for first, last in pairs]
