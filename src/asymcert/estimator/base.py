"""What the scikit-learn estimators share: labels, scaling, validation, predictions, certified radii and files."""

from __future__ import annotations

import math
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

from asymcert._checks import check_choice, check_count, check_number, refuse
from asymcert._floats import undisturbed
from asymcert.certify import Certificate
from asymcert.datasets import BinaryData
from asymcert.datasets.scaling import IMPUTATIONS, REFUSE, TableScaling
from asymcert.errors import ModelFileError
from asymcert.estimator.files import KEY, describe, restore
from asymcert.estimator.frames import as_frame, fit_scaling, is_frame
from asymcert.estimator.splits import held_back, row_weights, two_classes
from asymcert.estimator.units import Threat, certify_rows, most_lost, on_inputs
from asymcert.models.base import BinaryClassifier
from asymcert.models.thresholds import BALANCED, balanced_threshold, check_resolution
from asymcert.threats.model import ThreatModel

CPU = torch.device("cpu")


class Detector(ClassifierMixin, BaseEstimator, ABC):
    """Binary classifier of tables, whose sensitive verdicts come with a certified radius; final classes train it.

    Numbers are scaled to [0, 1] by their training range, categories become one input for each value, and a part of the
    training data is held back for the threshold. Subclasses store these parameters of theirs, among others. Samples may
    be none, but for `fit`.
    """

    norm: ClassVar[float] = 2
    """The norm that radii are given in unless another is named."""

    balances: ClassVar[bool] = False
    """Whether training itself weighs classes that are to be balanced; else it draws rows by weight."""

    sensitive: Any
    class_weight: Any
    threat: Threat | None
    max_fpr: float | None
    impute: str | None
    max_categories: int
    epochs: int
    min_steps: int
    batch_size: Any
    learning_rate: float
    validation_fraction: float
    random_state: Any

    n_features_in_: int
    model_: Any

    @abstractmethod
    def _train(self, data: BinaryData, seed: int) -> BinaryClassifier:
        """A classifier trained on scaled features."""

    @undisturbed(CPU)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on X of shape (n, d), an array or a data frame of pandas or polars, and labels y (n,) of two values.

        Columns of a frame are numbers or booleans, or they are categories: text, or a type of the frame for them.
        `sample_weight` (n,) says how often training draws each row, relative to the others; rows of weight 0 are left
        out.

        Raises
        ------
        ValueError
            Not two classes, values that are infinite or, without `impute`, missing, columns of dates or the like, fewer
            than two samples of a class, an unknown sensitive label, or a parameter out of its range.
        """
        self._check_parameters()
        frame, y, weight = self._rows(X, y, sample_weight)
        scaling = fit_scaling(frame, None if self.impute == REFUSE else self.impute, self.max_categories)
        random, sensitive = check_random_state(self.random_state), torch.as_tensor(y == self.sensitive_)
        names = str(self.sensitive_), str(self._other)
        x, share = scaling.transform(frame), self.validation_fraction
        data = held_back(x, sensitive, weight, share, random, names, scaling)
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

    def certify(self, X: Any, norm: float | str | None = None, cost: Any = None, **how: Any) -> np.ndarray:
        """Certified radii in the units of X, shape (n,), float64, rounded down.

        Parameters
        ----------
        X
            Samples of shape (n, d).
        norm
            p in [1, inf] that measures changes, another value of a category counting 1; or 0, also ``"columns"``: how
            many columns change, by whatever amount. By default the class's ``norm``.
        cost
            Optional price of one unit of change per column, positive, shape (d,).
        how
            The other arguments of `certificate`.

        Returns
        -------
        ndarray
            No change of size less than ``radius[i]`` (norm 0: of at most that size) makes sample i anything but
            sensitive; 0 where it is not predicted sensitive.
        """
        return self.certificate(X, norm, cost, **how).radius.numpy()

    @undisturbed(CPU)
    def certificate(
        self,
        X: Any,
        norm: float | str | None = None,
        cost: Any = None,
        *,
        threat: Threat | None = None,
        method: str | None = None,
        **options: Any,
    ) -> Certificate:
        """As `certify`, with margins and verdicts.

        Parameters
        ----------
        X, norm, cost
            As in `certify`.
        threat
            In place of both, the whole adversary: a `ThreatModel` whose parts have one value for each column, in the
            units of X, or a mapping with the keys of a threat file, such as ``{"norm": 0, "immutable": ["age"]}``. By
            default the parameter of that name, where `norm` and `cost` are left out.
        method, options
            As in `asymcert.certify`, which has a method for each kind of model where none is named.
        """
        check_is_fitted(self)
        return certify_rows(self.model_, self._inputs(X), self._threat(norm, cost, threat), method, **options)

    def to_onnx(
        self, path: str | Path, norm: float | str | None = None, cost: Any = None, *, threat: Threat | None = None
    ) -> Path:
        """Write an ONNX graph that takes rows of X as they are, and returns verdicts with radii.

        Each column is an input of its name, (batch,): numbers as doubles, missing ones as NaN, categories as strings,
        missing ones empty. Outputs are ``margin``, ``sensitive`` and ``radius``: that of `certify` or, where rounding
        differs, a little less.

        Parameters
        ----------
        path
            The file; what is there is replaced.
        norm, cost, threat
            As in `certificate`.

        Raises
        ------
        InputError
            A column of running text, or an adversary that does not fit.
        DependencyError
            onnx is not installed.
        """
        from asymcert.export.certified_graph import to_certified_onnx
        from asymcert.export.onnx_graph import save_onnx

        adversary = on_inputs(self._threat(norm, cost, threat), self.model)
        return save_onnx(to_certified_onnx(self.model, adversary, True, most_lost(self.model, adversary)), path)

    @property
    def model(self) -> BinaryClassifier:
        """The fitted network, on scaled features."""
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
        check_count("epochs", self.epochs)
        check_count("min_steps", self.min_steps, 0)
        check_count("batch_size", 1 if self.batch_size is None else self.batch_size)
        check_choice("impute", self.impute or REFUSE, IMPUTATIONS)
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

    def _threat(self, norm: float | str | None, cost: Any, threat: Threat | None) -> Threat:
        """The adversary that was asked for."""
        if threat is not None and (norm is not None or cost is not None):
            raise refuse(
                "threat", "left out where `norm` or `cost` is given", "both", "Put them into the threat model."
            )
        if threat is None and norm is None and cost is None:
            threat = self.threat
        if threat is not None:
            return threat
        order: Any = {None: self.norm, "columns": 0}.get(norm, norm)
        return ThreatModel(order, cost=None if cost is None else torch.as_tensor(np.asarray(cost, np.float64)))

    @undisturbed(CPU)
    def _margin(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.model_.margin(self._inputs(X)).numpy()

    def _inputs(self, X: Any) -> Tensor:
        return self.scaling_.transform(self._frame(X, reset=False))

    def _frame(self, X: Any, reset: bool) -> pl.DataFrame:
        """X, checked, as a frame; its columns are x0, x1, ... if they have no names."""
        if is_frame(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
        else:
            finite = "allow-nan" if self.impute not in (None, REFUSE) else True
            least = 1 if reset else 0
            X = validate_data(
                self, X, dtype=np.float64, reset=reset, ensure_all_finite=finite, ensure_min_samples=least
            )
        names = getattr(self, "feature_names_in_", [f"x{place}" for place in range(self.n_features_in_)])
        return as_frame(X, names)

    def _recipe(self, samples: int, batch_size: int) -> dict[str, Any]:
        """The fields of any recipe, for that many training samples."""
        batch_size = min(batch_size, samples)
        epochs = max(self.epochs, math.ceil(self.min_steps / (samples // batch_size)))
        common = {"epochs": epochs, "batch_size": batch_size, "learning_rate": self.learning_rate}
        rate = BALANCED if self.max_fpr is None else self.max_fpr
        return common | {"validate_every": epochs, "false_positive_rate": rate}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = self.impute not in (None, REFUSE)
        tags.input_tags.categorical = True
        return tags
