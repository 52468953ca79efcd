"""Inside or outside a budget, against rational arithmetic."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asymcert.attacks.base import admissible
from asymcert.attacks.exact_size import at_most
from asymcert.threats.model import ThreatModel

FLOATS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30)


def rational(x, point, cost, size, norm):
    parts = [Fraction(c) * abs(Fraction(b) - Fraction(a)) for a, b, c in zip(x, point, cost, strict=True)]
    if math.isinf(norm):
        return max(parts) <= Fraction(size)
    return sum(part ** int(norm) for part in parts) <= Fraction(size) ** int(norm)


@given(
    x=st.lists(FLOATS, min_size=3, max_size=3),
    delta=st.lists(FLOATS, min_size=3, max_size=3),
    cost=st.lists(st.floats(1e-8, 1e8), min_size=3, max_size=3),
    norm=st.sampled_from([1.0, 2.0, 3.0, math.inf]),
    ulps=st.integers(-2, 2),
)
def test_agrees_with_fractions_at_the_edge(x, delta, cost, norm, ulps):
    x, delta, cost = (torch.tensor([values], dtype=torch.float64) for values in (x, delta, cost))
    point, threat = x + delta, ThreatModel(norm, cost=cost[0])
    size = threat.size(point - x)
    for _ in range(abs(ulps)):
        size = torch.nextafter(size, torch.full_like(size, math.copysign(math.inf, ulps))).clamp(min=0)
    expected = rational(x[0].tolist(), point[0].tolist(), cost[0].tolist(), float(size), norm)
    assert at_most(x, point, threat, size).tolist() == [expected]


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("tiny", [5e-324, 1e-200, 1e-160])
def test_sizes_that_underflow(norm, tiny):
    x, point = torch.zeros(1, 2).double(), torch.tensor([[tiny, 0.0]], dtype=torch.float64)
    below = math.nextafter(tiny, 0.0)
    for size, expected in ((tiny, True), (below, False), (0.0, False), (math.inf, True)):
        assert at_most(x, point, ThreatModel(norm), torch.tensor([size], dtype=torch.float64)).tolist() == [expected]


def test_other_norms_are_decided_only_where_rounding_cannot_matter():
    x, point = torch.zeros(1, 2).double(), torch.tensor([[3.0, 4.0]]).double()
    threat = ThreatModel(1.5)
    size = threat.size(point)
    sizes = torch.cat((size * (1 - 1e-9), size, size * (1 + 1e-9)))
    found = at_most(x.expand(3, 2), point.expand(3, 2), threat, sizes)
    assert found.tolist() == [False, False, True]


def test_a_difference_that_float64_rounds():
    """1 - 1e-30 is no float64 number: the computed difference is 1, the true one is below."""
    x, point = torch.tensor([[1.0]]).double(), torch.tensor([[1e-30]], dtype=torch.float64)
    below = math.nextafter(1.0, 0.0)
    assert at_most(x, point, ThreatModel(1), torch.tensor([1.0]).double()).tolist() == [True]
    assert at_most(x, -point, ThreatModel(1), torch.tensor([1.0]).double()).tolist() == [False]
    assert at_most(x, point, ThreatModel(1), torch.tensor([below], dtype=torch.float64)).tolist() == [False]


def test_admissible_knows_box_mask_and_direction():
    x = torch.tensor([[0.5, 0.5, 0.5]] * 5).double()
    point = torch.tensor([[0.6, 0.5, 0.5], [0.4, 0.5, 0.5], [0.5, 0.6, 0.5], [0.5, 0.5, 1.1], [0.5, 0.5, 0.0]])
    threat = ThreatModel(
        math.inf, 0.0, 1.0, mutable=torch.tensor([True, False, True]), direction=torch.tensor([1, 0, 0])
    )
    found = admissible(x, point.double(), threat, torch.full((5,), 1.0).double())
    assert found.tolist() == [True, False, False, False, True]
