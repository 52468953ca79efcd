import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from asymcert.errors import InputError
from asymcert.evaluate.curves import binomial_interval, certified_accuracy, certified_accuracy_at, summary


def with_radii(rows, radii):
    """Sensitive rows with these radii; None stands for a sample that is not recognised."""
    return rows.head(len(radii)).with_columns(
        label=pl.lit(True),
        prediction=pl.Series([radius is not None for radius in radii]),
        radius=pl.Series([radius or 0.0 for radius in radii], dtype=pl.Float64),
    )


def slow_accuracy(rows, radius):
    """One sample at a time, by the definition."""
    sensitive = [row for row in rows.iter_rows(named=True) if row["label"]]
    return sum(1 for row in sensitive if row["prediction"] and row["radius"] > radius) / len(sensitive)


def test_curve_agrees_with_a_slow_loop(rows):
    curve = certified_accuracy(rows)
    assert curve["radius"][0] == 0.0
    assert curve["radius"].is_sorted()
    assert 0 < curve["accuracy"][0] < 1
    points = [*curve["radius"], *((curve["radius"][1:] + curve["radius"][:-1]) / 2), 1e9]
    at = certified_accuracy_at(rows, points)
    for radius, accuracy in zip(points, at["accuracy"], strict=True):
        assert accuracy == slow_accuracy(rows, radius)
        step = curve.filter(pl.col("radius") <= radius)["accuracy"][-1]
        assert accuracy == step


def test_a_radius_does_not_certify_its_own_size(rows):
    curve = certified_accuracy_at(with_radii(rows, [1.0, 2.0, math.inf, None]), [0.0, 0.999, 1.0, 2.0, 1e300])
    assert curve["accuracy"].to_list() == [0.75, 0.75, 0.5, 0.25, 0.25]


def test_curve_at_zero_is_the_clean_accuracy(rows):
    sensitive = rows.filter("label")
    assert certified_accuracy(rows)["accuracy"][0] == sensitive["prediction"].mean()


@given(st.integers(1, 400), st.data())
def test_interval_is_that_of_clopper_and_pearson(n, data):
    k = data.draw(st.integers(0, n))
    confidence = data.draw(st.sampled_from([0.8, 0.95, 0.999]))
    lower, upper = binomial_interval(np.array([k]), n, confidence)
    expected = binomtest(k, n).proportion_ci(confidence, method="exact")
    np.testing.assert_allclose((lower[0], upper[0]), (expected.low, expected.high), rtol=1e-9, atol=1e-12)
    assert 0 <= lower[0] <= k / n <= upper[0] <= 1


def test_intervals_of_a_curve_use_its_own_sample_size(rows):
    curve = certified_accuracy(rows)
    n = int(rows["label"].sum())
    for row in curve.iter_rows(named=True):
        expected = binomtest(round(row["accuracy"] * n), n).proportion_ci(0.95, method="exact")
        assert (row["lower"], row["upper"]) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)


def test_abstention_counts_as_wrong_for_either_class(rows):
    silent = rows.with_columns(abstained=~pl.col("prediction"))
    line = summary(silent).row(0, named=True)
    assert line["accuracy_other"] == 0
    assert line["accuracy_sensitive"] == summary(rows)["accuracy_sensitive"][0]


def test_summary_against_numpy(rows):
    line = summary(rows).row(0, named=True)
    label, prediction = rows["label"].to_numpy(), rows["prediction"].to_numpy()
    radius = np.where(prediction, rows["radius"].to_numpy(), 0)[label]
    assert (line["n_sensitive"], line["n_other"]) == (30, 30)
    assert line["accuracy_sensitive"] == prediction[label].mean()
    assert line["accuracy_other"] == (~prediction)[~label].mean()
    assert line["accuracy_balanced"] == (line["accuracy_sensitive"] + line["accuracy_other"]) / 2
    assert line["median_radius"] == np.median(radius)
    assert line["mean_radius"] == np.mean(radius)
    assert line["seconds"] == 0.5


def test_summary_of_infinite_radii_and_of_one_class(rows):
    line = summary(with_radii(rows, [1.0, 1.0, math.inf])).row(0, named=True)
    assert (line["median_radius"], line["mean_radius"]) == (1.0, math.inf)
    assert line["accuracy_other"] is None
    assert line["accuracy_balanced"] is None


def test_summary_of_known_upper_ends(rows):
    upper = pl.Series([2.0, 3.0, math.inf, 0.0])
    line = summary(with_radii(rows, [1.0, 1.0, 1.0, None]).with_columns(upper=upper)).row(0, named=True)
    assert line["median_upper"] == 2.5
    assert summary(rows)["median_upper"].to_list() == [math.inf]


def test_summary_has_one_row_a_curve(rows):
    other = rows.with_columns(threat=pl.lit("l1"), norm=pl.lit(1.0))
    assert summary(pl.concat([rows, other])).select("threat", "norm").rows() == [("l2", 2.0), ("l1", 1.0)]


def test_curves_refuse_what_has_no_answer(rows):
    with pytest.raises(InputError, match="at least one sensitive sample"):
        certified_accuracy(rows.filter(~pl.col("label")))
    for radius in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="`radii`"):
            certified_accuracy_at(rows, [radius])
    with pytest.raises(InputError, match="`confidence`"):
        certified_accuracy(rows, confidence=1.0)


def test_a_number_of_columns_certifies_itself(rows):
    """Radii of 0, 1, 1, 2 and a missed one: 0 columns leave 4 of 5, 1 leaves 3, 2 leave 1, more leave none."""
    counted = with_radii(rows, [0.0, 1.0, 1.0, 2.0, None]).with_columns(norm=pl.lit(0.0), upper=pl.lit(math.inf))
    assert certified_accuracy_at(counted, [0, 1, 1.5, 2, 2.5])["accuracy"].to_list() == [0.8, 0.6, 0.2, 0.2, 0.0]
    curve = certified_accuracy(counted)
    for size, accuracy in ((0, 0.8), (0.5, 0.6), (1, 0.6), (2, 0.2), (3, 0.0)):
        assert curve.filter(pl.col("radius") <= size)["accuracy"][-1] == accuracy
    even = summary(counted.head(4).with_columns(radius=pl.Series([0.0, 1.0, 2.0, 3.0])))
    assert even["median_radius"][0] == 1.0
