"""Training of trees by scikit-learn's histogram gradient boosting, which become plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from asymcert._checks import check_count, refuse
from asymcert.datasets import BinaryData
from asymcert.models.ablated import ABLATED, AblatedClassifier, shown_columns
from asymcert.models.thresholds import balanced_threshold
from asymcert.models.trees import TreeClassifier, Trees, TreeSum, TreeVote
from asymcert.threats.table import TableThreat

SURVIVED = (1, 2, 3, 5)  # changed columns that the choice of a strength counts
ACCURACY_LOST = 0.05  # balanced accuracy that a strength may cost, against the most accurate one
COPIES = 20  # of each training sample, with other columns ablated
Model = TypeVar("Model", bound=TreeClassifier)


def train_trees(data: BinaryData, *, seed: int = 0, **options: Any) -> TreeSum:
    """Gradient-boosted trees with scikit-learn's defaults, threshold balanced on validation data.

    Parameters
    ----------
    data
        Training and validation splits are used.
    seed
        Of the boosting.
    options
        Of `sklearn.ensemble.HistGradientBoostingClassifier`.
    """
    trees, base = boosted(data.train.x, data.train.y, range(data.input_shape[0]), seed, **options)
    joined = Trees.joined(data.input_shape[0], trees, [0] * len(trees), [base])
    return balanced(TreeSum(joined, **named(data)), data)


def train_partition(data: BinaryData, parts: int, *, seed: int = 0, **options: Any) -> TreeVote:
    """Gradient-boosted trees on disjoint parts of the columns, drawn by `seed`, and a vote.

    Each part's own verdict and the number of votes that are needed are balanced on validation data.

    Parameters
    ----------
    data
        Training and validation splits are used; a column of a table stays whole.
    parts
        How many, at most the number of columns.
    seed, options
        As in `train_trees`.

    Source: Hammoudeh and Lowd, Feature Partition Aggregation, 2023.
    """
    groups = columns_of(data)
    count = int(groups.max()) + 1
    check_count("parts", parts)
    if parts > count:
        raise refuse("parts", f"at most the {count} columns", parts)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    trees: list[dict[str, Tensor]] = []
    owner, bases = [], []
    for part in range(parts):
        inputs = torch.isin(groups, order[part::parts]).nonzero()[:, 0].tolist()
        own, base = boosted(data.train.x, data.train.y, inputs, seed, **options)
        alone = Trees.joined(len(groups), own, [0] * len(own), [base])
        bases.append(base - balanced_threshold(alone(data.val.x.double())[:, 0], data.val.y))
        trees, owner = trees + own, owner + [part] * len(own)
    return balanced(TreeVote(Trees.joined(len(groups), trees, owner, bases), **named(data)), data)


def train_ablation(data: BinaryData, kept: int, *, seed: int = 0, **options: Any) -> AblatedClassifier:
    """Gradient-boosted trees on samples of which all but `kept` columns, drawn anew for each copy, are ablated.

    Parameters
    ----------
    data, seed, options
        As in `train_partition`.
    kept
        Columns that are shown.

    Source: Levine and Feizi, AAAI 2020; trees in place of a network.
    """
    groups = columns_of(data)
    draws = torch.Generator().manual_seed(seed)
    x, y = data.train.x.repeat(COPIES, 1), data.train.y.repeat(COPIES)
    shown = shown_columns(len(x), int(groups.max()) + 1, kept, draws)[:, groups]
    trees, base = boosted(torch.where(shown, x, ABLATED), y, range(len(groups)), seed, **options)
    joined = Trees.joined(len(groups), trees, [0] * len(trees), [base])
    return balanced(AblatedClassifier(joined, groups, kept, **named(data)), data)


def strongest(models: Sequence[Model], data: BinaryData, survival: Callable[[Model, Tensor], Tensor]) -> Model:
    """The model of which most validation attacks survive a change of a few columns, among the accurate ones.

    `survival` gives certified numbers of columns (n,), 0 where the verdict is not sensitive; accuracy comes from
    `BinaryClassifier.scores`.
    """
    found = []
    for model in models:
        right = model.scores(data.val.x) > model.threshold
        accuracy = float(right[data.val.y].double().mean() + (~right[~data.val.y]).double().mean()) / 2.0
        radius = survival(model, data.val.x[data.val.y])
        found.append((accuracy, float(torch.stack([(radius >= k).double().mean() for k in SURVIVED]).mean())))
    enough = max(accuracy for accuracy, _ in found) - ACCURACY_LOST
    best = max(range(len(found)), key=lambda index: (found[index][0] >= enough, found[index][1]))
    return models[best]


def boosted(
    x: Tensor, y: Tensor, inputs: Sequence[int], seed: int, **options: Any
) -> tuple[list[dict[str, Tensor]], float]:
    """Trees on some inputs of samples (n, d) with labels bool (n,), both classes of equal weight, and their base."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    chosen: dict[str, Any] = {"class_weight": "balanced", "random_state": seed, "early_stopping": False} | options
    values = x[:, list(inputs)].double().numpy()
    fitted: Any = HistGradientBoostingClassifier(**chosen).fit(values, y.numpy())
    trees = [_arrays(stage[0].nodes, np.asarray(inputs)) for stage in fitted._predictors]
    return trees, float(fitted._baseline_prediction.item())


def _arrays(nodes: Any, inputs: np.ndarray) -> dict[str, Tensor]:
    """One tree of scikit-learn's as arrays of `Trees`: there inputs up to a threshold go left."""
    leaf, place = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
    split = np.nextafter(nodes["num_threshold"], np.inf)
    arrays = {
        "feature": np.where(leaf, inputs[0], inputs[np.where(leaf, 0, nodes["feature_idx"])]),
        "split": np.where(leaf, 0.0, split),
        "value": np.where(leaf, nodes["value"], 0.0),
        "left": np.where(leaf, place, nodes["left"]),
        "right": np.where(leaf, place, nodes["right"]),
    }
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def balanced(model: Model, data: BinaryData) -> Model:
    """With the threshold that balances accuracies on validation data."""
    return model.with_threshold(balanced_threshold(model.scores(data.val.x), data.val.y))


def named(data: BinaryData) -> dict[str, Any]:
    """Arguments of a classifier that say what it is about."""
    origin = {"data": data.name, "data_digest": data.digest}
    return {"sensitive": data.sensitive, "other": data.other, "scaling": data.scaling, "info": origin}


def columns_of(data: BinaryData) -> Tensor:
    """The table's column of each input, numbered from 0; each input alone where the data are no table: int64 (d,)."""
    return torch.arange(data.input_shape[0]) if data.scaling is None else TableThreat(data.scaling).groups
