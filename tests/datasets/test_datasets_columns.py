"""Categories as inputs: one a listed value, the last for all others, whatever they are."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asymcert.datasets.columns import CategoryColumn

TEXTS = st.text(max_size=3)


@given(st.lists(TEXTS, unique=True, max_size=4), st.lists(st.none() | TEXTS, min_size=1, max_size=6))
def test_each_row_has_one_1_in_its_value_s_place(listed, rows):
    found = CategoryColumn("kind", None, tuple(listed)).encode(pl.Series("*", rows, dtype=pl.String))
    places = [listed.index(row) if row in listed else len(listed) for row in rows]
    np.testing.assert_array_equal(found, np.eye(len(listed) + 1)[places])


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["x", "y"])])
def test_stored_categories_are_texts(dtype):
    found = CategoryColumn("kind", None, ("y",)).encode(pl.Series(["x", "y", None], dtype=dtype))
    np.testing.assert_array_equal(found, [[0, 1], [1, 0], [0, 1]])
