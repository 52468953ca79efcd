import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asymcert.errors import InputError
from asymcert.evaluate import formatting as f

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, st.integers(0, 12))
def test_floor_format_never_rounds_up_and_loses_less_than_one_unit(value, digits):
    assert 0 <= Fraction(value) - Fraction(f.floor_format(value, digits)) < Fraction(1, 10**digits)


@given(FINITE, st.integers(0, 12))
def test_ceil_format_never_rounds_down(value, digits):
    assert 0 <= Fraction(f.ceil_format(value, digits)) - Fraction(value) < Fraction(1, 10**digits)


@given(FINITE, st.integers(1, 12))
def test_significant_digits_are_rounded_outward_and_stay_close(value, digits):
    low, high = Fraction(f.floor_significant(value, digits)), Fraction(f.ceil_significant(value, digits))
    assert low <= Fraction(value) <= high
    assert high - low <= abs(Fraction(value)) * Fraction(100, 10**digits)


@given(st.integers(1, 10**5), st.integers(0, 6), st.data())
def test_percentages_of_counts_are_rounded_outward_from_the_counts(n, digits, data):
    k = data.draw(st.integers(0, n))
    low, high = (Fraction(to_text(k / n, digits).removesuffix(" %")) for to_text in (f.floor_percent, f.ceil_percent))
    unit = Fraction(1, 10**digits)
    assert 0 <= Fraction(100 * k, n) - low < unit
    assert 0 <= high - Fraction(100 * k, n) < unit


@given(st.floats(0, 1), st.integers(0, 6))
def test_percentages_of_floats_are_rounded_outward(value, digits):
    low, high = (Fraction(to_text(value, digits).removesuffix(" %")) for to_text in (f.floor_percent, f.ceil_percent))
    assert low <= 100 * Fraction(math.nextafter(value, 2.0))
    assert high >= 100 * Fraction(math.nextafter(value, -1.0))


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        (f.floor_format(0.2496, 2), "0.24"),
        (f.floor_format(math.inf, 2), "inf"),
        (f.floor_format(None, 2), "–"),
        (f.floor_format(math.nan, 2), "–"),
        (f.floor_format(-0.0, 2), "0.00"),
        (f.floor_significant(0.0), "0"),
        (f.floor_significant(math.inf), "inf"),
        (f.floor_significant(1.2399e-9), "1.23e-9"),
        (f.ceil_significant(9.999e-9), "1.00e-8"),
        (f.floor_percent(math.nextafter(1.0, 0.0)), "99.9 %"),
    ],
)
def test_examples(printed, text):
    assert printed == text


def test_negative_digits_are_refused():
    with pytest.raises(InputError, match="`digits`"):
        f.floor_format(1.0, -1)


def test_parts_are_listed_as_in_a_sentence():
    assert [f.listed(range(count)) for count in range(4)] == ["", "0", "0 and 1", "0, 1 and 2"]
