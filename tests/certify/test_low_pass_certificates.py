"""Certificates behind a low-pass: no attack inside, nothing lost against multiplied-out weights, exact sums."""

import copy
import math
from fractions import Fraction

import pytest
import torch

from asymcert.certify import certify
from asymcert.certify.coordinates import Sums
from asymcert.certify.drops import Pieces
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.features import Centre, CentreAbsolute, LowPass
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.images import SHAPE, attacked, behind_low_pass, image_threats, rests
from contracts.rational import RationalModel, fractions

KINDS = tuple(rests((1, 1, 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_no_attack_succeeds_inside_the_radius(kind):
    assert not attacked(*behind_low_pass(kind), image_threats())


def test_nor_one_of_single_precision():
    model, x = behind_low_pass("centre-absolute")
    assert not attacked(model.to(torch.float32), x, image_threats()[:8])


MISTAKES = {
    "costs of pixels": ("cost", lambda own, cost, norm: torch.full((1, math.prod(own.shape)), float(cost.max()))),
    "room of one pixel": ("interval", lambda own, low, high: (own.of(low) / 2, own.of(high) / 2)),
    "costs left out": (
        "cost",
        lambda own, cost, norm: own.low_pass.output_cost(torch.ones_like(cost), norm).view(1, -1),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_attacks_find_deliberate_mistakes(mistake, monkeypatch):
    monkeypatch.setattr(Sums, *MISTAKES[mistake])
    with pytest.raises((AssertionError, InputError)):
        assert not attacked(
            *behind_low_pass("hinges"), [threat for threat in image_threats() if math.isinf(threat.norm)]
        )


@pytest.mark.parametrize("kind", ["centre", "centre-absolute"])
def test_radii_are_those_of_the_multiplied_out_model(kind):
    """An affine map loses nothing under any adversary; behind the others l_inf and l1 of equal costs lose nothing."""
    model, x = behind_low_pass("centre")
    out = multiplied_out(model)
    for threat in image_threats():
        mine, other = (certify(one, x, threat, "tangent").radius for one in (model, out))
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=0)
    if kind == "centre":
        return
    bent = behind_low_pass(kind)[0].score  # that does not use what bends
    with torch.no_grad():
        for target, source in zip(bent.parameters(), model.score.parameters(), strict=True):
            wide = target.ndim > 1 and target.shape != source.shape
            target.copy_(torch.cat((source, 0 * source), 1) if wide else source)
    feature_map = behind_low_pass(kind)[0].feature_map
    folded = FeatureConvexClassifier(feature_map, bent, model.threshold, input_shape=SHAPE)
    for threat in image_threats()[:8]:
        mine, other = (certify(one, x, threat, "tangent").radius for one in (folded, model))
        assert bool((mine <= other * (1 + 1e-9)).all())
        if threat.norm in (1.0, math.inf) or threat.lower is None:
            torch.testing.assert_close(mine, other, rtol=1e-9, atol=0)


def multiplied_out(model):
    """The same function of pixels without a low-pass: its first weights are spread over them."""
    low_pass, centre = model.feature_map.maps
    score = ConvexMLP(SHAPE, (8, 4)).double()
    shape = low_pass.output_shape(SHAPE)
    with torch.no_grad():
        for target, source in zip(score.parameters(), model.score.parameters(), strict=True):
            spread = target.shape != source.shape
            target.copy_(low_pass.inverse(source.view(-1, *shape)).flatten(1) if spread else source)
    return FeatureConvexClassifier(
        Centre(low_pass.inverse(centre.mean[None].double())[0]), score, model.threshold, input_shape=SHAPE
    )


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_exact_bounds_meet_behind_an_affine_map(norm):
    model, x = behind_low_pass("centre", n=4)
    certificate = certify(model, x, ThreatModel(norm, 0.0, 1.0), "exact")
    sensitive = certificate.sensitive
    assert certificate.upper is not None
    assert bool((certificate.radius <= certificate.upper)[sensitive].all())
    gap = (1 - certificate.radius / certificate.upper)[sensitive & certificate.upper.isfinite()]
    assert bool((gap < 1e-3).all())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_exact_flip_lies_inside(dtype):
    """Blocks of four pixels have rational sums: the margin on rays to the edge of the certificate is exact."""
    found = 0
    for seed in range(6):
        model, x = behind_low_pass(("centre-absolute", "hinges")[seed % 2], seed, (1, 2, 4), n=4)
        model = copy.deepcopy(model).to(dtype)
        exact = RationalModel(model)
        for norm in (1.0, math.inf):
            certificate = certify(model, x, ThreatModel(norm), "tangent")
            assert certificate.adversarial is not None
            for row in (certificate.radius > 0).nonzero().flatten().tolist():
                start = fractions(x[row].flatten())
                change = fractions((certificate.adversarial[row] - x[row]).flatten())
                size = sum(map(abs, change)) if norm == 1 else max(map(abs, change))
                step = Fraction(float(certificate.radius[row])) / size * (1 - Fraction(1, 2**200))
                assert exact.margin([a + step * b for a, b in zip(start, change, strict=True)]) > 0
                found += 1
    assert found >= 20


def test_falls_that_begin_on_another_piece_are_counted():
    """A knot that is off by rounding: the fall of a tiny change is steeper than that of the computed piece."""
    mean = torch.tensor([0.5])
    pieces = Pieces(CentreAbsolute(mean), (1,))
    slope = torch.tensor([[[3.0]], [[0.0]]]).double()
    lost = pieces.misplaced(slope, torch.zeros_like(slope), torch.tensor([[1e-15]]).double())
    assert 3e-15 <= float(lost) <= 5e-15


def test_counted_columns_are_refused():
    model, x = behind_low_pass("hinges")
    with pytest.raises(InputError, match="norm from 1 on for a model with a low-pass"):
        certify(model, x, ThreatModel(0), "tangent")


def test_low_pass_of_a_chain_is_saved(tmp_path):
    model, x = behind_low_pass("hinges")
    model.save(tmp_path / "model.safetensors")
    loaded = FeatureConvexClassifier.load(tmp_path / "model.safetensors")
    assert isinstance(loaded.feature_map.maps[0], LowPass)
    assert torch.equal(loaded.margin(x), model.margin(x))
