"""Certified accuracy against radius, and the numbers that sum up an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import betaincinv

from asymcert._checks import check_number, refuse
from asymcert.runs.rows import SERIES, check_rows, one_series, ruled_out

CONFIDENCE = 0.95
LISTED_SIZES = 5  # radii at which certified accuracies are listed, besides 0
Floats = NDArray[np.float64]


def binomial_interval(
    successes: NDArray[np.int64], trials: int, confidence: float = CONFIDENCE
) -> tuple[Floats, Floats]:
    """Exact (Clopper-Pearson) interval of a proportion, for each number of successes, rounded outward.

    Parameters
    ----------
    successes
        Int64 (m,), each in [0, trials].
    trials
        Number of samples.
    confidence
        Coverage of each interval, in (0, 1).

    Returns
    -------
    tuple
        Lower and upper ends, each float64 (m,).

    Source: Clopper and Pearson, Biometrika 26, 1934.
    """
    check_number("confidence", confidence, 0.0, np.nextafter(1.0, 0.0), open_low=True)
    k = np.asarray(successes, dtype=np.float64)
    tail = (1.0 - confidence) / 2.0
    with np.errstate(invalid="ignore"):
        lower = np.where(k > 0, betaincinv(np.maximum(k, 1.0), trials - k + 1.0, tail), 0.0)
        upper = np.where(k < trials, betaincinv(k + 1.0, np.maximum(trials - k, 1.0), 1.0 - tail), 1.0)
    return np.maximum(np.nextafter(lower, -1.0), 0.0), np.minimum(np.nextafter(upper, 2.0), 1.0)


def certified_accuracy(rows: pl.DataFrame, confidence: float = CONFIDENCE) -> pl.DataFrame:
    """Certified accuracy of the sensitive class as a step function of the radius.

    The value at r is the fraction of sensitive samples that are recognised and whose certified radius is
    *greater* than r, or where columns are counted (norm 0) at least r: no change of size at most r makes them pass as
    the other class. At r = 0 it is the accuracy
    on unchanged samples, wherever a method certifies all that it recognises. Samples that are not recognised
    count 0 at every radius.

    Parameters
    ----------
    rows
        Evaluation rows of one model, split, method and threat model.
    confidence
        Coverage of the interval at each single radius (the band is pointwise).

    Returns
    -------
    polars.DataFrame
        Columns ``radius`` (ascending from 0, finite), ``accuracy``, ``lower``, ``upper``, all float64. Each row
        holds from its radius up to, but not at, the next one; the last holds for ever.

    Raises
    ------
    InputError
        The rows mix several curves, or hold no sensitive sample.
    """
    sizes = _sensitive_sizes(one_series(rows))
    at = np.concatenate((sizes, rows.filter("label")["radius"].to_numpy()))
    return _accuracy_at(sizes, np.unique(np.append(at[np.isfinite(at)], 0.0)), confidence)


def certified_accuracy_at(rows: pl.DataFrame, radii: Sequence[float], confidence: float = CONFIDENCE) -> pl.DataFrame:
    """Certified accuracy at chosen radii; columns as in `certified_accuracy`, one row per radius, in their order.

    Raises
    ------
    InputError
        The rows mix several curves or hold no sensitive sample, or a radius is negative, infinite or NaN.
    """
    at = np.asarray(radii, dtype=np.float64).reshape(-1)
    if not bool(np.all(np.isfinite(at) & (at >= 0))):
        raise refuse("radii", "finite and nonnegative", radii)
    return _accuracy_at(_sensitive_sizes(one_series(rows)), at, confidence)


def round_sizes(radii: Floats) -> list[float]:
    """Round numbers from 0 to where few of the radii are greater, the same for all curves of one norm.

    Whole ones where all radii are whole, as numbers of columns.
    """
    finite = radii[np.isfinite(radii) & (radii > 0)]
    if len(finite) == 0:
        return [0.0]
    raw = float(np.quantile(finite, 0.9)) / (LISTED_SIZES - 1)
    power = 10.0 ** np.floor(np.log10(raw))
    step = max(factor for factor in (1, 2, 2.5, 5) if factor * power <= raw * (1 + 1e-9)) * power
    if (finite == np.floor(finite)).all():
        step = max(1.0, float(np.floor(step)))
    return [float(f"{step * position:.6g}") for position in range(LISTED_SIZES + 1)]


def summary(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per curve: model, data, split, method and threat model.

    Parameters
    ----------
    rows
        Evaluation rows of any number of curves.

    Returns
    -------
    polars.DataFrame
        The columns of `SERIES`, then ``norm``, ``n_sensitive``, ``n_other``, ``accuracy_sensitive``,
        ``accuracy_other``, ``accuracy_balanced`` (their mean), ``median_radius`` and ``mean_radius`` over all
        sensitive samples, where one that is not recognised counts 0 and a mean with an infinite radius is
        infinite, ``median_upper``, the same of the sizes of known successful changes, infinite where none is known,
        and ``seconds``, the median per sample. Null where a class has no samples.
    """
    check_rows(rows)
    parts = [_summary_of(one_series(part)) for part in rows.partition_by(SERIES, maintain_order=True)]
    return pl.DataFrame(parts, schema=SUMMARY_SCHEMA)


