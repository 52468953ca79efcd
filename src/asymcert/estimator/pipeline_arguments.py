"""What `certify_pipeline` is asked, checked: pipeline, rows, and the adversary of their columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from asymcert._checks import refuse
from asymcert.estimator.frames import is_frame
from asymcert.estimator.tables import TableDetector
from asymcert.estimator.units import order_of, plain_array, prices_of
from asymcert.threats.model import ThreatModel


def last_detector(pipeline: Any) -> TableDetector:
    """The last step, fitted."""
    last = pipeline.steps[-1][1] if isinstance(pipeline, Pipeline) and pipeline.steps else None
    if not isinstance(last, TableDetector):
        got = type(pipeline).__name__ if last is None else f"one that ends in {type(last).__name__}"
        remedy = "A detector alone has a certify of its own." if isinstance(pipeline, TableDetector) else ""
        raise refuse("pipeline", "a Pipeline whose last step is a detector of tables", got, remedy)
    check_is_fitted(last)
    return last


def table(X: Any) -> Any:
    """The rows as a data frame or an array."""
    try:
        values = X if is_frame(X) else plain_array(X)
    except (ValueError, TypeError, RuntimeError):  # what numpy says is about its own shapes
        got = f"a {type(X).__name__} that is none"
        raise refuse("X", "a dense table (n, d)", got, "Give all rows the same length.") from None
    if len(values.shape) != 2:
        raise refuse("X", "a dense table (n, d)", f"shape {values.shape}")
    return values


def members(pipeline: Pipeline) -> Iterator[tuple[str, Any]]:
    """Steps that do something, those of pipelines within included."""
    for name, step in pipeline.steps:
        if isinstance(step, Pipeline):
            yield from members(step)
        elif step is not None and not isinstance(step, str):
            yield name, step


def check_columns(blamed: str, name: str, step: Any, values: Any) -> None:
    """Refuse columns other than those that a step was fitted on: numpy and pandas would, in words of their own."""
    remedy = "Pass the columns that the pipeline was fitted on."
    known, names = list(getattr(step, "feature_names_in_", ())), list(getattr(values, "columns", ()))
    named = known and names and all(isinstance(column, str) for column in names)
    if named and known != names:
        raise refuse("X", f"of the columns {known} in that order", names, remedy)
    wanted, width = getattr(step, "n_features_in_", None), values.shape[1]
    if wanted in (None, width):
        return
    if blamed == "X":
        raise refuse("X", f"of {wanted} columns, on which step '{name}' was fitted", f"{width} columns", remedy)
    remedy = "Fit the pipeline as a whole: pipeline.fit(X, y)."
    raise refuse(blamed, f"fitted on the {width} columns that it gets", f"one fitted on {wanted}", remedy)


def adversary_of(detector: TableDetector, norm: Any, cost: Any, threat: ThreatModel | None) -> ThreatModel:
    """Of the raw columns."""
    if threat is None:
        return ThreatModel(_order(detector, norm), cost=None if cost is None else prices_of(cost))
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


def _order(detector: TableDetector, norm: Any) -> float:
    """The p of raw changes that was asked for."""
    if norm is None and detector.threat is not None:
        remedy = "The detector's own is about the columns that the steps make: name a norm or threat of the raw ones."
        raise refuse("norm", "given, or `threat`, where the detector has a threat of its own", None, remedy)
    return order_of(norm, detector.norm)
