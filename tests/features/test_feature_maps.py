"""No measured ratio exceeds a declared Lipschitz constant, and shapes and costs are as declared."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from asymcert.errors import InputError
from asymcert.features import Centre, CentreAbsolute, Chain, Identity, Standardise
from contracts.models import dyadic, feature_maps, seeded

D = 4
MAPS = feature_maps(D, seeded(0))
GRID = st.integers(-(2**13), 2**13).map(lambda k: k / 2**10)  # dyadic: values and differences of the maps are exact
POINTS = arrays.arrays(np.float64, (D,), elements=GRID)
COSTS = arrays.arrays(np.float64, (D,), elements=st.integers(-6, 6).map(lambda k: 2.0**k))
NORMS = st.one_of(st.sampled_from([1.0, 1.3, 2.0, 3.0, math.inf]), st.floats(1.0, 50.0))
MEASURED = 1 + 2.0**-46  # rounding of the two measured norms; the constants themselves get no allowance


def size(change, norm):
    largest = np.abs(change).max(initial=0.0)
    return largest * np.linalg.norm(change / largest, ord=norm) if largest > 0 else 0.0


@pytest.mark.parametrize("name", MAPS)
@given(x=POINTS, y=POINTS, cost=COSTS, norm=NORMS)
def test_no_ratio_exceeds_the_declared_constant(name, x, y, cost, norm):
    feature_map = MAPS[name].double()
    values = feature_map(torch.from_numpy(np.stack((x, y)))).numpy()
    bound = feature_map.lipschitz(norm)
    assert size(values[0] - values[1], norm) <= bound * size(x - y, norm) * MEASURED
    feature_cost = feature_map.feature_cost(torch.from_numpy(cost), (D,)).numpy()
    assert size(feature_cost * (values[0] - values[1]), norm) <= bound * size(cost * (x - y), norm) * MEASURED


@pytest.mark.parametrize("norm", [1.0, 1.3, 2.0, 3.0, 50.0, math.inf])
@pytest.mark.parametrize("name", MAPS)
def test_the_constant_is_attained(name, norm):
    """Far from the kinks both halves move by the full change, so a smaller declared constant would be wrong."""
    feature_map = MAPS[name].double()
    x = 64 + dyadic((2, D), seeded(1))
    values = feature_map(x).numpy()
    ratio = size(values[0] - values[1], norm) / size((x[0] - x[1]).numpy(), norm)
    assert ratio == pytest.approx(feature_map.lipschitz(norm), rel=1e-12)


@pytest.mark.parametrize("name", MAPS)
def test_constants_are_rounded_up_and_refuse_what_is_no_norm(name):
    feature_map = MAPS[name]
    exact = {"identity": 1.0, "centre": 1.0, "standardise": 4.0, "centre-absolute": 2.0, "chain": 0.5, "nested": 4.0}
    assert feature_map.lipschitz(1) >= exact[name]
    for norm in (0.5, -1.0, math.nan, "2", True, None):
        with pytest.raises(InputError, match="`norm` must be"):
            feature_map.lipschitz(norm)


@pytest.mark.parametrize("name", MAPS)
def test_output_shape_is_the_shape_of_the_output(name):
    feature_map = MAPS[name].double()
    x = dyadic((3, D), seeded(2))
    assert feature_map(x).shape[1:] == feature_map.output_shape((D,))
    assert feature_map.feature_cost(torch.ones(D), (D,)).expand(feature_map.output_shape((D,))) is not None


@pytest.mark.parametrize("mean", [torch.zeros(2, 1, 1), torch.zeros(2, 4, 4), torch.tensor(0.5)])
def test_images(mean):
    x = dyadic((5, 2, 4, 4), seeded(3))
    for kind in (Centre, CentreAbsolute):
        feature_map = kind(mean.double())
        assert feature_map(x).shape[1:] == feature_map.output_shape((2, 4, 4))
        cost = feature_map.feature_cost(torch.ones(2, 1, 1), (2, 4, 4))
        assert torch.broadcast_shapes(cost.shape, feature_map(x).shape[1:]) == feature_map(x).shape[1:]


def test_costs_of_a_chain_are_each_feature_s_own():
    cost = torch.tensor([1.0, 2.0, 4.0, 8.0]).double()
    assert MAPS["nested"].feature_cost(cost, (D,)).tolist() == [*cost.tolist(), *cost.tolist()]


def test_centre_absolute_value():
    feature_map = CentreAbsolute(torch.tensor([1.0, 2.0]))
    assert feature_map(torch.tensor([[0.0, 5.0]])).tolist() == [[-1.0, 3.0, 1.0, 3.0]]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Centre(torch.tensor([math.nan])), "`mean` must be finite"),
        (lambda: CentreAbsolute(torch.tensor([math.inf])), "`mean` must be finite"),
        (lambda: Standardise(0.0), "`deviation` must be a number"),
        (lambda: Standardise(-1.0), "`deviation` must be a number"),
        (lambda: Standardise(math.nan), "`deviation` must be a number"),
        (lambda: Standardise(math.inf), "`deviation` must be finite"),
        (lambda: Chain(), "`maps` must be at least one feature map"),
        (lambda: Centre(torch.zeros(3)).output_shape((4,)), "`mean` must be broadcastable"),
        (lambda: CentreAbsolute(torch.zeros(5, 1)).output_shape((4,)), "`mean` must be broadcastable"),
        (lambda: Chain(Identity(), Centre(torch.zeros(3))).output_shape((1,)), "`mean` must be broadcastable"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(InputError, match=message):
        build()
