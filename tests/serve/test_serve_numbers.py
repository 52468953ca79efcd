"""Rows of numbers alone are read as `TableScaling` reads them, to the last bit."""

import numpy as np
import polars as pl
import pytest
import torch

from asymcert.datasets.scaling import TableScaling
from asymcert.serve.numbers import NumberRows
from asymcert.serve.rows import RowReader

DRAW = np.random.default_rng(0)
FRAME = pl.DataFrame(
    {
        "whole": DRAW.integers(-5, 9, 300),
        "great": DRAW.normal(0, 1e9, 300),
        "small": DRAW.normal(0, 1e-9, 300),
        "same": [7.0] * 300,
        "gaps": [None if place % 5 == 0 else float(place) for place in range(300)],
    }
)
BEYOND = [{"whole": 10**300, "great": -1e300, "small": 0, "same": 8, "gaps": 1}]


@pytest.mark.parametrize("impute", [None, "mean"])
@pytest.mark.parametrize("scaling", ["quantile", "min-max"])
def test_inputs_are_those_of_the_table(impute, scaling):
    fitted = TableScaling.fit(FRAME, scaling, impute=impute or "refuse", gaps=["gaps"] if impute is None else ())
    rows = [*FRAME.to_dicts(), *BEYOND]
    frame = pl.DataFrame({name: [None if r[name] is None else float(r[name]) for r in rows] for name in FRAME.columns})
    found = RowReader(fitted).read("rows", [rows[:100], rows[100:]])
    assert RowReader(fitted).plain is not None
    assert torch.equal(found.encode(slice(None)), fitted.transform(frame))
    assert found.problems == {}


def test_rows_without_a_number_get_the_same_problem():
    fitted = TableScaling.fit(FRAME.drop_nulls(), "quantile")
    rows = [dict.fromkeys(FRAME.columns, 1.0), dict.fromkeys(FRAME.columns), FRAME.to_dicts()[0]]
    found = RowReader(fitted).read("rows", [rows])
    _, reasons = fitted.read(pl.DataFrame(rows, schema=dict.fromkeys(FRAME.columns, pl.Float64), strict=False))
    assert found.problems == {place: reason for place, reason in enumerate(reasons) if reason is not None}
    assert found.places.tolist() == [0]


def test_other_tables_are_read_as_tables(table_run):
    scaling = table_run.load_model().scaling
    assert not NumberRows.fits(scaling)
    assert RowReader(scaling).plain is None
