"""Feature-convex classifiers as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from asymcert._checks import refuse
from asymcert._floats import undisturbed
from asymcert.datasets import BinaryData
from asymcert.estimator.base import CPU, Detector
from asymcert.estimator.explanation import Explanation, explanations
from asymcert.estimator.units import Threat
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.training import TrainConfig, train


class FeatureConvexDetector(Detector):
    """Binary classifier whose sensitive verdicts come with a certified radius.

    Numbers are scaled to [0, 1] by their training range, categories become one input for each value; a feature-convex
    network is trained on them with a term for the certified radius, and its threshold is chosen on a part of the
    training data held back.

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
    class_weight : dict, "balanced" or None, default=None
        How often training draws the samples of each class, as in scikit-learn. A dict also moves the threshold: the
        classes' shares of errors are then in the inverse ratio of their weights, unless `max_fpr` says where it is.
    threat : ThreatModel or dict, default=None
        The adversary that training aims at, by its norm, and that `certify` is about unless another is named; see
        `certificate`.
    max_fpr : float, default=None
        Most false alarms on the data held back, as a share; by default the threshold balances accuracies there.
    impute : {"mean", "median", "zero", "most-frequent", "refuse"} or None, default="median"
        What missing numbers become; missing categories become the most frequent one. None refuses them.
    max_categories : int, default=20
        Most values of a category with an input of their own; the rest share one.
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
    scaling_ : TableScaling
        How the columns of X became features.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X has names of text.

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

    model_: FeatureConvexClassifier

    def __init__(
        self,
        sensitive: Any = None,
        *,
        hidden: tuple[int, ...] = (64, 32),
        feature_map: str = "centre",
        target_radius: float = 0.2,
        class_weight: Any = None,
        threat: Threat | None = None,
        max_fpr: float | None = None,
        impute: str | None = "median",
        max_categories: int = 20,
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

    @undisturbed(CPU)
    def explain(self, X: Any, threat: Threat | None = None) -> list[Explanation]:
        """Why each verdict stands, for an adversary who changes columns: which carry it, and which would undo it.

        Parameters
        ----------
        X
            Samples of shape (n, d).
        threat
            As in `certificate`, of norm 0; by default the parameter of that name, else any change of any column.

        Raises
        ------
        InputError
            The norm is not 0, or X is running text.
        """
        check_is_fitted(self)
        frame = self._frame(X, reset=False)
        return explanations(self.model_, frame, self._threat(0 if threat is None else None, None, threat))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if isinstance(self.hidden, int | str):
            raise refuse("hidden", "a tuple of widths", repr(self.hidden), "Example: hidden=(64, 32)")

    def _train(self, data: BinaryData, seed: int) -> FeatureConvexClassifier:
        config = TrainConfig(
            hidden=tuple(self.hidden),
            feature_map=self.feature_map,
            target_l2=self.target_radius,
            **self._recipe(len(data.train)),
        )
        return train(data, config=config, seed=seed)
