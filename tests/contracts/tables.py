"""A small table with a column of every kind, and how it became inputs."""

import polars as pl

from asymcert.datasets.scaling import TableScaling

FRAME = pl.DataFrame(
    {
        "size": [100.0, 110.0, 130.0, 500.0],
        "rate": [0.0, 0.3, 0.2, 0.1],
        "same": [7.0] * 4,
        "kind": ["b", "a", "b", "c"],
        "body": ["Free, FREE!", "hello", "", "free " * 9],
    }
)
SCALING = TableScaling.fit(FRAME, "min-max", text="body", categories=2, words=3)
