"""Feature-convex classifiers as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, ClassVar

from asymcert._checks import refuse
from asymcert.datasets import BinaryData
from asymcert.estimator.base import Detector
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.training import TrainConfig, train


class FeatureConvexDetector(Detector):
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

    method: ClassVar[str] = "closed-form"

    model_: FeatureConvexClassifier

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

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if isinstance(self.hidden, int | str):
            raise refuse("hidden", "a tuple of widths", repr(self.hidden), "Example: hidden=(64, 32)")

    def _train(self, data: BinaryData, seed: int) -> FeatureConvexClassifier:
        batch_size, epochs = self._schedule(len(data.train))
        config = TrainConfig(
            hidden=tuple(self.hidden),
            feature_map=self.feature_map,
            target_l2=self.target_radius,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=self.learning_rate,
            validate_every=epochs,
        )
        return train(data, config=config, seed=seed)
