"""The low-pass: orthonormal rows, attained Lipschitz constants, costs of blocks, and changes that sum to others."""

import math

import pytest
import torch

from asymcert.certify.coordinates import Sums
from asymcert.errors import InputError
from asymcert.features import Chain, Identity, LowPass, split_linear
from contracts.models import seeded

NORMS = (1.0, 1.5, 2.0, 3.0, math.inf)
SIZES = ((1, 4, 4), (1, 5, 7), (2, 3, 5), (3, 7, 6), (10, 3, 5))  # levels, height, width


def matrix(low_pass: LowPass) -> torch.Tensor:
    """Its rows (blocks, pixels)."""
    pixels = low_pass.height * low_pass.width
    units = torch.eye(pixels, dtype=torch.float64).view(pixels, 1, low_pass.height, low_pass.width)
    return low_pass(units).flatten(1).T


@pytest.mark.parametrize("size", SIZES)
def test_rows_are_orthonormal_and_spread_is_the_transpose(size):
    low_pass = LowPass(*size)
    rows = matrix(low_pass)
    torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)).double(), rtol=0, atol=1e-15)
    z = torch.randn(3, *low_pass.output_shape((1, *size[1:])), generator=seeded(0), dtype=torch.float64)
    torch.testing.assert_close(low_pass.inverse(z).flatten(1), z.flatten(1) @ rows, rtol=0, atol=1e-15)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", SIZES)
def test_lipschitz_constants_are_attained_and_never_exceeded(size, norm):
    low_pass, (_, height, width) = LowPass(*size), size
    rows = matrix(low_pass)
    ratios = []
    for change in (*rows.view(-1, 1, height, width), *torch.randn(50, 1, height, width, generator=seeded(1)).double()):
        moved = low_pass(change[None]).flatten().norm(norm) / change.flatten().norm(norm)
        ratios.append(float(moved))
    assert max(ratios) <= low_pass.lipschitz(norm) * (1 + 1e-15)
    assert max(ratios) >= low_pass.lipschitz(norm) * (1 - 1e-13)  # by an even change of one block


@pytest.mark.parametrize("norm", NORMS)
def test_block_cost_is_that_of_the_cheapest_change_with_the_sum(norm):
    """Never above the cost of any change of a block, and attained by the one that Hoelder's inequality is tight for."""
    low_pass, generator = LowPass(1, 3, 5), seeded(2)
    cost = torch.rand(2, 3, 5, generator=generator).double() + 0.1
    claimed = low_pass.output_cost(cost, norm)
    assert claimed.shape == (2, 2, 3)
    change = torch.rand(200, 2, 3, 5, generator=generator, dtype=torch.float64)
    power = cost / cost if norm == 1 else cost ** (-1.0 if math.isinf(norm) else -norm / (norm - 1.0))
    if norm == 1:  # all on the cheapest pixel of a block
        power = (low_pass.stretch(low_pass.feature_cost(cost, (2, 3, 5))[None])[0] == cost).double()
    change = torch.cat((change, power[None]))
    blocks = low_pass._blocks(change * cost).transpose(3, 4).flatten(4)
    spent = torch.linalg.vector_norm(blocks, ord=norm, dim=4)
    ratio = spent / low_pass(change).clamp(min=1e-300)
    assert bool((claimed <= ratio).all())
    torch.testing.assert_close(ratio[-1], claimed, rtol=1e-13, atol=0)


def test_spread_changes_sum_to_what_is_wanted_and_stay_in_the_box():
    low_pass, generator = LowPass(1, 5, 7), seeded(3)
    coordinates = Sums(low_pass, (1, 5, 7))
    x = torch.rand(20, 1, 5, 7, generator=generator, dtype=torch.float64)
    low, high = -x, 1 - x
    least, greatest = coordinates.interval(low, high)
    wanted = least + (greatest - least) * torch.rand(20, 12, generator=generator, dtype=torch.float64)
    change = coordinates.spread(wanted, low, high)
    assert bool(((low <= change) & (change <= high)).all())
    torch.testing.assert_close(low_pass(change).flatten(1), wanted, rtol=0, atol=1e-14)


def test_spread_and_interval_of_open_boxes():
    low_pass = LowPass(1, 3, 3)
    coordinates = Sums(low_pass, (1, 3, 3))
    low, high = torch.zeros(1, 1, 3, 3).double(), torch.full((1, 1, 3, 3), math.inf).double()
    high[..., 0, 0] = 0.25
    least, greatest = coordinates.interval(low, high)
    assert bool((least == 0).all())
    assert bool(greatest.isinf().all())
    change = coordinates.spread(torch.full((1, 4), 4.0).double(), low, high)
    assert bool(((low <= change) & (change <= high)).all())
    torch.testing.assert_close(low_pass(change).flatten(), torch.full((4,), 4.0).double())


def test_magnitude_bounds_the_terms_where_pixels_cancel():
    low_pass = LowPass(1, 2, 2)
    x = torch.tensor([[1.0, -1.0], [2.0, -2.0]]).double()[None, None]
    assert float(low_pass(x)) == 0
    assert float(low_pass.magnitude(x.abs())) == 3.0


def test_feature_cost_is_the_least_of_the_block():
    cost = torch.arange(1.0, 16.0).view(1, 3, 5)
    assert LowPass(1, 3, 5).feature_cost(cost, (1, 3, 5)).tolist() == [[[1, 3, 5], [11, 13, 15]]]
    assert LowPass(3, 3, 5).feature_cost(torch.tensor(2.0), (1, 3, 5)).tolist() == [[[2.0]]]


def test_blocks_are_no_larger_than_the_image():
    assert LowPass(10, 3, 5).operations == LowPass(3, 3, 5).operations
    assert LowPass(10, 3, 5).sides == (3, 5)


def test_only_a_low_pass_that_comes_first_is_split_off():
    low_pass = LowPass(1, 4, 4)
    assert split_linear(low_pass)[0] == (low_pass,)
    assert split_linear(Chain(low_pass))[0] == (low_pass,)
    assert split_linear(Chain(Identity(), low_pass))[0] == ()


@pytest.mark.parametrize("wrong", [(0, 4, 4), (11, 4, 4), (1, 0, 4), (1, 4, -1), (1.5, 4, 4)])
def test_refusals(wrong):
    with pytest.raises(InputError, match=r"`(levels|height|width)` must be"):
        LowPass(*wrong)


@pytest.mark.parametrize("shape", [(16,), (1, 4, 5), (4, 4)])
def test_samples_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match=r"`input_shape` must be \(channels, 4, 4\)"):
        LowPass(1, 4, 4).output_shape(shape)
