"""Falls of tangent planes that the loss `tangent` trains on, against slow computations."""

import math

import pytest
import torch

from asymcert.errors import InputError
from asymcert.features import Chain, Identity, LowPass
from asymcert.training.falls import TangentFalls
from contracts.images import SHAPE, rests
from contracts.models import Mixing, seeded

KINDS = tuple(rests((1, 1, 1)))


def setting(kind, norm, target):
    """Falls behind a low-pass, planes' gradients, images, the map and its low-pass."""
    low_pass, generator = LowPass(1, *SHAPE[1:]), seeded(0)
    feature_map = Chain(low_pass, rests(low_pass.output_shape(SHAPE))[kind])
    x = torch.rand(6, *SHAPE, generator=generator, dtype=torch.float64)
    gradient = torch.randn(6, *feature_map.output_shape(SHAPE), generator=generator, dtype=torch.float64)
    return TangentFalls(feature_map, SHAPE, {norm: target}), gradient, x, feature_map, low_pass


def fall(gradient, feature_map, x, change):
    return -(gradient * (feature_map(x + change) - feature_map(x))).flatten(1).sum(1)


@pytest.mark.parametrize("kind", KINDS)
def test_in_linf_it_is_the_greatest_fall(kind):
    """Block by block: all pixels move by the same share of their room, at a thousand places between both ends."""
    falls, gradient, x, feature_map, low_pass = setting(kind, math.inf, 0.3)
    best = torch.zeros(6, *low_pass.output_shape(SHAPE)).double()
    for share in torch.linspace(-1, 1, 1001).tolist():
        room = -x.clamp(max=0.3) if share < 0 else (1 - x).clamp(max=0.3)
        moved = -gradient * (feature_map(x + abs(share) * room) - feature_map(x))
        best = torch.maximum(best, moved.unflatten(1, (-1, SHAPE[0])).sum(1))
    slow, found = best.flatten(1).sum(1), falls.greatest(gradient, x)
    assert bool((found >= slow * (1 - 1e-12)).all())
    torch.testing.assert_close(found, slow, rtol=5e-3, atol=0)


@pytest.mark.parametrize("norm", [1.0, 2.0])
@pytest.mark.parametrize("kind", KINDS)
def test_no_change_of_the_size_makes_a_plane_fall_farther_where_no_kink_is_near(kind, norm):
    target = 1e-3
    falls, gradient, x, feature_map, _ = setting(kind, norm, target)
    x = 0.3 + 0.001 * x  # sums of four pixels near 0.6, of two near 0.42, of one near 0.3
    found, generator = falls.greatest(gradient, x), seeded(1)
    for _ in range(300):
        change = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        change *= (target / torch.linalg.vector_norm(change.flatten(1), norm, dim=1)).view(-1, 1, 1, 1)
        assert bool((fall(gradient, feature_map, x, change) <= found).all())
    steepest = torch.autograd.functional.jacobian(lambda y: fall(gradient, feature_map, x, y).sum(), 0 * x).flatten(1)
    dual = math.inf if norm == 1 else 2.0
    torch.testing.assert_close(found, target * torch.linalg.vector_norm(steepest, dual, dim=1), rtol=1e-9, atol=0)


def test_falls_keep_to_the_box():
    """Pixels at their ends: only what they can still do counts."""
    falls = TangentFalls(Identity(), (2,), {1.0: 1.0})
    x, gradient = torch.tensor([[0.25, 1.0]]).double(), torch.tensor([[3.0, -5.0]]).double()
    assert float(falls.greatest(gradient, x)) == pytest.approx(0.75, rel=1e-14)


def test_maps_that_mix_are_refused():
    with pytest.raises(InputError, match="loss='certified'"):
        TangentFalls(Mixing(), (3,), {2.0: 1.0})
