"""The lake that `lake.py` measures: files of mixed size, three of them damaged, and a model of their rows."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import polars as pl
import torch

from asymcert import FeatureConvexClassifier, ThreatModel
from asymcert.convex import ConvexMLP
from asymcert.datasets.scaling import TableScaling
from asymcert.features import CentreAbsolute

THREATS = [ThreatModel(1, 0.0, 1.0), ThreatModel(2, 0.0, 1.0)]  # as `start_driver` has them
COLUMNS = 20
DAMAGED = 3


def rows(count: int, seed: int) -> pl.DataFrame:
    """Rows with a key, numbers and a category."""
    draw = np.random.default_rng(seed)
    numbers = {f"n{column}": draw.standard_normal(count) for column in range(COLUMNS)}
    return pl.DataFrame({"id": np.arange(count), **numbers, "kind": draw.choice(["u", "v", "w"], count).tolist()})


def make(place: Path, files: int, most: int) -> int:
    """A lake, a model, and the outputs of an undisturbed run; returns the number of rows."""
    draw, total = random.Random(0), 0
    for number in range(files):
        path = place / "source" / f"day={number % 7}" / f"{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        count = round(math.exp(draw.uniform(0, math.log(most))))
        rows(count, number).write_parquet(path)
        total += count
    for number in range(DAMAGED):
        whole = (place / "source" / "day=0" / "000.parquet").read_bytes()
        (place / "source" / f"damaged-{number}.parquet").write_bytes(whole[: len(whole) - 9 * (number + 1)])
    model().save(place / "model")
    return total


def model() -> FeatureConvexClassifier:
    """A feature-convex classifier of such rows with random weights, of two hidden layers."""
    torch.manual_seed(0)
    scaling = TableScaling.fit(rows(1000, 0).drop("id"))
    inputs = len(scaling.feature_names)
    score, centre = ConvexMLP((2 * inputs,), (64, 32)), torch.full((inputs,), 0.5)
    made = FeatureConvexClassifier(CentreAbsolute(centre), score, input_shape=(inputs,), scaling=scaling)
    x = scaling.transform(rows(1000, 1).drop("id"))
    return made.with_threshold(float(made.margin(x).quantile(0.5)))


def load(place: Path) -> FeatureConvexClassifier:
    """The model that `make` saved."""
    return FeatureConvexClassifier.load(place / "model")
