"""Data frames of pandas and polars go in as they are, and radii come out in the units of their columns."""

import math
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from asymcert.errors import DataError, InputError
from asymcert.estimator import LinfDistanceDetector
from asymcert.threats.model import ThreatModel
from estimator.frames import COUNTRIES, QUICK, as_polars, detector

NUMBERS = ["amount", "age", "visits"]


def test_types_say_what_columns_are(fitted, bought):
    frame, y = bought
    kinds = {column.name: column.kind for column in fitted.scaling_.columns}
    assert kinds == dict.fromkeys(frame.columns, "categories") | dict.fromkeys([*NUMBERS, "new"], "numeric")
    assert list(fitted.feature_names_in_) == list(frame.columns)
    assert set(fitted.scaling_.feature_names[2:5]) == {"country=US", "country=DE", "country=FR"}
    assert fitted.score(frame, y) > 0.85


def test_polars_and_pandas_give_the_same_detector(fitted, bought):
    frame, y = bought
    other = detector().fit(as_polars(frame), pl.Series(y))
    assert np.array_equal(other.decision_function(as_polars(frame)), fitted.decision_function(frame))
    assert np.array_equal(other.certify(frame), fitted.certify(as_polars(frame)))


def test_arrays_are_frames_without_names(bought):
    frame, y = bought
    numbers = frame[NUMBERS].astype(float)
    array, named = detector().fit(numbers.to_numpy(), y), detector().fit(numbers, y)
    assert not hasattr(array, "feature_names_in_")
    assert array.scaling_.feature_names == ("x0", "x1", "x2")
    assert np.array_equal(array.certify(numbers.to_numpy()), named.certify(numbers))
    numbered = numbers.set_axis([0, 1, 2], axis=1)
    assert np.array_equal(detector().fit(numbered, y).certify(numbered), named.certify(numbers))


def test_columns_in_another_order_are_refused(fitted, bought):
    frame, _ = bought
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(as_polars(frame).drop("age"))


def test_values_never_seen(fitted, bought):
    frame = bought[0].head(3).copy()
    frame["country"], frame["amount"] = "XX", 1e12
    frame["visits"] = pd.array([None] * 3, dtype="Int64")
    column = fitted.scaling_.feature_names.index("country=<other>")
    assert (fitted._inputs(frame)[:, column] == 1).all()
    assert np.isfinite(fitted.decision_function(frame)).all()


def test_missing_values_become_what_impute_says(bought):
    frame, y = bought
    for impute, amount in (("mean", frame["amount"].mean()), ("median", frame["amount"].median()), ("zero", 0.0)):
        fills = {column.name: column.fill for column in detector(impute=impute).fit(frame, y).scaling_.columns}
        assert fills["amount"] == pytest.approx(amount)
        assert fills["note"] in ("x", "y")
    for refuse in (None, "refuse"):
        with pytest.raises(DataError, match="'amount' has 40 missing values"):
            detector(impute=refuse).fit(frame, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"when": pd.to_datetime(["2024-01-01"] * 400)}, "'when' must hold numbers or text, got Datetime"),
        ({"age": np.inf}, "'age' has 400 infinite values"),
        ({"empty": [None] * 400}, "'empty' has no values"),
        ({"lists": [[1, 2]] * 400}, "'lists' must hold numbers or text, got List"),
    ],
    ids=["dates", "infinite", "empty", "lists"],
)
def test_columns_that_are_neither_numbers_nor_categories(bought, change, message):
    frame, y = bought
    with pytest.raises(DataError, match=message):
        detector().fit(frame.assign(**change), y)


def test_rows_that_cannot_be_read(fitted, bought):
    wrong = bought[0].astype({"age": object})
    wrong.loc[wrong.index[5], "age"] = "old"
    with pytest.raises(DataError, match="1 rows that cannot be read: row 6, age: 'old' is no number"):
        fitted.predict(wrong)


