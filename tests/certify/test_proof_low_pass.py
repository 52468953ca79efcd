"""Proofs of radii behind a low-pass: confirmed, exact, no larger than can be, and refused where anything is changed."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from asymcert.certify import certify
from asymcert.errors import InputError
from asymcert.features import LowPass
from asymcert.proofs.checker import Claim
from asymcert.proofs.checker_blocks import Blocks
from asymcert.proofs.checker_maps import FeatureMap
from asymcert.proofs.checker_model import read_container
from asymcert.proofs.checker_network import RefusedError
from asymcert.proofs.writer import as_checked, write_proof
from asymcert.threats.model import ThreatModel
from contracts.confirmed import check_confirmed
from contracts.images import COST, SHAPE, behind_low_pass, image_threats
from contracts.models import seeded
from contracts.rational import RationalModel, fractions


@pytest.mark.parametrize("kind", ["centre", "hinges"])
def test_radii_are_confirmed(kind, tmp_path):
    """About those of the tangent certificate: an affine map's in l_2 and behind masks can be smaller."""
    model, x = behind_low_pass(kind, n=3)
    longer = lambda threat: 1.001 if math.isinf(threat.norm) else 2.0  # noqa: E731
    assert check_confirmed(model, x, image_threats()[1::5], tmp_path, 0.5, longer) >= 8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_exact_flip_lies_inside_a_proof(dtype, tmp_path):
    found = 0
    for seed in range(4):
        model, x = behind_low_pass(("centre-absolute", "hinges")[seed % 2], seed, (1, 2, 4), n=4)
        model = model.to(dtype)
        exact = RationalModel(model)
        for norm in (1.0, math.inf):
            answers = certify(model, x, ThreatModel(norm), "tangent").adversarial
            assert answers is not None
            for row in model.predict(x).nonzero().flatten().tolist():
                radius = write_proof(tmp_path / "p", model, x[row], ThreatModel(norm), x[row][None], torch.ones(1))
                change = fractions((answers[row] - x[row]).flatten())
                size = sum(map(abs, change)) if norm == 1 else max(map(abs, change))
                step = Fraction(radius) / size * (1 - Fraction(1, 2**200))
                start = fractions(x[row].flatten())
                assert exact.margin([a + step * b for a, b in zip(start, change, strict=True)]) > 0
                found += 1
    assert found >= 12


@pytest.mark.parametrize("norm", [1.0, 1.5, 2.0, math.inf])
def test_the_checker_s_sums_and_costs_are_the_package_s(norm):
    low_pass, blocks = LowPass(1, 3, 5), Blocks({"levels": 1, "height": 3, "width": 5}, SHAPE)
    x = torch.rand(4, *SHAPE, generator=seeded(0), dtype=torch.float64)
    np.testing.assert_allclose(blocks(x.numpy()), low_pass(x).numpy(), rtol=1e-14)
    np.testing.assert_allclose(blocks.cost(COST.numpy(), norm), low_pass.output_cost(COST, norm).numpy(), rtol=1e-12)
    low, high = blocks.outward(x.numpy(), x.numpy(), 0.0)
    assert (low < blocks(x.numpy())).all()
    assert (blocks(x.numpy()) < high).all()


def test_changes_that_cancel_in_a_sum_count_as_terms():
    """The deployed classifier adds up pixels that the adversary has made large, though their sum stays."""
    described = {"kind": "LowPass", "levels": 1, "height": 2, "width": 2}
    feature_map = FeatureMap(described, {}, (1, 2, 2))
    assert feature_map.linear.sums(np.full((1, 1, 2, 2), 3.0), 0.0) >= 6.0
    assert feature_map.magnitude_of_inputs(np.full((1, 1, 2, 2), 3.0), 0.0) >= 6.0


@pytest.mark.parametrize(
    "described",
    [
        {"levels": 0, "height": 3, "width": 5},
        {"levels": 11, "height": 3, "width": 5},
        {"levels": 1.0, "height": 3, "width": 5},
        {"levels": 1, "height": 3, "width": 4},
        {"levels": 1, "height": 3},
    ],
)
def test_a_low_pass_that_is_none_is_refused(described):
    with pytest.raises((ValueError, KeyError)):
        FeatureMap({"kind": "LowPass", **described}, {}, SHAPE)


def test_a_low_pass_behind_other_maps_is_refused():
    low_pass = {"kind": "LowPass", "levels": 1, "height": 3, "width": 5}
    for first in ({"kind": "Standardise", "deviation": 2.0}, low_pass):
        with pytest.raises(RefusedError, match=r"a low-pass (or bands )?after other maps"):
            FeatureMap({"kind": "Chain", "maps": [first, low_pass]}, {}, SHAPE)


def test_hinges_of_an_impossible_range_are_refused():
    for reach in (0.0, -1.0, math.inf, math.nan):
        described = {"kind": "Hinges", "count": 2, "reach": reach}
        with pytest.raises(RefusedError, match="out of range"):
            FeatureMap(described, {"feature_map.mean": np.zeros(3)}, (3,))


def test_columns_are_not_counted(tmp_path):
    model, x = behind_low_pass("hinges")
    row = x[model.margin(x).argmax()]
    with pytest.raises(InputError, match="columns are not counted behind a low-pass"):
        write_proof(tmp_path / "p", model, row, ThreatModel(0), row[None], torch.ones(1))


def test_a_price_of_pixels_is_refused(tmp_path):
    model, x = behind_low_pass("hinges")
    row = x[model.margin(x).argmax()]
    write_proof(tmp_path / "p", model, row, ThreatModel(1), row[None], torch.ones(1))
    metadata, tensors = read_container(tmp_path / "p", "asymcert-proof")
    assert json.dumps(metadata)
    tensors["price"] = np.ones(SHAPE)
    with pytest.raises(RefusedError, match="price has the wrong shape"):
        Claim(as_checked(model), metadata, tensors)
