"""A scikit-learn pipeline before a detector: radii in the units of what goes into the pipeline."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from asymcert._checks import refuse
from asymcert._floats import down
from asymcert.certify import Certificate
from asymcert.errors import AsymcertError
from asymcert.estimator.pipeline_arguments import adversary_of, check_columns, last_detector, members, table
from asymcert.estimator.steps import LEARNT, RULES, Carried, check_no_infinity
from asymcert.estimator.tables import TableDetector
from asymcert.threats.model import ThreatModel


def certify_pipeline(
    pipeline: Pipeline,
    X: Any,
    norm: float | str | None = None,
    cost: Any = None,
    *,
    threat: ThreatModel | None = None,
    method: str | None = None,
    **options: Any,
) -> Certificate:
    """Certify a fitted pipeline that ends in a detector of tables, in the units of what goes into it.

    Scalers (standard, min-max, max-abs, robust) change each column's price by exactly what they multiply it with, and
    their own rounding is subtracted. PCA turns prices into one, in l2. Where columns are counted (norm 0), quantile and
    power transformers may stand there as well. These may be put together by `ColumnTransformer` and `Pipeline`. After
    `SimpleImputer`, changes of a value that is missing are measured from what fills it.

    Parameters
    ----------
    pipeline
        Its last step is a `FeatureConvexDetector` or a `LinfDistanceDetector`.
    X
        Raw rows (n, d): what `pipeline.predict` takes; numbers that are scaled in float64 or integers. They stay as
        they are, also where a step has ``copy=False``.
    norm, cost
        As in the detector's `certify`, about the d raw columns; by default the norm of the detector's class. A detector
        with a `threat` of its own, which is about what the steps make, has no default here.
    threat
        In place of both, the adversary of the raw columns; bounds cannot be named.
    method, options
        As in `asymcert.certify`.

    Returns
    -------
    Certificate
        Of n samples. Radii are sizes of changes of X under ``threat``, rounded down. ``upper`` is None after any step:
        the detector's worst input need not be one that the steps make of any raw row.

    Raises
    ------
    InputError
        A step through which no radius is known (the message names it), a column that is used twice, or rows that the
        pipeline or the adversary does not fit.
    NotFittedError
        The detector or a step, which the message names, is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from asymcert.estimator import FeatureConvexDetector
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), FeatureConvexDetector(sensitive=0, random_state=0)).fit(X, y)
    >>> certificate = certify_pipeline(pipeline, X, norm=1)
    >>> bool((certificate.sensitive.numpy() == (pipeline.predict(X) == 0)).all())
    True
    """
    detector = last_detector(pipeline)
    values = table(X)
    check_columns("X", *next(members(pipeline)), values)
    adversary = adversary_of(detector, norm, cost, threat)
    rows, columns = values.shape
    adversary.check(torch.empty(0, columns))
    price = adversary.cost_for((columns,)).detach().cpu().numpy()
    carried = Carried(adversary.norm, price, np.zeros(rows), np.arange(columns))
    for name, step in pipeline.steps[:-1]:
        carried, values = _through(name, step, values, carried)
    _check_last(pipeline.steps[-1][0], detector, values)
    found = detector.certificate(values, threat=_on_columns(adversary, carried, columns), method=method, **options)
    return _before(found, adversary, carried, alone=len(pipeline.steps) == 1)


def _check_last(name: str, detector: TableDetector, values: Any) -> None:
    """Refuse what the detector cannot read, in the words of a pipeline."""
    check_columns(f"step '{name}'", name, detector, values)
    check_no_infinity(name, values)
    _on_rows(name, lambda rows: detector._frame(rows, reset=False), values)


def _on_columns(adversary: ThreatModel, carried: Carried, raw: int) -> ThreatModel:
    """What the adversary of so many raw columns can do to the detector's."""
    parts: dict[str, Any] = {}
    for name in ("mutable", "direction"):
        part = getattr(adversary, name)
        if part is None:
            continue
        if carried.source is None or (name == "direction" and not carried.monotone):
            raise refuse("threat", f"without {name} where a step mixes or bends columns", "one with it")
        parts[name] = part.expand(raw)[torch.from_numpy(carried.source)]
    return ThreatModel(carried.norm, cost=torch.from_numpy(carried.price), **parts)


