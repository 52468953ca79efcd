"""How a network in training does on validation data: accuracies at the balanced threshold, closed-form radii."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from asymcert._floats import NORMS, norm_name
from asymcert.certify.closed_form import slope_bound, tangent_plane
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from asymcert.training.balance import balanced_threshold, threshold_for_rate
from asymcert.training.config import TrainConfig
from asymcert.training.recipe import Recipe


def choose_threshold(recipe: Recipe, scores: Tensor, sensitive: Tensor) -> float:
    """The configured threshold on validation scores: balanced, or for a false-positive rate."""
    if recipe.false_positive_rate >= 0:
        return threshold_for_rate(scores, sensitive, recipe.false_positive_rate)
    return balanced_threshold(scores, sensitive)


def accuracies(scores: Tensor, sensitive: Tensor) -> dict[str, float]:
    """Shares of scores (n,) that the balanced threshold puts right, of each class and their mean; labels bool (n,)."""
    right = scores > balanced_threshold(scores, sensitive)
    of_sensitive, of_other = float(right[sensitive].double().mean()), float((~right[~sensitive]).double().mean())
    return {
        "accuracy": (of_sensitive + of_other) / 2,
        "accuracy_sensitive": of_sensitive,
        "accuracy_other": of_other,
    }


def validate(model: FeatureConvexClassifier, x: Tensor, sensitive: Tensor, config: TrainConfig) -> dict[str, Any]:
    """Figures of `model` on validation data, whatever threshold it carries.

    Parameters
    ----------
    x, sensitive
        (n, *input_shape) and bool (n,).

    Returns
    -------
    dict
        ``threshold``, chosen on the same data; ``accuracy_sensitive`` and ``accuracy_other``, the share of each class
        that is classified right; ``medians`` of the closed-form radius over the sensitive class, wrong predictions
        counting 0, by norm's name; ``certified``, the certified accuracy of the sensitive class at the config's target
        radii, averaged over norms.
    """
    threats = [ThreatModel(norm) for norm in NORMS]
    scores, slopes = [], []
    for chunk in model.chunks(x):
        margin, gradient = tangent_plane(model, chunk)
        scores.append(margin.double() + model.threshold)
        size = gradient.double().abs().flatten(1)
        slopes.append(torch.stack([slope_bound(model, size, threat) for threat in threats]))
    score, slope = torch.cat(scores).cpu(), torch.cat(slopes, dim=1).cpu()
    threshold = choose_threshold(config, score, sensitive)
    right = score > threshold
    radii = torch.where(right, (score - threshold) / slope, 0.0)[:, sensitive]  # (norms, sensitive samples)
    targets = config.targets or {2.0: float(radii[1].median())}
    certified = [(radii[NORMS.index(norm)] > target).double().mean() for norm, target in targets.items()]
    return {
        "threshold": threshold,
        "accuracy_sensitive": float(right[sensitive].double().mean()),
        "accuracy_other": float((~right[~sensitive]).double().mean()),
        "medians": {norm_name(norm): float(row.median()) for norm, row in zip(NORMS, radii, strict=True)},
        "certified": float(torch.stack(certified).mean()),
    }
