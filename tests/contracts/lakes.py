"""A small classifier of a table, and lakes of files for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from asymcert import FeatureConvexClassifier, ThreatModel
from asymcert.convex import ConvexMLP
from asymcert.datasets.scaling import TableScaling
from asymcert.features import CentreAbsolute
from contracts.models import randomise, seeded

THREATS = [ThreatModel(1, 0.0, 1.0), ThreatModel(2, 0.0, 1.0)]
SIZES = (5, 100, 0, 1000, 1)


def rows(count: int, seed: int = 0) -> pl.DataFrame:
    """Rows with a key, two numbers and a category; one number in a hundred is missing."""
    draw = np.random.default_rng(seed)
    a = [None if value > 0.99 else value for value in draw.random(count).tolist()]
    columns = {"id": [f"{seed}-{n}" for n in range(count)], "a": a, "b": draw.random(count)}
    schema = {"id": pl.String, "a": pl.Float64, "b": pl.Float64, "kind": pl.String}
    return pl.DataFrame({**columns, "kind": draw.choice(["u", "v", "w"], count).tolist()}, schema=schema)


def table_model(threshold: float = 0.0) -> FeatureConvexClassifier:
    """A feature-convex classifier of such rows, with random weights."""
    scaling = TableScaling.fit(rows(200).drop("id").drop_nulls())
    inputs = len(scaling.feature_names)
    score = randomise(ConvexMLP((2 * inputs,), (8,)), seeded(0))
    x = scaling.transform(rows(50).drop_nulls())
    return FeatureConvexClassifier(
        CentreAbsolute(x.double().mean(0)), score, threshold, input_shape=(inputs,), scaling=scaling
    )


def make_lake(folder: Path, sizes: tuple[int, ...] = SIZES, damaged: int = 0) -> Path:
    """Parquet files of so many rows in two folders, and some that are none."""
    for number, size in enumerate(sizes):
        path = folder / f"day={number % 2}" / f"{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows(size, number).write_parquet(path)
    for number in range(damaged):
        (folder / f"damaged-{number}.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    return folder


def outputs(dest: Path) -> dict[str, bytes]:
    """Every output of a destination, by its name."""
    return {path.relative_to(dest).as_posix(): path.read_bytes() for path in (dest / "rows").rglob("*.parquet")}
