"""A scikit-learn estimator: fit, predict, and certify."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from asymcert._checks import check_choice, refuse
from asymcert.certify import Certificate, certify
from asymcert.classifier import FeatureConvexClassifier
from asymcert.datasets import BinaryData, Split
from asymcert.threat import ThreatModel
from asymcert.training import TrainConfig, train


class FeatureConvexDetector(ClassifierMixin, BaseEstimator):
    """Binary classifier whose sensitive verdicts come with a certified radius.

    Features are scaled to [0, 1] by their training range; a feature-convex network is trained on them with the
    hinge on the certified radius, and its threshold is balanced on a part of the training data held back.

    Parameters
    ----------
    sensitive : label, default=None
        The class an adversary wants to escape from ("spam"); by default the greater of the two labels.
    hidden : tuple of int, default=(64, 32)
        Widths of the convex network's hidden layers.
    feature_map : {"centre", "centre-absolute", "identity"}, default="centre"
        Lipschitz map before the network.
    target_radius : float, default=0.2
        l2 radius, in scaled features, that training aims at for sensitive samples.
    epochs : int, default=60
        Passes over the training data; small data sets get at least `min_steps` steps.
    min_steps : int, default=400
        Least number of optimiser steps.
    batch_size : int, default=64
        Samples per step.
    learning_rate : float, default=0.005
        Peak of the one-cycle schedule.
    validation_fraction : float, default=0.2
        Share of the training data that the threshold is balanced on.
    random_state : int, RandomState or None, default=None
        Fixes split, initialisation and order.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels, sorted.
    sensitive_ : label
        The sensitive one of them.
    model_ : FeatureConvexClassifier
        The network, on scaled features.
    minimum_, range_ : ndarray of shape (n_features,)
        Scaled feature = (feature - minimum_) / range_.
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from asymcert.estimator import FeatureConvexDetector
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> detector = FeatureConvexDetector(sensitive=0, epochs=5, random_state=0).fit(X, y)
    >>> bool(detector.score(X, y) > 0.9)
    True
    >>> detector.certify(X[:3], norm=float("inf")).shape
    (3,)
    """

    def __init__(
        self,
        sensitive: Any = None,
        *,
        hidden: tuple[int, ...] = (64, 32),
        feature_map: str = "centre",
        target_radius: float = 0.2,
        epochs: int = 60,
        min_steps: int = 400,
        batch_size: int = 64,
        learning_rate: float = 0.005,
        validation_fraction: float = 0.2,
        random_state: Any = None,
    ):
        self.sensitive = sensitive
        self.hidden = hidden
        self.feature_map = feature_map
        self.target_radius = target_radius
        self.epochs = epochs
        self.min_steps = min_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> FeatureConvexDetector:
        """Train on X of shape (n, d) and labels y of shape (n,) with exactly two values.

        Raises
        ------
        ValueError
            Not two classes, NaN, fewer than two samples of a class, or an unknown sensitive label.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) != 2:
            count = f"{len(self.classes_)} class{'' if len(self.classes_) == 1 else 'es'}"
            raise ValueError(f"Only binary classification is supported. `y` must have two classes, got {count}.")
        self.sensitive_ = self.classes_[1] if self.sensitive is None else self.sensitive
        check_choice("sensitive", self.sensitive_, self.classes_.tolist())
        self.minimum_ = X.min(axis=0)
        extent = X.max(axis=0) - self.minimum_
        self.range_ = np.where(extent > 0, extent, 1.0)
        random = check_random_state(self.random_state)
        data = self._split(self._scale(X), torch.as_tensor(y == self.sensitive_), random)
        self.model_ = train(data, config=self._config(len(data.train)), seed=int(random.randint(2**31 - 1)))
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Margin towards ``classes_[1]``, shape (n,): the classifier's own margin, negated if that is not sensitive."""
        margin = self._margin(X)
        return margin if self.sensitive_ == self.classes_[1] else -margin

    def predict(self, X: Any) -> np.ndarray:
        """Labels, shape (n,); sensitive iff the margin is positive."""
        margin = self._margin(X)
        return np.where(margin > 0, self.sensitive_, self._other).astype(self.classes_.dtype)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Logistic function of the decision function, shape (n, 2) in the order of ``classes_``; not calibrated."""
        decision = self.decision_function(X)
        upper = np.where(decision >= 0, 1.0 / (1.0 + np.exp(-np.abs(decision))), 0.0)
        upper = np.where(decision < 0, 1.0 - 1.0 / (1.0 + np.exp(-np.abs(decision))), upper)
        return np.stack((1.0 - upper, upper), axis=1)

    def certify(self, X: Any, norm: float = 2, cost: Any = None) -> np.ndarray:
        """Certified radii in the units of X, shape (n,), float64, rounded down.

        Parameters
        ----------
        X
            Samples of shape (n, d).
        norm
            p in [1, inf] that measures changes.
        cost
            Optional price of one unit of change per feature, positive, shape (d,).

        Returns
        -------
        ndarray
            No change of size less than ``radius[i]`` makes sample i anything but sensitive; 0 where it is not
            predicted sensitive.
        """
        return self.certificate(X, norm, cost).radius.numpy()

    def certificate(self, X: Any, norm: float = 2, cost: Any = None) -> Certificate:
        """As `certify`, with margins and verdicts."""
        check_is_fitted(self)
        price = np.ones_like(self.range_) if cost is None else np.asarray(cost, dtype=np.float64)
        if price.shape != self.range_.shape:
            raise refuse("cost", f"of shape {self.range_.shape}", f"shape {price.shape}")
        # A unit of scaled change is `range_` units of X, so that is what it costs, rounded down.
        threat = ThreatModel(norm, cost=torch.as_tensor(np.nextafter(price * self.range_, 0.0)))
        return certify(self.model_, self._checked(X), threat)

    @property
    def _other(self) -> Any:
        return self.classes_[0] if self.sensitive_ == self.classes_[1] else self.classes_[1]

    def _margin(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.model_.margin(self._checked(X)).numpy()

    def _checked(self, X: Any) -> torch.Tensor:
        return self._scale(np.asarray(validate_data(self, X, dtype=np.float64, reset=False)))

    def _scale(self, X: np.ndarray) -> torch.Tensor:
        return torch.as_tensor((X - self.minimum_) / self.range_)

    def _split(self, x: torch.Tensor, sensitive: torch.Tensor, random: np.random.RandomState) -> BinaryData:
        counts = torch.bincount(sensitive.long(), minlength=2)
        if int(counts.min()) < 2:
            raise ValueError("`y` must have at least 2 samples of each class, got a class with 1. Add samples.")
        held = max(2, math.ceil(self.validation_fraction * len(x)))
        train_rows, val_rows = train_test_split(
            np.arange(len(x)), test_size=held, stratify=sensitive.numpy(), random_state=random
        )
        fitted, held_back = (Split(x[rows].float(), sensitive[rows]) for rows in (train_rows, val_rows))
        test = held_back  # training never looks at it
        return BinaryData("array", fitted, held_back, test, str(self.sensitive_), str(self._other))

    def _config(self, n: int) -> TrainConfig:
        batch_size = min(self.batch_size, n)
        epochs = max(self.epochs, math.ceil(self.min_steps / (n // batch_size)))
        return TrainConfig(
            hidden=tuple(self.hidden),
            feature_map=self.feature_map,
            target_l2=self.target_radius,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=self.learning_rate,
            validate_every=epochs,
        )

    @property
    def model(self) -> FeatureConvexClassifier:
        """The fitted network, on scaled features."""
        check_is_fitted(self)
        return self.model_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
