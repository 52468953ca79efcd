"""What the scikit-learn estimators share: labels, validation, predictions and files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
import torch
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from asymcert._checks import check_choice, check_number, refuse
from asymcert._floats import undisturbed
from asymcert.datasets import BinaryData
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import ModelFileError
from asymcert.estimator.files import KEY, describe, restore
from asymcert.estimator.splits import held_back, row_weights, two_classes
from asymcert.models.base import BinaryClassifier
from asymcert.models.thresholds import BALANCED, balanced_threshold, check_resolution

CPU = torch.device("cpu")


class Detector(ClassifierMixin, BaseEstimator, ABC):
    """Binary classifier whose sensitive verdicts come with a certified radius; final classes train it.

    A part of the training data is held back for the threshold. Subclasses store these parameters of theirs, among
    others. Samples may be none, but for `fit`.
    """

    balances: ClassVar[bool] = False
    """Whether training itself weighs classes that are to be balanced; else it draws rows by weight."""

    sensitive: Any
    class_weight: Any
    max_fpr: float | None
    validation_fraction: float
    random_state: Any

    n_features_in_: int
    model_: Any

    @abstractmethod
    def _train(self, data: BinaryData, seed: int) -> BinaryClassifier:
        """A classifier trained on inputs."""

    @abstractmethod
    def _frame(self, X: Any, reset: bool) -> pl.DataFrame:
        """X, checked, as a frame; `reset` learns its columns."""

    @abstractmethod
    def _scaled(self, frame: pl.DataFrame) -> tuple[Tensor, TableScaling]:
        """Inputs of the rows to train on, and how columns become them."""

    @undisturbed(CPU)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on samples X, see the class, and labels y (n,) of two values.

        `sample_weight` (n,) says how often training draws each row, relative to the others; rows of weight 0 are left
        out.

        Raises
        ------
        ValueError
            Not two classes, samples that cannot be read, fewer than two of a class, an unknown sensitive label, or a
            parameter out of its range.
        """
        self._check_parameters()
        frame, y, weight = self._rows(X, y, sample_weight)
        random, sensitive = check_random_state(self.random_state), torch.as_tensor(y == self.sensitive_)
        names = str(self.sensitive_), str(self._other)
        x, scaling = self._scaled(frame)
        data = held_back(x, sensitive, weight, self.validation_fraction, random, names, scaling)
        if self.max_fpr is not None:
            check_resolution(self.max_fpr, data.val.y)
        model = self._weighed(self._train(data, int(random.randint(2**31 - 1))), data)
        model.info = model.info | {KEY: describe(self)}
        self.model_ = model
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
        upper = expit(self.decision_function(X))
        return np.stack((1.0 - upper, upper), axis=1)

    @property
    def model(self) -> BinaryClassifier:
        """The fitted network, on inputs."""
        check_is_fitted(self)
        return self.model_

    @property
    def scaling_(self) -> TableScaling:
        """How the columns of X became features."""
        scaling = self.model.scaling
        assert scaling is not None
        return scaling

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator as safetensors with JSON metadata; its model is what `asymcert.load` reads there.

        A parameter with a state of its own, such as a generator for `random_state`, is stored as None.
        """
        self.model.save(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an estimator that `save` wrote; nothing in the file is ever run.

        Raises
        ------
        ModelFileError
            The file is damaged, was tampered with, or holds a model alone or another kind of estimator.
        """
        model = BinaryClassifier.load(path)
        try:
            return restore(cls, model)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise ModelFileError(f"{path}: not a {cls.__name__}: {error}") from error

    @property
    def _other(self) -> Any:
        return self.classes_[0] if self.sensitive_ == self.classes_[1] else self.classes_[1]

    def _check_parameters(self) -> None:
        if self.max_fpr is not None:
            check_number("max_fpr", self.max_fpr, 0.0, 1.0)
        if not isinstance(self.validation_fraction, Real) or not 0 < self.validation_fraction < 1:
            raise refuse("validation_fraction", "a number above 0 and below 1", repr(self.validation_fraction))

    def _rows(self, X: Any, y: Any, sample_weight: Any) -> tuple[pl.DataFrame, np.ndarray, Tensor | None]:
        """The rows that count, their labels, and what they weigh, where not all weigh the same."""
        y = np.asarray(validate_data(self, "no_validation", y))
        frame = self._frame(X, reset=True)
        check_consistent_length(frame, y)
        balanced = self.balances and self.class_weight == "balanced"
        weight = row_weights(y, None if balanced else self.class_weight, sample_weight)
        some = weight > 0
        frame, y, weight = frame.filter(pl.Series(some)), y[some], torch.as_tensor(weight[some])
        self.classes_ = two_classes(y)
        self.sensitive_ = self.classes_[1] if self.sensitive is None else self.sensitive
        check_choice("sensitive", self.sensitive_, self.classes_.tolist())
        return frame, y, None if bool((weight == weight[0]).all()) else weight

    def _weighed(self, model: BinaryClassifier, data: BinaryData) -> BinaryClassifier:
        """The model with the threshold at which errors are as rare as their class weighs; balanced ones stay."""
        if not isinstance(self.class_weight, Mapping) or self.max_fpr is not None:
            return model
        miss, alarm = (self.class_weight.get(label, 1.0) for label in (self.sensitive_, self._other))
        return model.placed_at(balanced_threshold(model.scores(data.val.x), data.val.y, miss / alarm))

    @undisturbed(CPU)
    def _margin(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.model_.margin(self._inputs(X)).numpy()

    def _inputs(self, X: Any) -> Tensor:
        return self.scaling_.transform(self._frame(X, reset=False))

    @property
    def _rate(self) -> float:
        """What a recipe is told of the threshold."""
        return BALANCED if self.max_fpr is None else self.max_fpr

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