def changed(frame, draw, radius, norm):
    """Rows changed by a size just below the radius, in the units of their columns; a category counts 1."""
    frame = frame.copy()
    change = draw.standard_normal((len(frame), 2)) * draw.choice([1.0, 100.0], 2)
    room = np.where(np.isfinite(radius), radius, 3.0) * 0.999
    switch = (draw.random(len(frame)) < 0.5) & (room > 1)
    if math.isfinite(norm):
        room = np.where(switch, np.maximum(room**norm - 1, 0) ** (1 / norm), room)
    change *= (room / np.linalg.norm(change, ord=norm, axis=1))[:, None]
    frame["amount"], frame["age"] = frame["amount"] + change[:, 0], frame["age"] + change[:, 1]
    frame["country"] = frame["country"].where(~switch, draw.choice(COUNTRIES, len(frame)))
    return frame


@pytest.mark.parametrize("norm", [1, 2, math.inf])
@pytest.mark.parametrize("net", [False, True], ids=["feature-convex", "distance-net"])
def test_no_change_of_numbers_and_categories_inside_the_radius_flips(bought, norm, net):
    frame, y = bought
    frame = frame[["amount", "age", "country"]].assign(amount=frame["amount"].fillna(20.0))
    options = {key: value for key, value in QUICK.items() if key != "hidden"}
    model = LinfDistanceDetector(**options, width=16) if net else detector()
    radius = model.fit(frame, y).certify(frame, norm=norm)
    alarms, draw = radius > 0, np.random.default_rng(0)
    assert alarms.sum() > 50
    for _ in range(30):
        assert (model.predict(changed(frame, draw, radius, norm))[alarms] == "fraud").all()


def test_columns_are_counted_as_the_user_counts_them(fitted, bought):
    frame, _ = bought
    columns = fitted.certify(frame, norm="columns")
    assert np.array_equal(columns, fitted.certify(frame, norm=0))
    assert set(columns[np.isfinite(columns)]) <= set(range(8))
    frozen = fitted.certify(frame, threat={"norm": 0, "immutable": list(frame.columns)})
    assert np.array_equal(np.isinf(frozen), fitted.predict(frame) == "fraud")


def test_every_change_of_a_certified_number_of_columns_keeps_the_verdict(bought):
    """All pairs of columns, each set to values of other rows."""
    frame, y = bought
    steady = detector(threat=ThreatModel(0), epochs=40).fit(frame, y)
    columns = steady.certify(frame)
    chosen = np.flatnonzero(columns >= 1)[:20]
    assert len(chosen)
    for name in frame:
        for value in frame[name].dropna().unique()[:: 1 if frame[name].nunique() < 9 else 40]:
            assert (steady.predict(frame.iloc[chosen].assign(**{name: value})) == "fraud").all()


def test_a_threat_model_speaks_of_columns_in_their_units(fitted, bought):
    frame, _ = bought
    names = list(frame.columns)
    only = np.array([name == "amount" for name in names])
    by_model = ThreatModel(1, upper=1e6, mutable=torch.as_tensor(only))
    by_name = {"norm": 1, "immutable": [name for name in names if name != "amount"]}
    free, held = (fitted.certify(frame, threat=threat) for threat in (by_model, by_name))
    assert np.array_equal(free, held)
    assert (free >= fitted.certify(frame, norm=1)).all()
    with pytest.raises(InputError, match="about columns of the table, one of"):
        fitted.certify(frame, threat={"immutable": ["ammount"]})
    with pytest.raises(InputError, match="`threat` must be left out where"):
        fitted.certify(frame, norm=1, threat=by_name)
    with pytest.raises(InputError, match="samples outside it in the columns amount"):
        fitted.certify(frame, threat={"norm": 1, "upper": {"amount": 5.0}})


def test_the_estimators_own_threat_is_certified_unless_another_is_named(fitted, bought):
    frame, y = bought
    own = detector(threat={"norm": 1, "immutable": ["country"]}).fit(frame, y)
    assert own.certificate(frame).threat.norm == 1
    assert own.certificate(frame, norm=2).threat.norm == 2
    assert fitted.certificate(frame).threat.norm == 2


def test_no_rows(fitted, bought):
    frame, _ = bought
    for empty in (frame.head(0), as_polars(frame).head(0)):
        assert fitted.predict(empty).shape == (0,)
        assert fitted.certify(empty).shape == (0,)


def test_nothing_is_warned_of(bought):
    frame, y = bought
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector().fit(as_polars(frame), y).predict(as_polars(frame))
