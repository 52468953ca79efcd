"""Where to put a classifier's threshold, given the scores of labelled samples."""

from __future__ import annotations

import torch
from torch import Tensor

from asymcert._checks import check_number, refuse

BALANCED = -1.0  # in place of a false-positive rate


def balanced_threshold(scores: Tensor, sensitive: Tensor, weight: float = 1.0) -> float:
    """Threshold at which both classes' accuracies match as closely as the data allow.

    Parameters
    ----------
    scores
        Float64 (n,), higher means more sensitive.
    sensitive
        Bool (n,), the labels; both classes must be present.
    weight
        Of a miss against a false alarm, positive: shares of errors then match times what they weigh.

    Returns
    -------
    float
        Midway between two neighbouring scores; of equally good ones the middle one.
    """
    _check_both(sensitive)
    candidates = _between(scores)
    hits, rejections = _accuracies(scores, sensitive, candidates)
    gap = (weight * (1.0 - hits) - (1.0 - rejections)).abs()
    best = (gap <= gap.min() + 1e-12).nonzero().squeeze(1)
    return float(candidates[best[len(best) // 2]])


def threshold_for_rate(scores: Tensor, sensitive: Tensor, rate: float) -> float:
    """Least threshold at which at most the share `rate` of the other class is called sensitive."""
    check_number("rate", rate, 0.0, 1.0)
    _check_both(sensitive)
    candidates = _between(scores)
    _, rejections = _accuracies(scores, sensitive, candidates)
    allowed = (1.0 - rejections <= rate + 1e-12).nonzero().squeeze(1)
    return float(candidates[allowed[0]])


def choose_threshold(rate: float, scores: Tensor, sensitive: Tensor) -> float:
    """The balanced threshold on validation scores, or the one for a false-positive rate that is not negative."""
    return balanced_threshold(scores, sensitive) if rate < 0 else threshold_for_rate(scores, sensitive, rate)


def check_resolution(max_fpr: float, sensitive: Tensor) -> None:
    """Refuse a positive rate that labelled samples, bool (n,), are too few to show: a single one is a greater share."""
    harmless = int((~sensitive).sum())
    if 0 <= max_fpr * harmless < 1 - 1e-9:  # as `is_shown` of the evaluation
        shown = f"at least 1/{harmless}, one false alarm among these {harmless} harmless samples"
        raise refuse("max_fpr", shown, max_fpr, "Choose a greater rate, or validate on more data.")


def accuracies(scores: Tensor, sensitive: Tensor, threshold: float) -> dict[str, float]:
    """Shares of scores (n,) that a threshold puts right, of each class; labels bool (n,)."""
    right = scores > threshold
    of_sensitive, of_other = right[sensitive].double().mean(), (~right[~sensitive]).double().mean()
    return {"accuracy_sensitive": float(of_sensitive), "accuracy_other": float(of_other)}


def _between(scores: Tensor) -> Tensor:
    """Midpoints between distinct scores, and one value beyond either end, ascending."""
    values = scores.double().unique()
    ends = values[[0, -1]] + torch.tensor([-1.0, 1.0], dtype=torch.float64)
    return torch.cat((ends[:1], (values[1:] + values[:-1]) / 2, ends[1:]))


def _accuracies(scores: Tensor, sensitive: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """Share of sensitive scores above, and of other scores at or below, each threshold."""
    above = scores[sensitive].double().sort().values
    below = scores[~sensitive].double().sort().values
    hits = 1.0 - torch.searchsorted(above, thresholds, right=True).double() / len(above)
    return hits, torch.searchsorted(below, thresholds, right=True).double() / len(below)


def _check_both(sensitive: Tensor) -> None:
    if not bool(sensitive.any()) or bool(sensitive.all()):
        raise refuse("sensitive", "labels of both classes", "one class only", "Give validation data of both classes.")
