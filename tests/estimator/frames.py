"""A small table with every type of column, and detectors that are quick to train on it."""

import numpy as np
import pandas as pd
import polars as pl

from asymcert.estimator import FeatureConvexDetector

QUICK = {"hidden": (8,), "epochs": 5, "min_steps": 150, "random_state": 0, "sensitive": "fraud"}
COUNTRIES = ["DE", "FR", "US"]


def transactions(rows=400):
    """A frame of pandas and labels that depend on four of its columns."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": draw.lognormal(3, 1, rows),
            "age": draw.integers(18, 80, rows),
            "country": draw.choice(COUNTRIES, rows),
            "kind": pd.Categorical(draw.choice([1, 2], rows)),
            "new": draw.random(rows) < 0.3,
            "visits": pd.array(draw.integers(0, 5, rows), dtype="Int64"),
            "note": draw.choice(["x", "y"], rows).astype(object),
        }
    )
    y = np.where((frame["amount"] > 20) & (frame["country"] != "DE") | frame["new"], "fraud", "fine")
    frame.loc[frame.index[:40], "amount"] = np.nan
    frame.loc[frame.index[40:60], "visits"] = pd.NA
    frame.loc[frame.index[60:80], "note"] = None
    return frame, y


def as_polars(frame):
    """The same in polars, with types of its own for categories."""
    columns = {name: pl.Series([None if pd.isna(value) else value for value in frame[name].tolist()]) for name in frame}
    columns["country"] = columns["country"].cast(pl.Enum(COUNTRIES))
    columns["kind"] = columns["kind"].cast(pl.String).cast(pl.Categorical)
    return pl.DataFrame(columns)


def detector(**options):
    return FeatureConvexDetector(**QUICK | options)
