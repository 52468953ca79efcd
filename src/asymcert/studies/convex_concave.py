"""Training of one convex logit against the concave ones of all other classes."""

from __future__ import annotations

from functools import partial
from typing import Any

from asymcert.datasets.many import ManyClasses
from asymcert.models.convex_concave import ConvexConcaveClassifier
from asymcert.models.thresholds import balanced_threshold
from asymcert.studies.cascade import check_class
from asymcert.training.convex_concave import ConvexConcave, ConvexConcaveRecipe
from asymcert.training.trainer import train_classes_by


def train_convex_concave(data: ManyClasses, sensitive_class: int, **options: Any) -> ConvexConcaveClassifier:
    """Train the logits by cross-entropy over all classes; the threshold balances sensitive against other samples.

    Parameters
    ----------
    data
        Training and validation splits are used; test data never are.
    sensitive_class
        Position of the class with the convex logit.
    options
        ``seed``, ``device``, ``checkpoint``, ``on_epoch``, and fields of `ConvexConcaveRecipe`.

    Raises
    ------
    InputError
        A position that is no class's, an unknown field, or a number out of range.
    """
    check_class(sensitive_class, len(data.classes))
    build, recipe = partial(ConvexConcave, sensitive_class=sensitive_class), ConvexConcaveRecipe()
    model = train_classes_by(build, recipe, data.train, data.val, data.classes, **options)
    held_out, labels = data.val
    return model.with_threshold(balanced_threshold(model.margin(held_out), labels == sensitive_class))
