"""What is compared on tables: ours, models that are additive, and trees that count columns or are verified."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from asymcert._floats import NORMS
from asymcert.certify import Tangent, certifier_for
from asymcert.compare.contenders import COMPARED
from asymcert.compare.methods import BUDGETS, Curve, Method, trained
from asymcert.compare.settings import AS_IT_IS, Setting
from asymcert.datasets import BinaryData
from asymcert.models.base import BinaryClassifier
from asymcert.threats.table import TableThreat
from asymcert.training.trees import columns_of, strongest, train_ablation, train_partition, train_trees

COLUMNS = 0.0  # the norm that counts them
EVERY = (COLUMNS, *NORMS)
PARTS = (5, 9, 15, 25)  # of the columns, to choose from on validation data
KEPT = (1 / 16, 1 / 8, 1 / 4)  # shares of the columns, the same
DRAWS: dict[str, Any] = {"n0": 100, "n": 1000}
PLAIN: dict[str, Any] = {"target_columns": 0, "members": 1, "dropout": 0.0, "label_smoothing": 0.0}
CHOICE = 200  # validation attacks that a share of kept columns is chosen on


def methods_for(data: BinaryData) -> Mapping[str, Method]:
    """The methods that are compared on this kind of data, by name."""
    return COMPARED if data.scaling is None else FOR_TABLES


def _partition(data: BinaryData, *, seed: int, **others: Any) -> BinaryClassifier:
    """As many parts as keep most validation attacks flagged."""
    assert data.scaling is not None
    threat, certifier = TableThreat(data.scaling).counting(), certifier_for("tree-columns")
    counts = [parts for parts in PARTS if parts <= int(columns_of(data).max()) + 1] or [1]
    models = [train_partition(data, parts, seed=seed) for parts in counts]
    return strongest(models, data, lambda model, x: certifier.certify(model, x, [threat])[0].radius)


def _ablation(data: BinaryData, *, seed: int, **others: Any) -> BinaryClassifier:
    """As many columns kept as keep most validation attacks flagged."""
    assert data.scaling is not None
    threat, certifier = TableThreat(data.scaling).counting(), certifier_for("ablation", n0=20, n=200, seed=seed)
    columns = int(columns_of(data).max()) + 1
    counts = sorted({max(1, round(share * columns)) for share in KEPT})
    models = [train_ablation(data, kept, seed=seed) for kept in counts]
    return strongest(models, data, lambda model, x: certifier.certify(model, x[:CHOICE], [threat])[0].radius)


def _trees(data: BinaryData, *, seed: int, **others: Any) -> BinaryClassifier:
    return train_trees(data, seed=seed)


def _convex(
    name: str, label: str, deviation: str, ours: bool, knob: tuple[Setting, ...] = (AS_IT_IS,), **options: Any
) -> Method:
    """A convex score of the columns, certified by its tangent planes; refined where columns are counted."""
    curves = [Curve(f"{label}, tangent", Tangent(), norms=EVERY)]
    if ours:
        curves.append(Curve(f"{label}, refined", certifier_for("refined", cuts=4), norms=(COLUMNS,)))
    train = partial(trained, "feature-convex", **options)
    return Method(name, label, EVERY, train, tuple(curves), dict.fromkeys(BUDGETS, deviation), "", ours=ours, knob=knob)


_COUNTED = (AS_IT_IS, *(Setting(f"{count}-columns", {"target_columns": count}) for count in (1, 8, 2, 6)))
_SAME = "not published: trained as ours"
_ALL = (
    _convex("feature-convex", "Feature-convex", "our own recipe for tables", True),
    _convex(
        "feature-convex-columns",
        "Feature-convex for columns",
        "our own recipe, a larger score trained for columns",
        True,
        knob=_COUNTED,
        preset="columns",
        target_columns=4,
    ),
    _convex("additive", "Additive", _SAME, False, architecture="additive"),
    _convex(
        "additive-columns",
        "Additive for columns",
        _SAME,
        False,
        architecture="additive",
        knob=_COUNTED,
        preset="columns",
        target_columns=4,
    ),
    _convex(
        "logistic-regression",
        "Logistic regression",
        "Adam in place of a convex solver",
        False,
        architecture="additive",
        feature_map="centre",
        **PLAIN,
    ),
    Method(
        "feature-partition",
        "Feature partition",
        (COLUMNS,),
        _partition,
        (Curve("Feature partition", certifier_for("tree-columns"), norms=(COLUMNS,)),),
        dict.fromkeys(BUDGETS, "number of parts chosen on validation data; one random partition"),
        "",
    ),
    Method(
        "ablation",
        "Randomized ablation",
        (COLUMNS,),
        _ablation,
        (Curve("Randomized ablation", certifier_for("ablation", **DRAWS), norms=(COLUMNS,)),),
        dict.fromkeys(
            BUDGETS, "boosted trees in place of a network; 1,000 draws in place of 10,000; kept columns chosen"
        ),
        "",
        deterministic=False,
    ),
    Method(
        "trees",
        "Boosted trees",
        (math.inf,),
        _trees,
        (
            Curve("Boosted trees, Veritas", certifier_for("veritas"), 0.1, optional=True),
            Curve("Boosted trees, a sort of columns", certifier_for("tree-columns"), norms=(COLUMNS,)),
        ),
        dict.fromkeys(BUDGETS, "scikit-learn's defaults; one second for each sample"),
        "",
    ),
)
FOR_TABLES: dict[str, Method] = {method.name: method for method in _ALL}
