"""How good a detector is, over all thresholds and at its own: the field's figures, with bootstrap intervals.

Everything here is made of two counts for each distinct score, of sensitive and of harmless samples. A resample is
other counts, so that many are judged at once, and the same one by several detectors; scikit-learn's metrics, which the
tests hold these to, take them one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from asymcert._checks import check_count, check_number, refuse
from asymcert.evaluate.curves import CONFIDENCE, binomial_interval
from asymcert.evaluate.formatting import ceil_percent, floor_percent, interval_text

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Labels = NDArray[np.bool_]
Times = tuple[Counts, ...]  # how often sensitive and harmless samples are drawn, (b, n1) and (b, n0)
RATES = (0.01, 0.001)  # of false alarms, at which the share caught is told
RESAMPLES = 500
BLOCK_VALUES = 2**21  # counts in memory at a time
BINS = 10  # of a calibration curve
WORSE = ("false_positive_rate", "brier")  # the greater
TITLES = {
    "roc_auc": "area under the ROC curve",
    "average_precision": "average precision",
    **{f"tpr_at_fpr_{rate:g}": f"caught at {100 * rate:g} % false alarms" for rate in RATES},
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "caught",
    "f1": "F1",
    "false_positive_rate": "false alarms",
    "brier": "Brier score",
}


class Estimate(NamedTuple):
    """A figure and the ends of its interval; NaN where it has no value."""

    value: float
    lower: float
    upper: float


def detection(
    sensitive: Labels,
    margin: Floats,
    rates: Sequence[float] = RATES,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, Estimate]:
    """The figures of a detector that calls a sample sensitive where its margin is positive.

    Parameters
    ----------
    sensitive
        Bool (n,), the labels; both classes must be there.
    margin
        Float64 (n,), finite: score minus threshold.
    rates
        Rates of false alarms in [0, 1] that the share caught is told at.
    resamples
        Of the bootstrap, which draws from either class as many samples as it has.
    confidence
        Coverage of the percentile intervals.
    seed
        Of the draws.

    Returns
    -------
    dict
        ``roc_auc``; ``average_precision``; for each of `rates` such as 0.01 ``tpr_at_fpr_0.01``, the greatest share of
        sensitive samples caught by any threshold with at most that share of false alarms, NaN where the harmless
        samples are too few to show the rate; at the detector's own threshold ``accuracy``, ``precision`` (0 without
        an alarm), ``recall``, ``f1`` and ``false_positive_rate``; and ``brier``, of `probability`.

    Raises
    ------
    InputError
        A class is absent, the shapes differ, a margin is not finite, or an option is out of range.

    Examples
    --------
    >>> found = detection(np.array([False, False, True, True]), np.array([-2.0, 1.0, 0.5, 3.0]))
    >>> found["roc_auc"].value, found["recall"].value, found["tpr_at_fpr_0.01"].value
    (0.75, 1.0, nan)
    """
    _check(sensitive, margin)
    check_count("resamples", resamples)
    check_number("confidence", confidence, 0.0, np.nextafter(1.0, 0.0), open_low=True)
    for rate in rates:
        check_number("rates", rate, 0.0, 1.0)
    values = _figures(*_at_scores(sensitive, margin, once(sensitive)), rates)
    drawn = [_figures(*_at_scores(sensitive, margin, times), rates) for times in resampled(sensitive, resamples, seed)]
    tails = [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]
    found = {}
    for name, value in values.items():
        ends = np.quantile(np.concatenate([part[name] for part in drawn]), tails)
        found[name] = Estimate(float(value[0]), float(ends[0]), float(ends[1]))
    return found


def is_shown(rate: float, harmless: int) -> bool:
    """Whether so many harmless samples suffice to show a rate of false alarms: one of them is no greater share."""
    return rate * harmless >= 1 - 1e-9


def probability(margin: Floats) -> Floats:
    """Margins read as log-odds, as `predict_proba` of the estimators does."""
    return expit(margin)


def confusion(sensitive: Labels, alarm: Labels) -> dict[str, int]:
    """Counts by label and verdict: ``caught``, ``missed``, ``false_alarms``, ``passed``."""
    return {
        "caught": int((sensitive & alarm).sum()),
        "missed": int((sensitive & ~alarm).sum()),
        "false_alarms": int((~sensitive & alarm).sum()),
        "passed": int((~sensitive & ~alarm).sum()),
    }


def calibration(sensitive: Labels, margin: Floats, bins: int = BINS) -> pl.DataFrame:
    """Shares that are sensitive among samples of like `probability`, in bins of like size.

    Returns
    -------
    polars.DataFrame
        Columns ``count``, ``predicted`` (the bin's mean probability), ``observed`` (its share of sensitive samples),
        ``lower``, ``upper`` (exact intervals of that share).

    Raises
    ------
    InputError
        As for `detection`.
    """
    _check(sensitive, margin)
    predicted = probability(margin)
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)))
    place = np.searchsorted(edges[1:-1], predicted, side="left")
    count = np.bincount(place)
    caught = np.bincount(place, weights=sensitive).astype(np.int64)
    ends = [binomial_interval(np.array([k]), int(n)) for k, n in zip(caught, count, strict=True) if n]
    used = count > 0
    return pl.DataFrame(
        {
            "count": count[used],
            "predicted": (np.bincount(place, weights=predicted) / np.maximum(count, 1))[used],
            "observed": caught[used] / count[used],
            "lower": [float(lower[0]) for lower, _ in ends],
            "upper": [float(upper[0]) for _, upper in ends],
        }
    )


def figure_text(name: str, estimate: Estimate) -> str:
    """A figure of `detection` with its interval in percent, what is bad rounded up."""
    return interval_text(estimate, ceil_percent if name in WORSE else floor_percent)


def once(sensitive: Labels) -> Times:
    """The samples themselves, as a resample: each sensitive and each harmless one is drawn once."""
    return tuple(np.ones((1, int(own.sum())), np.int64) for own in (sensitive, ~sensitive))


def resampled(sensitive: Labels, resamples: int, seed: int) -> Iterator[Times]:
    """A bootstrap that draws from either class as many samples as it has.

    Parameters
    ----------
    sensitive
        Bool (n,), the labels.
    resamples
        How many.
    seed
        Of the draws.

    Yields
    ------
    tuple
        How often each sensitive and each harmless sample is drawn, int64 (b, n1) and (b, n0), in blocks of bounded
        memory.
    """
    draws, step = np.random.default_rng(seed), max(1, BLOCK_VALUES // len(sensitive))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        yield _drawn(int(sensitive.sum()), size, draws), _drawn(int((~sensitive).sum()), size, draws)


def ranking(sensitive: Labels, margin: Floats, times: Times, rates: Sequence[float] = RATES) -> dict[str, Floats]:
    """The figures of `detection` over all thresholds, each (b,), of samples that are drawn so many times."""
    return _over_all(*_at_scores(sensitive, margin, times)[1:], rates)


def _over_all(caught: Counts, alarms: Counts, rates: Sequence[float]) -> dict[str, Floats]:
    """From numbers of sensitive and of harmless samples at each distinct score, (b, G), descending."""
    hits, false = caught.cumsum(axis=1), alarms.cumsum(axis=1)  # with a threshold just below each score
    most_hits, most_false = hits[:, -1], false[:, -1]
    precise = hits / np.maximum(hits + false, 1)
    found = {
        "roc_auc": ((hits - caught / 2) * alarms).sum(axis=1) / (most_hits * most_false),
        "average_precision": (caught * precise).sum(axis=1) / most_hits,
    }
    for rate in rates:
        allowed = false <= rate * most_false[:, None] + 1e-9
        most = np.where(allowed, hits, 0).max(axis=1) / most_hits
        found[f"tpr_at_fpr_{rate:g}"] = most if is_shown(rate, most_false[0]) else np.full(len(hits), np.nan)
    return found


def _figures(scores: Floats, caught: Counts, alarms: Counts, rates: Sequence[float]) -> dict[str, Floats]:
    """Figures (b,), those at the detector's own threshold too; arguments as of `_over_all`, and the scores (G,)."""
    own = scores > 0.0
    most_hits, most_false = caught.sum(axis=1), alarms.sum(axis=1)
    hit, wrong = caught[:, own].sum(axis=1), alarms[:, own].sum(axis=1)
    likely = probability(scores)
    return _over_all(caught, alarms, rates) | {
        "accuracy": (hit + most_false - wrong) / (most_hits + most_false),
        "precision": hit / np.maximum(hit + wrong, 1),
        "recall": hit / most_hits,
        "f1": 2 * hit / (hit + wrong + most_hits),
        "false_positive_rate": wrong / most_false,
        "brier": (caught @ (1 - likely) ** 2 + alarms @ likely**2) / (most_hits + most_false),
    }


def _drawn(members: int, size: int, draws: np.random.Generator) -> Counts:
    """How often each member is among as many draws as there are members, (size, members)."""
    drawn = draws.integers(members, size=(size, members)) + members * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * members).reshape(size, members)


