import json
import math
import zlib
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymcert.datasets.columns import WORD_CAP, bucket_of
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import DataError, InputError
from asymcert.threats.table import TableThreat

FRAME = pl.DataFrame(
    {
        "size": [0, 10, 20, 40],
        "same": [7.0] * 4,
        "flag": [True, False, True, True],
        "kind": ["b", "a", "b", "c"],
        "body": ["Free, FREE!", "hello", "", "free " * 9],
    }
)


def fit(frame=FRAME, **options):
    return TableScaling.fit(frame, "min-max", **{"text": "body", "categories": 2, "words": 8, **options})


def test_every_kind_of_column():
    x = fit().transform(FRAME)
    assert x.dtype == torch.float32
    assert x[:, :3].tolist() == [[0, 0, 1], [0.25, 0, 0], [0.5, 0, 1], [1, 0, 1]]
    assert x[:, 3:6].tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]
    words = x[:, 6:]
    assert words[0, bucket_of("free", 8)] == 2 / WORD_CAP
    assert words[2].sum() == 0
    assert words[3].tolist() == [1.0 if i == bucket_of("free", 8) else 0.0 for i in range(8)]


def test_names_and_units():
    scaling = fit()
    assert scaling.feature_names[:6] == ("size", "same", "flag", "kind=b", "kind=a", "kind=<other>")
    assert scaling.units[:3] == (40.0, math.inf, 1.0)
    assert all(math.isnan(u) for u in scaling.units[3:])
    assert len(scaling.feature_names) == len(scaling.units) == scaling.transform(FRAME).shape[1] == 14


def test_units_turn_scaled_changes_into_original_ones():
    scaling = fit()
    near, far = (scaling.transform(FRAME.with_columns(size=pl.lit(v)))[0, 0] for v in (12, 28))
    assert float(far - near) * scaling.units[0] == pytest.approx(16)


def test_buckets_are_the_crc_of_the_word():
    words = "free", "prize", "ünïcode"
    assert [bucket_of(word, 1024) for word in words] == [zlib.crc32(word.encode()) % 1024 for word in words]


def test_clipping_beyond_training_and_unseen_categories():
    new = FRAME.with_columns(size=pl.Series([-5, 41, 10**15, 40]), kind=pl.lit("new"), same=pl.lit(1e6))
    x = fit().transform(new)
    assert x[:, 0].tolist() == [0, 1, 1, 1]
    assert x[:, 1].tolist() == [0] * 4
    assert x[:, 3:6].tolist() == [[0, 0, 1]] * 4


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=2, max_size=30), st.data())
def test_numeric_scaling_is_lipschitz_in_its_units_and_stays_in_the_box(values, draw):
    how = draw.draw(st.sampled_from(["quantile", "min-max"]))
    scaling = TableScaling.fit(pl.DataFrame({"a": values}), how)
    unit = scaling.units[0]
    points = draw.draw(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2))
    x = scaling.transform(pl.DataFrame({"a": [*values, *points]}))
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    moved = abs(float(x[-1, 0]) - float(x[-2, 0]))
    assert moved <= abs(points[0] - points[1]) / unit + 2**-22


def test_quantiles_are_of_training_and_fall_back_to_the_range():
    values = np.arange(1001.0)
    scaling = TableScaling.fit(pl.DataFrame({"a": values, "rare": (values == 5) * 3.0}))
    assert scaling.units == pytest.approx((980.0, 3.0))
    assert scaling.transform(pl.DataFrame({"a": [10.0, 500.0, 990.0], "rare": [0.0, 3.0, 1.5]}))[:, 0].tolist() == [
        0,
        0.5,
        1,
    ]


def test_double_precision_is_kept_and_told():
    frame = pl.DataFrame({"a": [0.0, 1.0, 3.0]})
    single, double = TableScaling.fit(frame, "min-max"), replace(TableScaling.fit(frame, "min-max"), double=True)
    assert single.transform(frame).dtype == torch.float32
    assert double.transform(frame)[:, 0].tolist() == [0.0, 1 / 3, 1.0]
    assert TableScaling.from_dict(double.to_dict()) == double
    assert "double" not in single.to_dict()  # files of earlier versions have no such key
    bound = {"a": 1.0}
    assert float(TableThreat(double).bounds("upper", bound)) == 1 / 3
    assert float(TableThreat(single).bounds("upper", bound)) == float(np.float32(1 / 3))
    with pytest.raises(InputError, match="`double` must be True or False"):
        TableScaling.from_dict(double.to_dict() | {"double": 1})


