"""Feature-convex classifiers as a scikit-learn estimator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from asymcert._checks import check_choice, refuse
from asymcert.certify.tangent import Tangent
from asymcert.datasets import BinaryData
from asymcert.estimator.tables import TableDetector
from asymcert.estimator.units import Threat, on_inputs
from asymcert.evaluate.evasion import ColumnPart, explain_columns
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.training import preset_for, train


class FeatureConvexDetector(TableDetector):
    """Binary classifier whose sensitive verdicts come with a certified radius.

    Numbers are scaled to [0, 1] by their training range, categories become one input for each value; a feature-convex
    network is trained on them with a term for the certified radius, and its threshold is chosen on a part of the
    training data held back.

    Vectors that another model made of texts or images are columns of numbers like others: l2 radii are then about the
    vectors, and say nothing of changes of the text or image that they were made of.

    Parameters
    ----------
    sensitive : label, default=None
        The class an adversary wants to escape from ("spam"); by default the greater of the two labels.
    hidden : tuple of int, default=(16, 8)
        Widths of each convex network's hidden layers.
    members : int, default=4
        Networks that are trained side by side; their average is one convex network.
    feature_map : {"ramps", "identity", "centre", "centre-absolute", "soft-threshold", "hinges"}, default="ramps"
        Map before the networks. Ramps encode each number piecewise linearly between its quantiles.
    dropout : float, default=0.25
        Share of features that training leaves out at random.
    weight_decay : float, default=0.01
        Decay of weights, apart from the gradient.
    target_columns : int, default=3
        Ramps: columns whose worst change counts in the loss; 0 for none.
    columns_weight : float, default=0.1
        Ramps: share of the fall by that change that counts. Greater shares keep more verdicts certified when columns
        change, and cost accuracy.
    target_radius : float, default=0.2
        Other maps: radius, in scaled features and the norm of `threat` (2 without), that training aims at for sensitive
        samples.
    monotonic_cst : dict or array-like of int of shape (n_features,), default=None
        Ramps: as in scikit-learn, by name or one for each column: 1 where ``decision_function`` must not fall as the
        column grows, -1 where it must not rise, 0 where it may do both.
    class_weight : dict, "balanced" or None, default="balanced"
        What the classes weigh in training, as in scikit-learn. A dict also moves the threshold: the
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
    epochs : int, default=3
        Passes over the training data; tables that are not long get at least `min_steps` steps.
    min_steps : int, default=400
        Least number of optimiser steps.
    batch_size : int, default=None
        Samples per step; by default more for longer tables, from 16 to 1024.
    learning_rate : float, default=0.02
        Peak of the one-cycle schedule.
    patience : int, default=0
        Stop after so many passes without better accuracy on the data held back, and keep the best; 0 for all passes.
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
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> detector = FeatureConvexDetector(sensitive=0, random_state=0).fit(X, y)
    >>> bool(detector.score(X, y) > 0.95)
    True
    >>> radius = detector.certify(X, norm=1)  # in the units of the columns
    >>> columns = detector.certify(X, norm="columns")
    >>> bool((columns >= 3).sum() > 50)  # tumours whose verdict stands whatever three measurements are
    True
    >>> ((safe, parts),) = detector.explain(X[columns >= 1][:1])
    >>> len(parts) == X.shape[1]
    True
    """

    balances: ClassVar[bool] = True

    model_: FeatureConvexClassifier

    def __init__(
        self,
        sensitive: Any = None,
        *,
        hidden: tuple[int, ...] = (16, 8),
        members: int = 4,
        feature_map: str = "ramps",
        dropout: float = 0.25,
        weight_decay: float = 0.01,
        target_columns: int = 3,
        columns_weight: float = 0.1,
        target_radius: float = 0.2,
        monotonic_cst: Any = None,
        class_weight: Any = "balanced",
        threat: Threat | None = None,
        max_fpr: float | None = None,
        impute: str | None = "median",
        max_categories: int = 20,
        epochs: int = 3,
        min_steps: int = 400,
        batch_size: int | None = None,
        learning_rate: float = 0.02,
        patience: int = 0,
        validation_fraction: float = 0.2,
        random_state: Any = None,
    ):
        self.sensitive = sensitive
        self.hidden = hidden
        self.members = members
        self.feature_map = feature_map
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.target_columns = target_columns
        self.columns_weight = columns_weight
        self.target_radius = target_radius
        self.monotonic_cst = monotonic_cst
        self.class_weight = class_weight
        self.threat = threat
        self.max_fpr = max_fpr
        self.impute = impute
        self.max_categories = max_categories
        self.epochs = epochs
        self.min_steps = min_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def explain(self, X: Any, threat: Threat | None = None) -> list[tuple[float, list[ColumnPart]]]:
        """Which columns carry each verdict, and which of them, changed to what, would undo it.

        Parameters
        ----------
        X
            Samples of shape (n, d).
        threat
            As in `certificate`, of norm 0; by default any change of any column.

        Returns
        -------
        list
            For each sample how many columns can change by whatever amount without undoing the verdict, and what each
            column has to do with it, the greatest share first; 0 and nothing where the verdict is not sensitive.

        Raises
        ------
        InputError
            The norm is not 0.
        """
        check_is_fitted(self)
        adversary = on_inputs({"norm": 0} if threat is None else threat, self.model_)
        if adversary.norm != 0:
            raise refuse("threat", "of norm 0, for columns to be counted", f"norm {adversary.norm:g}")
        return [
            explain_columns(self.model_, x, adversary, Tangent()) if margin > 0 else (0.0, [])
            for x, margin in zip(self._inputs(X), self._margin(X), strict=True)
        ]

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if isinstance(self.hidden, int | str):
            raise refuse("hidden", "a tuple of widths", repr(self.hidden), "Example: hidden=(16, 8)")

    def _train(self, data: BinaryData, seed: int) -> FeatureConvexClassifier:
        preset, samples = preset_for(data, "table"), len(data.train)
        columns = {column.name: not column.is_text for column in data.scaling.columns} if data.scaling else {}
        common = self._recipe(samples, preset.batch_size if self.batch_size is None else self.batch_size)
        names = ("members", "feature_map", "dropout", "weight_decay")
        own = {"hidden": tuple(self.hidden)} | {name: getattr(self, name) for name in names}
        own["class_weight"] = "balanced" if self.class_weight == "balanced" else "none"
        if self.patience:
            common |= {"patience": self.patience, "keep": "accurate", "validate_every": 1}
        return train(data, config=replace(preset, **common, **own, **self._aim(), **self._signs(columns)), seed=seed)

    def _aim(self) -> dict[str, Any]:
        """What training aims at besides accuracy."""
        if self.feature_map == "ramps":
            return {"target_columns": self.target_columns, "columns_weight": self.columns_weight}
        norm = self.threat.get("norm", 2) if isinstance(self.threat, Mapping) else getattr(self.threat, "norm", 2)
        targets = {1: "target_l1", 2: "target_l2", math.inf: "target_linf", "inf": "target_linf"}
        if norm not in targets:
            raise refuse("threat", "of norm 1, 2 or inf to train for", f"norm {norm}", "Set feature_map='ramps'.")
        return {"loss": "certified", "target_columns": 0, "target_l2": 0.0, targets[norm]: self.target_radius}

    def _signs(self, columns: dict[str, bool]) -> dict[str, tuple[str, ...]]:
        """Columns in which the sensitive score must not fall, and must not rise; `columns` says which are numbers."""
        given = {} if self.monotonic_cst is None else self.monotonic_cst
        if not isinstance(given, Mapping):
            given = np.asarray(given).tolist()
            if len(given) != len(columns):
                raise refuse("monotonic_cst", f"of shape ({len(columns)},)", f"shape ({len(given)},)")
            given = dict(zip(columns, given, strict=True))
        for name, sign in given.items():
            check_choice("monotonic_cst", name, columns)
            if sign not in (-1, 0, 1) or (sign and not columns[name]):
                raise refuse("monotonic_cst", "-1, 0 or 1 for numbers, 0 for categories", f"{sign!r} for {name!r}")
        upper = 1 if self.sensitive_ == self.classes_[1] else -1
        fields = {"increasing": upper, "decreasing": -upper}
        return {field: tuple(name for name in given if given[name] == sign) for field, sign in fields.items()}