def _before(found: Certificate, adversary: ThreatModel, carried: Carried, alone: bool) -> Certificate:
    """The certificate of the raw rows, from that of the detector's columns.

    Steps leave gaps (ties of a quantile transformer, ends that clip), and what undoes the verdict may lie in one.
    """
    radius, upper = found.radius, found.upper if alone else None
    if adversary.norm != 0:
        less = ((radius - torch.from_numpy(carried.error)) * down(8)).clamp(min=0.0)
        radius, upper = torch.where(radius.isinf(), radius, less), None
    slope = torch.full_like(found.margin, torch.nan)
    return Certificate(radius, found.margin, slope, adversary, found.method, found.sound, upper=upper)


def _through(name: str, step: Any, values: Any, carried: Carried) -> tuple[Carried, Any]:
    """What a fitted step makes of the columns, and of what is known of them."""
    if step is None or isinstance(step, str):  # passthrough
        return carried, values
    if type(step) is Pipeline:
        for inner, member in step.steps:
            carried, values = _through(f"{name}__{inner}", member, values, carried)
        return carried, values
    if type(step) not in LEARNT:
        remedy = "Leave it out, or certify what it makes: pipeline[-1].certify(pipeline[:-1].transform(X))."
        if type(step).__name__.endswith("Encoder"):
            remedy = "Detectors encode categories themselves: pass the columns through, as a data frame."
        raise refuse(f"step '{name}'", "one through which radii are known", type(step).__name__, remedy)
    _check_fitted(name, step)
    check_columns(f"step '{name}'", name, step, values)
    if type(step) is ColumnTransformer:
        carried = _columns(name, step, values, carried)
    else:
        check_no_infinity(name, values)
        carried = RULES[type(step)](name, step, values, carried)
    return carried, _transformed(name, step, values)


def _check_fitted(name: str, step: Any) -> None:
    if not all(hasattr(step, attribute) for attribute in LEARNT[type(step)]):
        kind = type(step).__name__
        raise NotFittedError(f"`pipeline` must be fitted, got step '{name}' ({kind}) that is not. Call pipeline.fit.")


def _transformed(name: str, step: Any, values: Any) -> Any:
    """What a step makes of a copy: with ``copy=False`` it writes into what it gets, the caller's rows or views."""
    return _on_rows(name, step.transform, np.array(values) if isinstance(values, np.ndarray) else copy.deepcopy(values))


def _on_rows(name: str, run: Callable[[Any], Any], values: Any) -> Any:
    """What a step makes of rows; where scikit-learn refuses them, X is at fault."""
    try:
        return run(values)
    except AsymcertError:
        raise
    except (ValueError, TypeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        remedy = "Pass rows like those that the pipeline was fitted on."
        raise refuse("X", f"what step '{name}' can read", said, remedy) from None


def _columns(name: str, step: Any, values: Any, carried: Carried) -> Carried:
    """Every transformer on columns of its own, next to each other."""
    if step.transformer_weights:
        raise refuse(f"step '{name}'", "without transformer_weights", "some", "Scale by a scaler.")
    used: list[int] = []
    parts: list[Carried] = []
    for inner, transformer, columns in step.transformers_:
        places = _places(name, step, columns)
        if (isinstance(transformer, str) and transformer == "drop") or not len(places):
            continue
        chosen = values.iloc[:, places] if hasattr(values, "iloc") else values[:, places.tolist()]
        part = _through(f"{name}__{inner}", transformer, chosen, carried.of(places))[0]
        if part.norm != carried.norm:
            got = f"norm {carried.norm:g}"
            raise refuse(f"step '{name}__{inner}'", "before all columns, or asked about in norm 2", got)
        used += places.tolist()
        parts.append(part)
    if len(set(used)) < len(used):
        raise refuse(f"step '{name}'", "one that uses each column once", "a column in several transformers")
    sources = [part.source for part in parts if part.source is not None]
    return Carried(
        carried.norm,
        np.concatenate([part.price for part in parts]),
        carried.error + sum(part.error for part in parts),
        np.concatenate(sources) if len(sources) == len(parts) else None,
        all(part.monotone for part in parts),
    )


def _places(name: str, step: Any, columns: Any) -> np.ndarray:
    """Numbers of the columns that a transformer takes."""
    numbers = np.arange(step.n_features_in_)
    if isinstance(columns, slice) and (isinstance(columns.start, str) or isinstance(columns.stop, str)):
        raise refuse(f"step '{name}'", "of columns in lists", "a slice of names", "List the names.")
    if isinstance(columns, slice):
        return numbers[columns]
    listed = np.atleast_1d(np.asarray(columns))
    if listed.dtype.kind in "OU" and len(listed):
        known = list(step.feature_names_in_)
        return np.array([known.index(column) for column in listed.tolist()])
    return numbers[listed] if len(listed) else numbers[:0]
