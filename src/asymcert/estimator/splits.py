"""The data of an estimator as training takes it, with a part held back for the threshold."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from asymcert.datasets import BinaryData, Split
from asymcert.datasets.scaling import TableScaling


def held_back(
    x: Tensor,
    sensitive: Tensor,
    share: float,
    random: np.random.RandomState,
    names: tuple[str, str],
    scaling: TableScaling,
) -> BinaryData:
    """Training and validation splits of inputs (n, d) and labels (n,), by class.

    Parameters
    ----------
    x, sensitive
        All rows and whether each is sensitive.
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
    fitted, validation = (Split(x[rows].float(), sensitive[rows]) for rows in (rest, np.sort(held)))
    test = validation  # training never looks at it
    return BinaryData("table", fitted, validation, test, *names, scaling=scaling)


def _drawn(rows: np.ndarray, share: float, random: np.random.RandomState) -> np.ndarray:
    """About that share of a class's rows: at least one, and not all."""
    if len(rows) < 2:
        raise ValueError("`y` must have at least 2 samples of each class, got a class with 1. Add samples.")
    return random.permutation(rows)[: min(math.ceil(share * len(rows)), len(rows) - 1)]