SUMMARY_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(SERIES, pl.String()),
        "norm": pl.Float64(),
        "n_sensitive": pl.Int64(),
        "n_other": pl.Int64(),
        "accuracy_sensitive": pl.Float64(),
        "accuracy_other": pl.Float64(),
        "accuracy_balanced": pl.Float64(),
        "median_radius": pl.Float64(),
        "mean_radius": pl.Float64(),
        "median_upper": pl.Float64(),
        "seconds": pl.Float64(),
    }
)


def _summary_of(rows: pl.DataFrame) -> dict[str, Any]:
    label, prediction = rows["label"].to_numpy(), rows["prediction"].to_numpy()
    radius, upper = (np.where(prediction, rows[name].to_numpy(), 0.0)[label] for name in ("radius", "upper"))
    given = ~rows["abstained"].to_numpy()
    sensitive, other = _mean(prediction[label]), _mean((given & ~prediction)[~label])
    return {
        **{name: rows[name][0] for name in (*SERIES, "norm")},
        "n_sensitive": int(label.sum()),
        "n_other": int((~label).sum()),
        "accuracy_sensitive": sensitive,
        "accuracy_other": other,
        "accuracy_balanced": None if sensitive is None or other is None else (sensitive + other) / 2,
        "median_radius": _median(radius, rows["norm"][0]),
        "mean_radius": _mean(radius),
        "median_upper": _median(upper, rows["norm"][0]),
        "seconds": float(np.median(rows["seconds"].to_numpy())),
    }


def _median(values: Floats, norm: float) -> float | None:
    """The median; of numbers of columns one of the two in the middle, the smaller."""
    if not len(values):
        return None
    return float(np.quantile(values, 0.5, method="lower") if norm == 0 else np.median(values))


def _mean(values: NDArray[Any]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _sensitive_sizes(rows: pl.DataFrame) -> Floats:
    """What is `ruled_out` of the sensitive samples (n,)."""
    sensitive = rows.filter("label")
    if sensitive.is_empty():
        raise refuse("rows", "of at least one sensitive sample", "none", "Certify samples of the sensitive class.")
    return ruled_out(sensitive)


def _accuracy_at(sizes: Floats, at: Floats, confidence: float) -> pl.DataFrame:
    n = len(sizes)
    above = n - np.searchsorted(np.sort(sizes), at, side="right")  # those greater than each of `at`
    lower, upper = binomial_interval(above, n, confidence)
    return pl.DataFrame({"radius": at, "accuracy": above / n, "lower": lower, "upper": upper})