def _at_scores(sensitive: Labels, margin: Floats, times: Times) -> tuple[Floats, Counts, Counts]:
    """Distinct scores (G,), descending, and how many sensitive and harmless samples have each, (b, G)."""
    descending, place = np.unique(-margin, return_inverse=True)
    caught, alarms = (
        _summed(each, place[own], len(descending)) for each, own in zip(times, (sensitive, ~sensitive), strict=True)
    )
    return -descending, caught, alarms


def _summed(times: Counts, place: NDArray[np.intp], places: int) -> Counts:
    """Sums (b, places) of the columns of `times` by their places; places may have none."""
    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[order], np.arange(places), side="right")
    upto = np.pad(times[:, order].cumsum(axis=1), ((0, 0), (1, 0)))
    return np.diff(upto[:, ends], axis=1, prepend=0)


def _check(sensitive: Labels, margin: Floats) -> None:
    if sensitive.shape != margin.shape or sensitive.dtype != np.bool_:
        raise refuse("sensitive", f"bool of shape {margin.shape}", f"{sensitive.dtype} of shape {sensitive.shape}")
    if sensitive.all() or not sensitive.any():
        raise refuse("sensitive", "labels of both classes", "one class only", "Evaluate a split that holds both.")
    if not np.isfinite(margin).all():
        raise refuse("margin", "finite", "infinite ones, or NaN")