def test_json_round_trip_is_exact():
    rng = np.random.default_rng(0)
    frame = FRAME.with_columns(size=pl.Series(rng.normal(size=4) * 1e-3))
    scaling = fit(frame, impute="mean")
    again = TableScaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    assert again == scaling
    assert torch.equal(again.transform(frame), scaling.transform(frame))
    assert again.feature_names == scaling.feature_names


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(more=1),
        lambda d: d.update(columns=[]),
        lambda d: d.update(columns="abc"),
        lambda d: d["columns"][0].update(kind="other"),
        lambda d: d["columns"][0].update(colour=1),
        lambda d: d["columns"][0].pop("low"),
        lambda d: d["columns"][0].update(low=50.0),
        lambda d: d["columns"][0].update(high=math.inf),
        lambda d: d["columns"][0].update(low="0"),
        lambda d: d["columns"][1].update(name="size"),
        lambda d: d["columns"][3].update(values=["a", "a"]),
        lambda d: d["columns"][4].update(size=0),
        lambda d: d["columns"][4].update(fill=3),
        lambda d: d["columns"].append(None),
    ],
)
def test_from_dict_refuses(change):
    values = fit().to_dict()
    change(values)
    with pytest.raises(InputError):
        TableScaling.from_dict(values)


@pytest.mark.parametrize(
    ("impute", "expected"), [("mean", 4.0), ("median", 2.0), ("zero", 0.0), ("most-frequent", 1.0)]
)
def test_imputation_uses_training_values(impute, expected):
    frame = pl.DataFrame({"a": [1.0, 1.0, 3.0, 11.0, math.nan, None], "k": ["x", "y", "y", None, "x", "y"]})
    scaling = TableScaling.fit(frame, "min-max", impute=impute)
    filled = scaling.impute(pl.DataFrame({"a": [None, 5.0], "k": ["x", None]}, schema=frame.schema))
    assert filled["a"].to_list() == [expected, 5.0]
    assert filled["k"].to_list() == ["x", "y"]


def test_refusals():
    with pytest.raises(DataError, match=r"Column 'a' has 2 missing values\. Name an imputation"):
        TableScaling.fit(pl.DataFrame({"a": [1.0, math.nan, None]})).transform(
            pl.DataFrame({"a": [1.0, math.nan, None]})
        )
    with pytest.raises(DataError, match="Column 'a' has 1 infinite values"):
        TableScaling.fit(pl.DataFrame({"a": [1.0, math.inf]}))
    with pytest.raises(DataError, match="Column 'a' must hold numbers or text, got Date"):
        TableScaling.fit(pl.DataFrame({"a": [date(2020, 1, 1)]}))
    with pytest.raises(DataError, match="no values at all"):
        TableScaling.fit(pl.DataFrame({"a": [None, None]}))
    with pytest.raises(DataError, match="0 rows"):
        TableScaling.fit(FRAME[:0])
    with pytest.raises(DataError, match=r"lacks the columns \['size'\]"):
        fit().transform(FRAME.drop("size"))
    with pytest.raises(DataError, match="4 rows that cannot be read: row 1, size: 'x' is no number"):
        fit().transform(FRAME.with_columns(size=pl.lit("x")))
    with pytest.raises(InputError, match="`text` must be a column of text"):
        fit(text="size")
    with pytest.raises(InputError, match="`text` must be one of"):
        fit(text="absent")
    with pytest.raises(InputError, match="`scaling` must be one of"):
        TableScaling.fit(FRAME, "standard")
    with pytest.raises(InputError, match="increasing and finite"):
        TableScaling.fit(pl.DataFrame({"a": [-1.7e308, 1.7e308]}), "min-max")
