"""Accuracy and survival on tables: shares of all attacks that stay flagged under any change of 1, 2, 3 and 5 columns.

    python benchmarks/columns.py spambase.csv.gz --label spam --sensitive 1
    python benchmarks/columns.py clamp-integrated-5210.csv.gz --label class --sensitive 1 --seed 0

Attacks that are missed count as lost. One split for all, thresholds balanced on validation data. The strength of each
method is varied: how many columns training counts and by how much (ours and the additive model, which is the same
score without hidden layers), how many parts vote, how many columns a draw keeps. Ablation is run on the first rows only
(--ablated), with 1,000 draws; its accuracy counts abstentions as wrong.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from asymcert import certify, datasets, train
from asymcert.datasets import BinaryData
from asymcert.evaluate.detection import detection
from asymcert.models.base import BinaryClassifier
from asymcert.threats.table import TableThreat
from asymcert.training.trees import columns_of, train_ablation, train_partition, train_trees

CHANGED = (1, 2, 3, 5)
STRENGTHS = ((1, 0.3), (3, 0.1), (3, 0.3), (3, 1.0), (5, 1.0))  # columns that training counts, and their weight
LARGE: dict[str, Any] = {"members": 1, "hidden": (64, 32), "edges": 16, "dropout": 0.1, "label_smoothing": 0.0}
LARGE |= {"learning_rate": 0.005, "epochs": 80, "validate_every": 80, "columns_weight": 1.0}
COUNTED = (2, 4, 6)  # columns that long training of a large score counts
PARTS = (5, 9, 15, 25)
KEPT = (1 / 16, 1 / 8, 1 / 4)
Candidate = tuple[str, Callable[[], BinaryClassifier], dict[str, Any]]  # name, training, and options of the certifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--label", required=True)
    parser.add_argument("--sensitive", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ablated", type=int, default=300, help="first test rows that ablation is run on")
    parser.add_argument("--only", help="part of the names of what is run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = datasets.load_table(
        arguments.table, label=arguments.label, sensitive=arguments.sensitive, seed=arguments.seed
    )
    columns = int(columns_of(data).max()) + 1
    print(f"{data.name}: {len(data.train)} training rows, {len(data.test)} test rows, {columns} columns")
    print(f"{'':34}balanced  AUC    {'  '.join(f'{k} col.' for k in CHANGED)}  CPU s")
    for name, trained, options in candidates(data, arguments.seed):
        if arguments.only is None or arguments.only in name:
            print(f"{name:34}{measured(data, trained, options, arguments.ablated)}", flush=True)


def candidates(data: BinaryData, seed: int) -> Iterator[Candidate]:
    for label, extra in (("feature-convex", {}), ("additive", {"architecture": "additive"})):
        for count, weight in STRENGTHS:
            fixed = {"target_columns": count, "columns_weight": weight, **extra}
            yield f"{label}, {count} x {weight:g}", partial(train, data, seed=seed, **fixed), {"method": "refined"}
        for count in COUNTED:
            fixed = {**LARGE, "target_columns": count, **extra}
            yield f"{label}, large, {count} x 1", partial(train, data, seed=seed, **fixed), {"method": "refined"}
    for parts in PARTS:
        yield f"feature partition, {parts} parts", partial(train_partition, data, parts, seed=seed), {}
    columns = int(columns_of(data).max()) + 1
    for kept in sorted({max(1, round(share * columns)) for share in KEPT}):
        yield f"ablation, {kept} kept", partial(train_ablation, data, kept, seed=seed), {"n": 1000}
    yield "boosted trees, a sort of columns", partial(train_trees, data, seed=seed), {}


def measured(data: BinaryData, trained: Callable[[], BinaryClassifier], options: dict[str, Any], few: int) -> str:
    assert data.scaling is not None
    start = time.process_time()
    model = trained()
    seconds = time.process_time() - start
    count = few if "n" in options else len(data.test)
    x, y = data.test.x[:count], data.test.y[:count]
    found = certify(model, x, TableThreat(data.scaling).counting(), **options)
    given = torch.ones_like(y) if found.abstained is None else ~found.abstained
    right = [(found.sensitive[y]).double().mean(), (given & ~found.sensitive)[~y].double().mean()]
    auc = detection(y.numpy(), model.scores(x).numpy(), resamples=1)["roc_auc"].value
    kept = [float((found.sensitive & (found.radius >= columns))[y].double().mean()) for columns in CHANGED]
    return f"{50 * float(sum(right)):6.2f} %  {auc:.4f} {'   '.join(f'{share:.3f}' for share in kept)}  {seconds:6.1f}"


if __name__ == "__main__":
    main()
