"""L-infinity-distance nets as a scikit-learn estimator."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from asymcert.datasets import BinaryData
from asymcert.estimator.tables import TableDetector
from asymcert.estimator.units import Threat
from asymcert.models.distance_net import DistanceClassifier
from asymcert.training.linf_config import LinfConfig
from asymcert.training.linf_nets import train_linf


class LinfDistanceDetector(TableDetector):
    """Binary l_inf-distance net whose sensitive verdicts come with a certified l_inf radius.

    Numbers are scaled to [0, 1] by their training range, categories become one input for each value; the net is trained
    on them by the mixed loss, and its threshold is chosen on a part of the training data held back. Radii are those of
    interval bounds.

    Parameters
    ----------
    sensitive : label, default=None
        The class an adversary wants to escape from ("spam"); by default the greater of the two labels.
    width : int, default=64
        Units of each hidden layer.
    depth : int, default=2
        Number of distance layers, the last one included.
    epsilon : float, default=0.1
        l_inf radius, in scaled features, that training aims at for both classes.
    class_weight : dict, "balanced" or None, default=None
        How often training draws the samples of each class, as in scikit-learn. A dict also moves the threshold: the
        classes' shares of errors are then in the inverse ratio of their weights, unless `max_fpr` says where it is.
    threat : ThreatModel or dict, default=None
        The adversary that `certify` is about unless another is named; see `certificate`.
    max_fpr : float, default=None
        Most false alarms on the data held back, as a share; by default the threshold balances accuracies there.
    impute : {"mean", "median", "zero", "most-frequent", "refuse"} or None, default="median"
        What missing numbers become; missing categories become the most frequent one. None refuses them.
    max_categories : int, default=20
        Most values of a category with an input of their own; the rest share one.
    epochs : int, default=60
        Passes over the training data; small data sets get at least `min_steps` steps.
    min_steps : int, default=1000
        Least number of optimiser steps; the relaxation of the distance needs more than other networks do.
    batch_size : int, default=64
        Samples per step.
    learning_rate : float, default=0.03
        Peak of the cosine schedule.
    validation_fraction : float, default=0.2
        Share of each class that is held back for the threshold.
    random_state : int, RandomState or None, default=None
        Fixes split, initialisation and order.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels, sorted.
    sensitive_ : label
        The sensitive one of them.
    model_ : DistanceClassifier
        The net, on scaled features.
    scaling_ : TableScaling
        How the columns of X became features.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X has names of text.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from asymcert.estimator import LinfDistanceDetector
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> detector = LinfDistanceDetector(sensitive=0, width=32, min_steps=300, random_state=0).fit(X, y)
    >>> bool(detector.score(X, y) > 0.8)
    True
    >>> detector.certify(X[:3]).shape
    (3,)

    Source: Zhang, Jiang, He, Wang, ICLR 2022, for net and loss.
    """

    norm: ClassVar[float] = math.inf

    model_: DistanceClassifier

    def __init__(
        self,
        sensitive: Any = None,
        *,
        width: int = 64,
        depth: int = 2,
        epsilon: float = 0.1,
        class_weight: Any = None,
        threat: Threat | None = None,
        max_fpr: float | None = None,
        impute: str | None = "median",
        max_categories: int = 20,
        epochs: int = 60,
        min_steps: int = 1000,
        batch_size: int = 64,
        learning_rate: float = 0.03,
        validation_fraction: float = 0.2,
        random_state: Any = None,
    ):
        self.sensitive = sensitive
        self.width = width
        self.depth = depth
        self.epsilon = epsilon
        self.class_weight = class_weight
        self.threat = threat
        self.max_fpr = max_fpr
        self.impute = impute
        self.max_categories = max_categories
        self.epochs = epochs
        self.min_steps = min_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _train(self, data: BinaryData, seed: int) -> DistanceClassifier:
        deviation = float(data.train.x.std(correction=0))
        config = LinfConfig(
            width=self.width,
            depth=self.depth,
            epsilon=self.epsilon,
            centre=float(data.train.x.mean()),
            deviation=deviation if deviation > 0 else 1.0,  # constant features have none
            **self._recipe(len(data.train), self.batch_size),
        )
        model = train_linf(data, config, seed=seed)
        assert isinstance(model, DistanceClassifier)  # for `convex` is left empty
        return model
