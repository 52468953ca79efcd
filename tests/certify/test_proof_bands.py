"""Proofs of radii behind bands: confirmed, exact, no larger than can be, and refused where anything is changed."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from asymcert.certify import certify
from asymcert.errors import InputError
from asymcert.features import Haar, opponent_colours
from asymcert.proofs.checker_bands import Bands
from asymcert.proofs.checker_maps import FeatureMap
from asymcert.proofs.checker_network import RefusedError
from asymcert.proofs.writer import write_proof
from asymcert.threats.model import ThreatModel
from contracts.confirmed import check_confirmed
from contracts.images import behind_bands, image_threats
from contracts.models import seeded
from contracts.rational import RationalModel, fractions

DESCRIBED = {"kind": "Haar", "levels": 2, "height": 5, "width": 7}


@pytest.mark.parametrize(("kind", "sums"), [("centre-absolute", 0), ("hinges", 1)])
def test_radii_are_confirmed(kind, sums, tmp_path):
    """About those of the tangent certificate: prices are near the best."""
    model, x = behind_bands(kind, n=3, sums=sums, levels=1)
    assert check_confirmed(model, x, image_threats()[1::5], tmp_path, 0.995, lambda threat: 1.1) >= 8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_exact_flip_lies_inside_a_proof(dtype, tmp_path):
    found = 0
    for seed in range(4):
        model, x = behind_bands(("centre-absolute", "hinges")[seed % 2], seed, (2, 2, 4), n=4, levels=1)
        model = model.to(dtype)
        exact, answers = RationalModel(model), certify(model, x, ThreatModel(2.0), "tangent").adversarial
        assert answers is not None
        for row in model.predict(x).nonzero().flatten().tolist():
            radius = write_proof(tmp_path / "p", model, x[row], ThreatModel(2.0), x[row][None], torch.ones(1))
            start, change = fractions(x[row].flatten()), fractions((answers[row] - x[row]).flatten())
            square = sum(value * value for value in change)
            step = Fraction(radius) / Fraction(math.sqrt(square)) * (1 - Fraction(1, 2**50))
            assert step * step * square <= Fraction(radius) ** 2
            assert exact.margin([a + step * b for a, b in zip(start, change, strict=True)]) > 0
            found += 1
    assert found >= 8


@pytest.mark.parametrize("norm", [1.0, 1.5, 2.0, 3.0, math.inf])
def test_the_checker_s_bands_and_costs_are_the_package_s(norm):
    haar = Haar(opponent_colours(3), 2, 5, 7)
    bands = Bands(DESCRIBED, haar.mixing.numpy(), (3, 5, 7))
    x = torch.randn(4, 3, 5, 7, generator=seeded(0), dtype=torch.float64)
    np.testing.assert_allclose(bands(x.numpy()), haar(x).numpy(), rtol=0, atol=1e-14)
    np.testing.assert_allclose(bands.magnitude(x.abs().numpy()), haar.magnitude(x.abs()).numpy(), rtol=1e-14)
    cost = bands.cost(np.full((3, 5, 7), 2.0), norm)
    assert cost.shape == bands.out_shape
    np.testing.assert_allclose(cost, 2.0 / haar.lipschitz(norm), rtol=1e-12)


def test_bands_stay_within_what_a_box_lets_them():
    bands = Bands(DESCRIBED, opponent_colours(3).float().double().numpy(), (3, 5, 7))
    low, room = (torch.rand(4, 3, 5, 7, generator=seeded(seed), dtype=torch.float64).numpy() for seed in (1, 2))
    least, greatest = bands.outward(low, low + room, 0.0)
    for seed in range(20):
        share = torch.rand(4, 3, 5, 7, generator=seeded(seed), dtype=torch.float64).round().numpy()
        assert ((least <= bands(low + share * room)) & (bands(low + share * room) <= greatest)).all()
    point = bands.outward(low, low, 1e-300)
    assert (point[0] <= bands(low)).all()
    assert (bands(low) <= point[1]).all()
    assert (point[1] - point[0] < 1e-12).all()


@pytest.mark.parametrize(
    ("changed", "mixing"),
    [
        ({"levels": 0}, np.eye(3)),
        ({"levels": 11}, np.eye(3)),
        ({"levels": 1.0}, np.eye(3)),
        ({"width": 6}, np.eye(3)),
        ({}, np.eye(2)),
        ({}, np.ones(3)),
        ({}, None),
    ],
)
def test_bands_that_are_none_are_refused(changed, mixing):
    tensors = {} if mixing is None else {"feature_map.mixing": mixing}
    with pytest.raises(ValueError, match=r"whole number|for other images"):
        FeatureMap({**DESCRIBED, **changed}, tensors, (3, 5, 7))


def test_bands_behind_other_maps_are_refused():
    chain = {"kind": "Chain", "maps": [{"kind": "Standardise", "deviation": 2.0}, DESCRIBED]}
    with pytest.raises(RefusedError, match="bands after other maps"):
        FeatureMap(chain, {"feature_map.maps.1.mixing": np.eye(3)}, (3, 5, 7))


def test_columns_are_not_counted(tmp_path):
    model, x = behind_bands("hinges")
    row = x[model.margin(x).argmax()]
    with pytest.raises(InputError, match="columns are not counted behind a low-pass or bands"):
        write_proof(tmp_path / "p", model, row, ThreatModel(0), row[None], torch.ones(1))


def test_what_a_mixing_stretches_is_worked_out_and_not_believed():
    once, twice = (Bands(DESCRIBED, size * np.eye(3), (3, 5, 7)).cost(np.ones(1), 2.0)[0] for size in (1.0, 2.0))
    assert 1 - 1e-14 < once <= 1.0
    assert 0.5 - 1e-14 < twice <= 0.5
