"""The data of an estimator as training takes it, with a part held back for the threshold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from asymcert._checks import refuse
from asymcert.datasets import BinaryData, Split
from asymcert.datasets.scaling import TableScaling


def held_back(
    x: Tensor,
    sensitive: Tensor,
    weight: Tensor | None,
    share: float,
    random: np.random.RandomState,
    names: tuple[str, str],
    scaling: TableScaling,
) -> BinaryData:
    """Training and validation splits of inputs (n, d) and labels (n,), by class.

    Parameters
    ----------
    x, sensitive, weight
        All rows, whether each is sensitive, and how often it is drawn in training, if not each as often.
    share
        Of each class that is held back, at least one row.
    random
        Draws which.
    names
        Of the sensitive class and of the other.
    scaling
        How rows became inputs.

    Raises
    ------
    ValueError
        A class has fewer than two rows.
    """
    y = sensitive.numpy()
    held = np.concatenate([_drawn(np.flatnonzero(y == each), share, random) for each in (False, True)])
    rest = np.setdiff1d(np.arange(len(y)), held)
    fitted = Split(x[rest].float(), sensitive[rest], None if weight is None else weight[rest])
    held = np.sort(held)
    validation = test = Split(x[held].float(), sensitive[held])  # training never looks at a test split
    return BinaryData("table", fitted, validation, test, *names, scaling=scaling)


def two_classes(y: np.ndarray) -> np.ndarray:
    """The labels that there are, sorted, (2,); a ValueError for more, or fewer, or numbers that are no labels."""
    check_classification_targets(y)
    classes = np.unique(y)
    if len(classes) != 2:
        count = f"{len(classes)} class{'' if len(classes) == 1 else 'es'}"
        raise ValueError(f"Only binary classification is supported. `y` must have two classes, got {count}.")
    return classes


def row_weights(y: np.ndarray, class_weight: Any, sample_weight: Any) -> np.ndarray:
    """What each row weighs, (n,): its own weight times that of its class, as scikit-learn understands them.

    Raises
    ------
    ValueError
        Weights that are negative, no numbers, none but 0, or not one for each row; a class that does not exist.
    """
    weight = compute_sample_weight(class_weight, y)
    if sample_weight is not None:
        own = np.asarray(check_array(sample_weight, ensure_2d=False, input_name="sample_weight"))
        if own.shape != y.shape:
            raise refuse("sample_weight", f"of shape {y.shape}, one for each row", f"shape {own.shape}")
        weight = weight * own
    if not (weight >= 0).all() or not weight.any():
        raise refuse("sample_weight", "nonnegative and not zero everywhere", "others")
    return weight


def _drawn(rows: np.ndarray, share: float, random: np.random.RandomState) -> np.ndarray:
    """About that share of a class's rows: at least one, and not all."""
    if len(rows) < 2:
        raise ValueError("`y` must have at least 2 samples of each class, got a class with 1. Add samples.")
    return random.permutation(rows)[: min(math.ceil(share * len(rows)), len(rows) - 1)]
