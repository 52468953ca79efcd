"""Adversaries of the columns that users have, and radii, in those columns' units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert._floats import UNIT, down
from asymcert.certify import Certificate, certify
from asymcert.datasets.columns import NumericColumn
from asymcert.datasets.scaling import TableScaling
from asymcert.models.base import BinaryClassifier
from asymcert.threats.file import parse_threat
from asymcert.threats.model import COUNTED, ThreatModel
from asymcert.threats.table import TableThreat

Threat = ThreatModel | Mapping[str, Any]


def certify_rows(model: BinaryClassifier, x: Tensor, threat: Threat, method: str | None, **options: Any) -> Certificate:
    """Certificates whose radii are in the units of the columns, for inputs (n, d) in double precision.

    Parameters
    ----------
    model
        Classifier of a table.
    x
        What rows became by its scaling.
    threat
        As in `on_inputs`.
    method, options
        As in `asymcert.certify`.
    """
    assert model.scaling is not None
    adversary = on_inputs(threat, model)
    TableThreat(model.scaling).check_inside(adversary, x)
    found = certify(model, x, adversary, method, **options)
    if adversary.norm == 0:
        return found
    return replace(found, radius=without_scaling_error(found.radius, x, _rounded_prices(model.scaling, adversary)))


def most_lost(model: BinaryClassifier, threat: ThreatModel) -> float:
    """What `without_scaling_error` subtracts at most from radii against an adversary on inputs; 0 for norm 0."""
    assert model.scaling is not None
    largest = torch.ones(1, *model.input_shape, dtype=torch.float64)
    return float(_scaling_error(largest, _rounded_prices(model.scaling, threat))) if threat.norm else 0.0


def _rounded_prices(scaling: TableScaling, threat: ThreatModel) -> Tensor:
    """Of one unit of scaled change of the features that scaling rounds, those of numbers; else 0: (d,)."""
    numbers = torch.tensor(
        [isinstance(column, NumericColumn) for column in scaling.columns for _ in range(column.inputs)]
    )
    return torch.where(numbers, threat.cost_for((len(numbers),)), 0.0)


def on_inputs(threat: Threat, model: BinaryClassifier) -> ThreatModel:
    """What is said of the columns, said of the model's inputs.

    Parameters
    ----------
    threat
        Parts of one value for each column, or the same for all, in the units of the columns: bounds, and the price of
        one unit of change (of a category: of another value; for norm 0: of any change). Bounds of categories are
        ignored. Or a mapping with the keys of a threat file, which names columns; prices that it leaves out are 1.
    model
        Classifier of a table.

    Raises
    ------
    InputError
        Parts that do not fit the columns, or a direction of a category.
    """
    assert model.scaling is not None
    values = _named(threat, model.scaling) if isinstance(threat, ThreatModel) else dict(threat)
    if isinstance(values.setdefault("cost", {}), Mapping):
        values["cost"] = {"*": 1.0} | values["cost"]
    return parse_threat(values, model)


def _named(threat: ThreatModel, scaling: TableScaling) -> dict[str, Any]:
    """The same by the names of columns."""
    names = [column.name for column in scaling.columns]
    if any(getattr(threat, part) is not None for part in (*COUNTED, "limits")):
        remedy = "Each column is one; name limits by column in a mapping."
        raise refuse("threat", f"without {', '.join(COUNTED)} and limits", "one that has them", remedy)
    threat.check(torch.empty(0, len(names)))
    parts = {
        part: dict(zip(names, torch.as_tensor(value).expand(len(names)).tolist(), strict=True))
        for part in ("lower", "upper", "cost", "mutable", "direction")
        if (value := getattr(threat, part)) is not None
    }
    values: dict[str, Any] = {"norm": threat.norm, "name": threat.name, "cost": parts.get("cost", {})}
    numbers = [column.name for column in scaling.columns if isinstance(column, NumericColumn)]
    for end in ("lower", "upper"):
        if end in parts:
            values[end] = {name: parts[end][name] for name in numbers}
    if "mutable" in parts:
        values["immutable"] = [name for name, mutable in parts["mutable"].items() if not mutable]
    for key, sign in (("increase_only", 1), ("decrease_only", -1)):
        values[key] = [name for name, direction in parts.get("direction", {}).items() if direction == sign]
    return values


def without_scaling_error(radius: Tensor, scaled: Tensor, price: Tensor) -> Tensor:
    """Radii for changes before scaling, from radii for changes of the scaled features as they are computed.

    A scaled feature has two rounding errors: it is ``(feature - minimum) / range * (1 + e)``, ``|e| < 2.1 u``, clipped
    to [0, 1]. So the computed change is at most ``(1 + 3 u)`` times the exact one plus ``5 u`` times the scaled feature
    itself.

    Parameters
    ----------
    radius
        (n,), float64, of any norm from 1 on.
    scaled
        Scaled features, (n, d), float64.
    price
        Of one unit of scaled change, (d,); 0 for features that are exact.
    """
    less = (radius - _scaling_error(scaled, price)) * down(8)
    return torch.where(radius.isinf(), radius, less.nan_to_num(0.0).clamp(min=0.0))


def _scaling_error(scaled: Tensor, price: Tensor) -> Tensor:
    size = scaled.abs() + 2.0**-1020  # quotients that underflow have an absolute error
    return (size * price).sum(dim=1) * (8 * UNIT)  # the l1 norm is the greatest


def order_of(norm: Any, default: float) -> float:
    """The p that was asked for, of changes in the units of X."""
    if norm is None:
        return default
    if isinstance(norm, str) and norm == "columns":
        return 0.0
    if isinstance(norm, bool) or not isinstance(norm, Real) or not (norm == 0 or cast(float, norm) >= 1):
        raise refuse("norm", "a number in [1, inf], 0 or 'columns'", repr(norm), "Example: norm=2")
    return cast(float, norm)


def prices_of(cost: Any) -> Tensor:
    """One price, or one for each column of X, from what numpy can read; float64."""
    try:
        array = plain_array(cost)
        if array.dtype.kind not in "iufO":  # texts and booleans would become numbers
            raise TypeError
        return torch.as_tensor(array.astype(np.float64))
    except (TypeError, ValueError, RuntimeError, OverflowError):
        remedy = "List one price for each column of X, in their order."
        raise refuse("cost", "a number, or one for each column", repr(cost)[:80], remedy) from None


def plain_array(values: Any) -> np.ndarray:
    """What numpy makes of it, tensors that carry gradients included."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
