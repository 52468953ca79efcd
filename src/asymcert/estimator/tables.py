"""What the scikit-learn estimators of tables share: columns, scaling, certified radii in their units, and graphs."""

from __future__ import annotations

import math
from abc import ABC
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from asymcert._checks import check_choice, check_count, refuse
from asymcert._floats import undisturbed
from asymcert.certify import Certificate
from asymcert.datasets.scaling import IMPUTATIONS, REFUSE, TableScaling
from asymcert.estimator.base import CPU, Detector
from asymcert.estimator.frames import as_frame, fit_scaling, is_frame
from asymcert.estimator.units import Threat, certify_rows, most_lost, on_inputs, order_of, prices_of
from asymcert.threats.model import ThreatModel


class TableDetector(Detector, ABC):
    """Binary classifier of tables: arrays (n, d), or data frames of pandas or polars.

    Columns of a frame are numbers or booleans, or they are categories: text, or a type of the frame for them. Numbers
    are scaled to [0, 1] by their training range, categories become one input for each value. Values that are infinite,
    columns of dates or the like, and without `impute` missing values are refused.
    """

    norm: ClassVar[float] = 2
    """The norm that radii are given in unless another is named."""

    threat: Threat | None
    impute: str | None
    max_categories: int
    epochs: int
    min_steps: int
    batch_size: Any
    learning_rate: float

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

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_count("epochs", self.epochs)
        check_count("min_steps", self.min_steps, 0)
        check_count("batch_size", 1 if self.batch_size is None else self.batch_size)
        check_choice("impute", self.impute or REFUSE, IMPUTATIONS)

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
        if norm is None and self.threat is not None:
            what = "given with `cost` where the detector has a threat of its own"
            raise refuse("norm", what, None, "Example: norm=2")
        return ThreatModel(order_of(norm, self.norm), cost=None if cost is None else prices_of(cost))

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

    def _scaled(self, frame: pl.DataFrame) -> tuple[Tensor, TableScaling]:
        scaling = fit_scaling(frame, None if self.impute == REFUSE else self.impute, self.max_categories)
        return scaling.transform(frame), scaling

    def _recipe(self, samples: int, batch_size: int) -> dict[str, Any]:
        """The fields of any recipe, for that many training samples."""
        batch_size = min(batch_size, samples)
        epochs = max(self.epochs, math.ceil(self.min_steps / (samples // batch_size)))
        common = {"epochs": epochs, "batch_size": batch_size, "learning_rate": self.learning_rate}
        return common | {"validate_every": epochs, "false_positive_rate": self._rate}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.impute not in (None, REFUSE)
        tags.input_tags.categorical = True
        return tags
