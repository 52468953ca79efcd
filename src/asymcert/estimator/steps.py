"""What fitted steps of scikit-learn do to the changes that an adversary can make of a table's columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from asymcert._checks import refuse
from asymcert._floats import UNIT, UP, down, norm_ratio

Values = np.ndarray
LEAST = 2.0**-1020  # quotients that underflow have an absolute error


@dataclass(frozen=True)
class Carried:
    """How far an adversary can move the columns between two steps, as they are computed.

    After a change of the raw rows of size s, ``||price * move||_p <= s + error``, p being `norm`; for p = 0 each raw
    column that changes moves one column, of its price.

    Parameters
    ----------
    norm
        0 or in [1, inf].
    price
        Of one unit of move, (d,).
    error
        What rounding adds, (n,).
    source
        The raw column that each column comes from, int (d,); None where columns are mixed.
    monotone
        Whether each column grows with its raw column, rounding included.
    """

    norm: float
    price: Values
    error: Values
    source: Values | None
    monotone: bool = True

    def of(self, places: Values) -> Carried:
        """Some of the columns, by themselves."""
        source = None if self.source is None else self.source[places]
        return replace(self, price=self.price[places], error=np.zeros_like(self.error), source=source)


def _numbers(name: str, values: Any) -> Values:
    """Columns as float64 (n, d), which is what scikit-learn computes in then."""
    array = np.asarray(values)
    if array.dtype != np.float64 and array.dtype.kind not in "biu":
        raise refuse("X", f"in float64 where step '{name}' computes", array.dtype, "Convert it: X.astype('float64').")
    array = array.astype(np.float64)
    check_no_infinity(name, array)
    if np.isnan(array).any():
        raise refuse("X", f"finite where step '{name}' computes", "missing values", "Put a SimpleImputer before it.")
    return array


def check_no_infinity(name: str, values: Any) -> None:
    """Refuse an array with infinite values, which no imputer fills."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f" and np.isinf(values).any():
        remedy = "Drop such rows, or put finite values there."
        raise refuse("X", f"finite where step '{name}' computes", "infinite values", remedy)


def _scaled(name: str, step: Any, values: Any, carried: Carried) -> Carried:
    """``slope * x + offset`` by column, by two roundings at most, then perhaps clipped.

    The two computed values before and after a change each err by ``2.1 u (2 |slope x| + |offset|)`` at their own x, and
    by one rounding more where x is converted.
    """
    if carried.norm == 0:
        return carried
    slope, offset = _affine(step)
    if not (np.isfinite(slope) & (slope > 0)).all():
        raise refuse(f"step '{name}'", "of finite and positive scales", slope.tolist(), "Drop columns without values.")
    price = carried.price / slope * down(24)
    size = 2.0 * np.abs(_numbers(name, values) * slope) + np.abs(offset) + LEAST
    return replace(carried, price=price, error=carried.error + (size * price).sum(1) * (8 * UNIT))


def _affine(step: Any) -> tuple[Values, Values]:
    """What a scaler multiplies each column with, by one rounding, and what it makes of 0."""
    if isinstance(step, MinMaxScaler):
        return _float64(step.scale_), _float64(step.min_)
    count, centre = step.n_features_in_, {StandardScaler: "mean_", RobustScaler: "center_"}.get(type(step))
    scale = np.ones(count) if step.scale_ is None else _float64(step.scale_)
    offset = None if centre is None else getattr(step, centre)
    return 1.0 / scale, np.zeros(count) if offset is None else _float64(offset) / scale


def _projected(name: str, step: PCA, values: Any, carried: Carried) -> Carried:
    """Components in l2, of the product of all prices by the projection's l2 norm.

    A sum of d products errs by ``gamma_(d + 4)`` times the sum of absolute ones (Higham 2002, section 3.1).
    """
    if carried.norm == 0:
        raise refuse(f"step '{name}'", "one that mixes no columns where they are counted", "PCA", "Ask for norm=2.")
    matrix, x = _projection(step), _numbers(name, values)
    weighed, gamma = matrix / carried.price, 4.0 * (x.shape[1] + 16) * UNIT
    grown = float(np.linalg.norm(weighed, 2) * UP + gamma * np.linalg.norm(weighed))
    price = 1.0 / (grown * norm_ratio(2.0, carried.norm, x.shape[1]) * UP)
    size = (np.abs(x) + np.abs(step.mean_)) @ np.abs(matrix).T + LEAST
    error = carried.error + size.sum(1) * gamma * price * UP
    return Carried(2.0, np.full(len(matrix), price), error, None)


def _projection(step: PCA) -> Values:
    """The matrix (components, d) that PCA multiplies with, whitening included."""
    if not step.whiten:
        return _float64(step.components_)
    scale = np.sqrt(step.explained_variance_)
    return _float64(step.components_) / _float64(np.maximum(scale, np.finfo(scale.dtype).eps))[:, None]


def _float64(values: Any) -> Values:
    return np.asarray(values, dtype=np.float64)


def _imputed(name: str, step: SimpleImputer, values: Any, carried: Carried) -> Carried:
    """What is there stays as it is."""
    fills = isinstance(step.missing_values, float) and np.isnan(step.missing_values)
    if not fills or step.add_indicator or len(step.get_feature_names_out()) != len(carried.price):
        remedy = "Leave missing_values and add_indicator as they are, and set keep_empty_features=True."
        raise refuse(f"step '{name}'", "one that fills NaN and keeps the columns", "another imputer", remedy)
    return carried


def _bent(name: str, step: Any, values: Any, carried: Carried) -> Carried:
    """Columns that stay apart, each by a function without a useful Lipschitz constant."""
    if carried.norm != 0:
        remedy = "Ask for norm='columns', or use a scaler."
        raise refuse(f"step '{name}'", "a scaler where changes are measured", type(step).__name__, remedy)
    return replace(carried, monotone=False)


def _unchanged(name: str, step: FunctionTransformer, values: Any, carried: Carried) -> Carried:
    """The identity, which is how `ColumnTransformer` passes columns through."""
    if step.func is not None:
        remedy = "Call it before the pipeline; radii are then about its values."
        raise refuse(f"step '{name}'", "one through which radii are known", "FunctionTransformer", remedy)
    return carried


Rule = Callable[[str, Any, Any, Carried], Carried]
RULES: dict[type, Rule] = {
    **dict.fromkeys((StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler), _scaled),
    **dict.fromkeys((QuantileTransformer, PowerTransformer), _bent),
    PCA: _projected,
    SimpleImputer: _imputed,
    FunctionTransformer: _unchanged,
}
LEARNT: dict[type, tuple[str, ...]] = {  # what `fit` leaves in the steps that are known; one that failed, a part of it
    **dict.fromkeys((StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler), ("n_features_in_", "scale_")),
    QuantileTransformer: ("n_features_in_", "quantiles_"),
    PowerTransformer: ("n_features_in_", "lambdas_"),
    PCA: ("n_features_in_", "components_"),
    SimpleImputer: ("n_features_in_", "statistics_"),
    ColumnTransformer: ("n_features_in_", "transformers_"),
    FunctionTransformer: (),
}
