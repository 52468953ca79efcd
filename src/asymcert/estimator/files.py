"""What an estimator's file says besides its model: parameters, classes with their type, names of columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from asymcert._checks import check_choice, check_known, refuse
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel

KEY = "estimator"  # of the facts of a model
PLAIN = (bool, int, float, str, type(None))
NUMBERS = "biuf"  # kinds of numpy's types
Estimator = TypeVar("Estimator")


def describe(estimator: Any) -> dict[str, Any]:
    """What `restore` makes the fitted estimator of, with its model; JSON-able."""
    classes, kind = estimator.classes_, estimator.classes_.dtype.kind
    return {
        "kind": type(estimator).__name__,
        "parameters": {name: stored(value) for name, value in estimator.get_params(deep=False).items()},
        "classes": stored(classes),
        "type": classes.dtype.str if kind in NUMBERS else kind,
        "sensitive": classes.tolist().index(estimator.sensitive_),
        "named": hasattr(estimator, "feature_names_in_"),
    }


def restore(kind: type[Estimator], model: BinaryClassifier) -> Estimator:
    """The fitted estimator whose model this is.

    Raises
    ------
    InputError
        The model's facts describe no estimator of this kind.
    """
    told = model.info.get(KEY)
    if not isinstance(told, Mapping) or model.scaling is None:
        raise refuse("model", f"that of a {kind.__name__}", "a model alone", "Read it with asymcert.load.")
    check_choice("kind", told["kind"], [kind.__name__])
    known = kind._get_param_names()  # pyright: ignore[reportAttributeAccessIssue] scikit-learn's own way
    check_known(told["parameters"], known, kind.__name__)
    estimator: Any = kind(**{name: restored(value) for name, value in told["parameters"].items()})
    estimator.classes_ = _labels(told["classes"], told["type"])
    estimator.sensitive_ = estimator.classes_[[0, 1].index(told["sensitive"])]
    names = [column.name for column in model.scaling.columns]
    estimator.n_features_in_ = len(names)
    if told["named"]:
        estimator.feature_names_in_ = np.array(names, dtype=object)
    estimator.model_ = model
    return estimator


def stored(value: Any) -> Any:
    """A parameter's value, JSON-able; None for what has a state of its own, such as a generator."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, ThreatModel):
        return {"threat": value.to_dict()}
    if isinstance(value, Mapping):
        return {"mapping": [[stored(key), stored(entry)] for key, entry in value.items()]}
    if isinstance(value, list | tuple):
        return [stored(entry) for entry in value]
    return value if isinstance(value, PLAIN) else None


def restored(value: Any) -> Any:
    """What `stored` was given, but that lists come back as tuples."""
    if isinstance(value, list):
        return tuple(restored(entry) for entry in value)
    if not isinstance(value, Mapping):
        return value
    ((kind, content),) = value.items()
    check_choice("kind", kind, ["threat", "mapping"])
    if kind == "threat":
        return ThreatModel.from_dict(content)
    return {restored(key): restored(entry) for key, entry in content}


def _labels(values: Any, kind: Any) -> np.ndarray:
    known = kind in ("U", "O") or (isinstance(kind, str) and np.dtype(kind).kind in NUMBERS)
    if not known or not isinstance(values, list) or len(values) != 2:
        raise refuse("classes", "two labels that are numbers or texts", f"{values!r} of type {kind!r}")
    return np.array([restored(value) for value in values], dtype=kind)
