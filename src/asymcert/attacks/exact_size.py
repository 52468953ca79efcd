"""Whether a change is within its budget, decided in exact arithmetic.

Near the edge of a certified ball floating-point arithmetic cannot tell inside from outside, and an attack that counts
as a success outside would accuse a sound certificate. Floating-point numbers are rational with a power of two below
the line, so whole numbers decide.
"""

from __future__ import annotations

import math

from torch import Tensor

from asymcert._floats import UNIT
from asymcert.threats.model import ThreatModel

WHOLE_POWERS = 8  # of p, up to which the p-th powers are summed exactly


def at_most(x: Tensor, point: Tensor, threat: ThreatModel, size: Tensor) -> Tensor:
    """Whether ``||cost * (point - x)||_p <= size`` in exact arithmetic, p a whole number or inf: bool (n,).

    For other p the powers are irrational, and what is too near to tell counts as outside; so do sums of unlike prices.

    Parameters
    ----------
    x, point
        Float64 (n, *input_shape).
    threat
        Gives costs and norm.
    size
        Float64 (n,), nonnegative; inf is never exceeded.
    """
    slack = rounding_slack(x)
    measured = threat.size(point - x)
    if threat.norm == 0:  # one product where all columns have one price
        equal = threat.columns(tuple(x.shape[1:])).equal_price is not None
        return measured * (1.0 if equal else 1.0 + slack) <= size
    extreme = 10.0 ** (250.0 if math.isinf(threat.norm) else 250.0 / threat.norm)  # powers of these do not overflow
    certain = ((measured > 1.0 / extreme) & (measured < extreme)) | (point == x).flatten(1).all(1)
    inside = (certain & (measured * (1.0 + slack) <= size)) | size.isinf()
    outside = certain & (measured * (1.0 - slack) > size)
    power = _power(threat.norm)
    if power is None:
        return inside
    cost = threat.cost_for(tuple(x.shape[1:])).flatten().tolist()
    for index in (~inside & ~outside).nonzero().flatten().tolist():
        sample, moved = x[index].flatten().tolist(), point[index].flatten().tolist()
        inside[index] = _fits(sample, moved, cost, float(size[index]), power)
    return inside


def rounding_slack(x: Tensor) -> float:
    """Relative error that a computed size of a change of one sample of `x` can have."""
    return 2.0 * (x[0].numel() + 16) * UNIT if len(x) else 0.0


def _power(norm: float) -> int | None:
    """P as a whole number, 0 for inf; None where sums of powers cannot be exact."""
    if math.isinf(norm):
        return 0
    return int(norm) if norm == int(norm) and norm <= WHOLE_POWERS else None


def _fits(x: list[float], point: list[float], cost: list[float], size: float, power: int) -> bool:
    """Compare as whole numbers, in units in which inputs times costs and the size are whole."""
    before, after, a = _whole(x, point)
    price, limit, _ = _whole(cost, [size])
    scaled = [c * abs(v - u) for c, u, v in zip(price, before, after, strict=True)]
    whole_size = limit[0] << a  # scaled is in units of 2^-a of those of price and limit
    return max(scaled) <= whole_size if power == 0 else sum(s**power for s in scaled) <= whole_size**power


def _whole(first: list[float], second: list[float]) -> tuple[list[int], list[int], int]:
    """Both lists as whole multiples of one power of two 2^-bits, and the bits."""
    ratios = [float(value).as_integer_ratio() for value in (*first, *second)]
    bits = max(below.bit_length() - 1 for _, below in ratios)
    whole = [above << (bits - below.bit_length() + 1) for above, below in ratios]
    return whole[: len(first)], whole[len(first) :], bits
