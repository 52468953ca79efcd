"""A scikit-learn pipeline before a detector: radii in the units of what goes into the pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from asymcert._checks import refuse
from asymcert._floats import down
from asymcert.certify import Certificate
from asymcert.estimator.frames import is_frame
from asymcert.estimator.steps import RULES, Carried
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
        Raw rows (n, d): what `pipeline.predict` takes; numbers that are scaled in float64 or integers.
    norm, cost
        As in the detector's `certify`, about the d raw columns; by default the norm of the detector's class.
    threat
        In place of both, the adversary of the raw columns; bounds cannot be named.
    method, options
        As in `asymcert.certify`.

    Returns
    -------
    Certificate
        Of n samples. Radii are sizes of changes of X under ``threat``, rounded down.

    Raises
    ------
    InputError
        A step through which no radius is known (the message names it), a column that is used twice, or rows that the
        pipeline or the adversary does not fit.

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
    detector = pipeline[-1] if isinstance(pipeline, Pipeline) else pipeline
    if not isinstance(pipeline, Pipeline) or not isinstance(detector, TableDetector):
        got = f"one that ends in {type(detector).__name__}"
        raise refuse("pipeline", "a Pipeline whose last step is a detector of tables", got)
    check_is_fitted(detector)
    values = X if is_frame(X) else np.asarray(X)
    if len(values.shape) != 2:
        raise refuse("X", "a dense table (n, d)", f"shape {values.shape}")
    adversary = _adversary(detector, norm, cost, threat)
    rows, columns = values.shape
    adversary.check(torch.empty(0, columns))
    price = adversary.cost_for((columns,)).numpy()
    carried = Carried(adversary.norm, price, np.zeros(rows), np.arange(columns))
    for name, step in pipeline.steps[:-1]:
        carried, values = _through(name, step, values, carried)
    found = detector.certificate(values, threat=_on_columns(adversary, carried, columns), method=method, **options)
    return _before(found, adversary, carried)


def _adversary(detector: TableDetector, norm: Any, cost: Any, threat: ThreatModel | None) -> ThreatModel:
    """Of the raw columns."""
    if threat is None:
        order: Any = {None: detector.norm, "columns": 0}.get(norm, norm)
        return ThreatModel(order, cost=None if cost is None else torch.as_tensor(np.asarray(cost, np.float64)))
    if norm is not None or cost is not None:
        raise refuse("threat", "left out where `norm` or `cost` is given", "both", "Put them into the threat model.")
    if not isinstance(threat, ThreatModel):
        raise refuse("threat", "a ThreatModel", type(threat).__name__, "Its parts have one value for each raw column.")
    parts = ("lower", "upper", "groups", "exclusive", "limits", "edits")
    others = [part for part in parts if getattr(threat, part) is not None]
    if others:
        remedy = "Leave them out: radii then hold against more."
        raise refuse("threat", "of norm, cost, mutable and direction before a pipeline", ", ".join(others), remedy)
    return threat


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


def _before(found: Certificate, adversary: ThreatModel, carried: Carried) -> Certificate:
    """The certificate of the raw rows, from that of the detector's columns."""
    radius, upper = found.radius, found.upper
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
    if type(step) is ColumnTransformer:
        carried = _columns(name, step, values, carried)
    elif type(step) not in RULES:
        remedy = "Leave it out, or certify what it makes: pipeline[-1].certify(pipeline[:-1].transform(X))."
        if type(step).__name__.endswith("Encoder"):
            remedy = "Detectors encode categories themselves: pass the columns through, as a data frame."
        raise refuse(f"step '{name}'", "one through which radii are known", type(step).__name__, remedy)
    else:
        carried = RULES[type(step)](name, step, values, carried)
    return carried, step.transform(values)


def _columns(name: str, step: Any, values: Any, carried: Carried) -> Carried:
    """Every transformer on columns of its own, next to each other."""
    own, names = getattr(step, "feature_names_in_", None), getattr(values, "columns", None)
    if own is not None and names is not None and list(own) != list(names):
        raise refuse("X", f"of the columns {list(own)} in that order", list(names))
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
