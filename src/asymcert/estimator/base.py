"""What the scikit-learn estimators share: labels, scaling, validation, predictions and certified radii."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from asymcert._checks import check_choice, check_count, refuse
from asymcert._floats import UNIT, down, undisturbed
from asymcert.certify import Certificate, certify
from asymcert.datasets import BinaryData, Split
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel

CPU = torch.device("cpu")


class Detector(ClassifierMixin, BaseEstimator, ABC):
    """Binary classifier on arrays, whose sensitive verdicts come with a certified radius; final classes train it.

    Features are scaled to [0, 1] by their training range, and a part of the training data is held back for the
    threshold. Subclasses store these parameters of theirs, among others. Samples may be none, but for `fit`.
    """

    norm: ClassVar[float] = 2
    """The norm that radii are given in unless another is named."""

    method: ClassVar[str]
    """The kind of certificate."""

    sensitive: Any
    epochs: int
    min_steps: int
    batch_size: int
    validation_fraction: float
    random_state: Any

    @abstractmethod
    def _train(self, data: BinaryData, seed: int) -> BinaryClassifier:
        """A classifier trained on scaled features."""

    @undisturbed(CPU)
    def fit(self, X: Any, y: Any) -> Self:
        """Train on X of shape (n, d) and labels y of shape (n,) with exactly two values.

        Raises
        ------
        ValueError
            Not two classes, NaN, fewer than two samples of a class, an unknown sensitive label, or a parameter out of
            its range.
        """
        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) != 2:
            count = f"{len(self.classes_)} class{'' if len(self.classes_) == 1 else 'es'}"
            raise ValueError(f"Only binary classification is supported. `y` must have two classes, got {count}.")
        self.sensitive_ = self.classes_[1] if self.sensitive is None else self.sensitive
        check_choice("sensitive", self.sensitive_, self.classes_.tolist())
        self.minimum_ = X.min(axis=0)
        with np.errstate(over="ignore"):
            extent = X.max(axis=0) - self.minimum_
        if not np.isfinite(extent).all():
            raise refuse("X", "of finite range", f"an overflow in feature {int(np.argmax(extent))}", "Rescale it.")
        self.range_ = np.where(extent > 0, extent, 1.0)
        random = check_random_state(self.random_state)
        data = self._split(self._scale(X), torch.as_tensor(y == self.sensitive_), random)
        self.model_ = self._train(data, int(random.randint(2**31 - 1)))
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

    def certify(self, X: Any, norm: float | None = None, cost: Any = None) -> np.ndarray:
        """Certified radii in the units of X, shape (n,), float64, rounded down.

        Parameters
        ----------
        X
            Samples of shape (n, d).
        norm
            p in [1, inf] that measures changes, by default the class's ``norm``.
        cost
            Optional price of one unit of change per feature, positive, shape (d,).

        Returns
        -------
        ndarray
            No change of size less than ``radius[i]`` makes sample i anything but sensitive; 0 where it is not
            predicted sensitive.
        """
        return self.certificate(X, norm, cost).radius.numpy()

    @undisturbed(CPU)
    def certificate(self, X: Any, norm: float | None = None, cost: Any = None) -> Certificate:
        """As `certify`, with margins and verdicts."""
        check_is_fitted(self)
        price = np.ones_like(self.range_) if cost is None else np.asarray(cost, dtype=np.float64)
        if price.shape != self.range_.shape:
            raise refuse("cost", f"of shape {self.range_.shape}", f"shape {price.shape}")
        # A unit of scaled change is `range_` units of X, so that is what it costs, rounded down.
        scaled_price = torch.as_tensor(np.nextafter(price * self.range_, 0.0))
        threat = ThreatModel(self.norm if norm is None else norm, cost=scaled_price)
        scaled = self._checked(X)
        found = certify(self.model_, scaled, threat, self.method)
        return replace(found, radius=without_scaling_error(found.radius, scaled, price * self.range_))

    @property
    def model(self) -> BinaryClassifier:
        """The fitted network, on scaled features."""
        check_is_fitted(self)
        return self.model_

    @property
    def _other(self) -> Any:
        return self.classes_[0] if self.sensitive_ == self.classes_[1] else self.classes_[1]

    def _check_parameters(self) -> None:
        check_count("epochs", self.epochs)
        check_count("min_steps", self.min_steps, 0)
        check_count("batch_size", self.batch_size)
        if not isinstance(self.validation_fraction, Real) or not 0 < self.validation_fraction < 1:
            raise refuse("validation_fraction", "a number above 0 and below 1", repr(self.validation_fraction))

    @undisturbed(CPU)
    def _margin(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.model_.margin(self._checked(X)).numpy()

    def _checked(self, X: Any) -> torch.Tensor:
        return self._scale(np.asarray(validate_data(self, X, dtype=np.float64, reset=False, ensure_min_samples=0)))

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

    def _schedule(self, samples: int) -> tuple[int, int]:
        """Batch size and epochs for that many training samples."""
        batch_size = min(self.batch_size, samples)
        return batch_size, max(self.epochs, math.ceil(self.min_steps / (samples // batch_size)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


def without_scaling_error(radius: torch.Tensor, scaled: torch.Tensor, price: np.ndarray) -> torch.Tensor:
    """Radii for changes before scaling, from radii for changes of the scaled features as they are computed.

    A scaled feature has two rounding errors: it is ``(feature - minimum) / range * (1 + e)``, ``|e| < 2.1 u``. So the
    computed change is at most ``(1 + 3 u)`` times the exact one plus ``5 u`` times the scaled feature itself.

    Parameters
    ----------
    radius
        (n,), float64, of any norm.
    scaled
        Scaled features, (n, d), float64.
    price
        Of one unit of scaled change, (d,).
    """
    size = scaled.abs() + 2.0**-1020  # quotients that underflow have an absolute error
    error = (size * torch.as_tensor(price)).sum(dim=1) * (8 * UNIT)  # the l1 norm is the greatest
    less = (radius - error) * down(8)
    return torch.where(radius.isinf(), radius, less.nan_to_num(0.0).clamp(min=0.0))
