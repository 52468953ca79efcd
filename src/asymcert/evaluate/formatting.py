"""Numbers as text, rounded outward: what is printed is never more than what is certified."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction

from asymcert._checks import check_count

MISSING = "–"
MOST_SAMPLES = 10**6  # of a share that is recognised as one of counts
_EXACT = Context(prec=800)  # enough for every float64 with any sensible number of places
_LARGE, _SMALL = 6, -5  # decimal exponents beyond which the exponent is written out


def floor_format(value: float | None, digits: int) -> str:
    """`value` with `digits` decimal places, rounded down (towards minus infinity).

    Parameters
    ----------
    value
        Any float; infinite ones are printed as ``inf``, None and NaN as a dash.
    digits
        Decimal places, at least 0.

    Examples
    --------
    >>> floor_format(0.2496, 2)
    '0.24'
    >>> floor_format(float("inf"), 2)
    'inf'
    """
    return _places(value, digits, ROUND_FLOOR)


def ceil_format(value: float | None, digits: int) -> str:
    """`value` with `digits` decimal places, rounded up: for errors, times and upper bounds."""
    return _places(value, digits, ROUND_CEILING)


def floor_significant(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` significant digits, rounded down: for radii, whose scale depends on the norm.

    Examples
    --------
    >>> floor_significant(0.0123496), floor_significant(31.999)
    ('0.0123', '31.9')
    """
    return _significant(value, digits, ROUND_FLOOR)


def ceil_significant(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` significant digits, rounded up."""
    return _significant(value, digits, ROUND_CEILING)


def floor_percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent, rounded down.

    A share of counts is taken for what it is: 14 of 20 is 70 %, although the float 0.7 is a little less.

    Examples
    --------
    >>> floor_percent(14 / 20), floor_percent(0.99999)
    ('70.0 %', '99.9 %')
    """
    return _percent(value, digits, math.floor)


def ceil_percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent, rounded up: for upper ends of intervals."""
    return _percent(value, digits, math.ceil)


def interval_text(estimate: Sequence[float], rounding: Callable[[float], str] = floor_percent) -> str:
    """A share in percent, rounded as told, with its interval, rounded outward; a dash for NaN.

    Examples
    --------
    >>> interval_text((0.5, 0.25, 0.75))
    '50.0 % (25.0 % – 75.0 %)'
    """
    value, lower, upper = estimate
    return MISSING if math.isnan(value) else f"{rounding(value)} ({floor_percent(lower)} – {ceil_percent(upper)})"


def printable(text: str) -> str:
    """A text of strangers on one line, in which nothing is hidden and no terminal finds a command.

    Examples
    --------
    >>> printable("two" + chr(10) + "lines").split(chr(92))
    ['two', 'nlines']
    """
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def listed(parts: Sequence[object]) -> str:
    """Parts in a sentence: ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(map(str, parts[:-1])), *map(str, parts[-1:])]))


def _special(value: float | None) -> str | None:
    if value is None or math.isnan(value):
        return MISSING
    return str(value) if math.isinf(value) else None


def _places(value: float | None, digits: int, rounding: str) -> str:
    check_count("digits", digits, 0)
    special = _special(value)
    return _round(Decimal(value), digits, rounding) if special is None and value is not None else str(special)


def _percent(value: float | None, digits: int, rounding: Callable[[Fraction], int]) -> str:
    check_count("digits", digits, 0)
    if value is None or not math.isfinite(value):
        return str(_special(value))
    share = Fraction(value).limit_denominator(MOST_SAMPLES)
    exact = share if float(share) == value else Fraction(value)
    units = rounding(exact * 100 * 10**digits)
    return f"{Decimal(units).scaleb(-digits, _EXACT):f} %"


def _significant(value: float | None, digits: int, rounding: str) -> str:
    check_count("digits", digits)
    if value is None or not math.isfinite(value):
        return str(_special(value))
    if value == 0:
        return "0"
    exact = Decimal(value)
    exponent = exact.adjusted()
    if _SMALL < exponent < _LARGE:
        return _round(exact, max(0, digits - 1 - exponent), rounding)
    short = exact.quantize(Decimal(1).scaleb(exponent - digits + 1), rounding, _EXACT)
    return f"{short:.{digits - 1}e}"


def _round(exact: Decimal, digits: int, rounding: str) -> str:
    rounded = exact.quantize(Decimal(1).scaleb(-digits), rounding, _EXACT)
    return f"{abs(rounded) if rounded == 0 else rounded:f}"  # no minus zero
