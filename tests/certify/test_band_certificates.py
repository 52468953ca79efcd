"""Certificates behind bands: no attack inside, nothing lost in l2, exact rationals, and mistakes that are found."""

import copy
import math
from fractions import Fraction

import pytest
import torch

from asymcert.certify import certifier_for, certify
from asymcert.certify.coordinates import Bands
from asymcert.errors import InputError
from asymcert.features import Chain, LowPass, split_linear
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.certifier import check_empty
from contracts.images import attacked, behind_bands, image_threats, rests
from contracts.models import balanced, seeded
from contracts.rational import RationalModel, fractions

KINDS = tuple(rests((1,)))


@pytest.mark.parametrize("kind", KINDS)
def test_no_attack_succeeds_inside_the_radius(kind):
    assert not attacked(*behind_bands(kind), image_threats()[KINDS.index(kind) % 3 :: 3])


@pytest.mark.parametrize("kind", ["centre-absolute", "hinges"])
def test_nor_behind_bands_of_sums_or_in_single_precision(kind):
    assert not attacked(*behind_bands(kind, sums=1, levels=1), image_threats()[::5])
    model, x = behind_bands(kind)
    assert not attacked(copy.deepcopy(model).to(torch.float32), x, image_threats()[:8:2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["tangent", "refined"])
def test_no_samples_and_samples_of_which_none_is_sensitive(kind, method):
    check_empty(certifier_for(method), *behind_bands(kind), image_threats()[:6])


def two_low_passes():
    """Sums of sums, whose coordinates are bands that no bands make."""
    first, second = LowPass(1, 8, 8), LowPass(1, 4, 4)
    feature_map = Chain(first, second, rests((1, 2, 2), 2.0)["centre-absolute"])
    x = torch.rand(8, 1, 8, 8, generator=seeded(0), dtype=torch.float64)
    model, _ = behind_bands("centre-absolute", 0, (1, 2, 2), levels=1)
    score = type(model.score)((2, 2, 2), (8, 4)).double()
    score.load_state_dict(model.score.state_dict())
    return balanced(feature_map, score, x), x


def test_two_low_passes_are_measured_in_l2_as_well():
    assert not attacked(*two_low_passes(), [ThreatModel(norm) for norm in (1.0, 2.0, 3.0, math.inf)])


COST = torch.rand(2, 4, 8, generator=seeded(1)).double() + 0.25
MISTAKES = {
    "the input's norm": ("norm", lambda own, norm: norm, ThreatModel(1.0)),
    "no stretch": ("cost", lambda own, cost, norm: cost.min().expand(1, 64), ThreatModel(math.inf)),
    "greatest cost": ("cost", lambda own, cost, norm: cost.max().expand(1, 64), ThreatModel(2.0, cost=COST)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_deliberate_mistakes_are_found(mistake, monkeypatch):
    name, wrong, threat = MISTAKES[mistake]
    monkeypatch.setattr(Bands, name, wrong)
    with pytest.raises((AssertionError, InputError)):  # the latter where the certifier finds a flip inside itself
        assert not attacked(*behind_bands("centre-absolute", shape=(2, 4, 8)), [threat])


@pytest.mark.parametrize("sums", [0, 1])
def test_bands_stay_within_what_a_box_lets_them(sums):
    model, x = behind_bands("centre", sums=sums, levels=1)
    coordinates = Bands(split_linear(model.feature_map)[0], (2, 3, 5))
    least, greatest = coordinates.interval(-x, 1 - x)
    for seed in range(20):
        change = torch.rand(x.shape, generator=seeded(seed), dtype=torch.float64).round() - x
        bands = coordinates.of(change)
        assert bool(((least <= bands) & (bands <= greatest)).all())
    for band in range(least.shape[1]):  # all of one sign: each end is reached
        change = torch.where(
            coordinates.spread(torch.eye(least.shape[1])[band : band + 1].double(), -x, 1 - x) > 0, 1 - x, -x
        )
        torch.testing.assert_close(coordinates.of(change)[:, band], greatest[:, band], rtol=0, atol=1e-12)
    assert bool(coordinates.interval(-x, x + math.inf)[1].isinf().all())


def test_exact_bounds_meet_in_l2():
    model, x = behind_bands("centre", shape=(2, 4, 8), n=4)
    certificate = certify(model, x, ThreatModel(2.0), "exact")
    sensitive = certificate.sensitive
    assert certificate.upper is not None
    assert bool((certificate.radius <= certificate.upper)[sensitive].all())
    assert bool((1 - certificate.radius / certificate.upper < 1e-3)[sensitive].all())


@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_exact_refuses_norms_in_which_bounds_cannot_meet(norm):
    model, x = behind_bands("centre", n=2)
    with pytest.raises(InputError, match=r"`norm` must be 2 for method 'exact' behind bands.*method='refined'"):
        certify(model, x, ThreatModel(norm), "exact")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_exact_flip_lies_inside(dtype):
    """The margin in rationals on rays to the edge of the certificate in l2, whose squares are rational."""
    found = 0
    for seed in range(6):
        model, x = behind_bands(("centre-absolute", "hinges")[seed % 2], seed, (2, 2, 4), n=4, levels=1)
        model = model.to(dtype)
        exact = RationalModel(model)
        certificate = certify(model, x, ThreatModel(2.0), "tangent")
        assert certificate.adversarial is not None
        for row in (certificate.radius > 0).nonzero().flatten().tolist():
            start, radius = fractions(x[row].flatten()), Fraction(float(certificate.radius[row]))
            change = fractions((certificate.adversarial[row] - x[row]).flatten())
            square = sum(value * value for value in change)
            step = radius / Fraction(math.sqrt(square)) * (1 - Fraction(1, 2**50))
            assert step * step * square <= radius * radius
            assert exact.margin([a + step * b for a, b in zip(start, change, strict=True)]) > 0
            found += 1
    assert found >= 15


def test_counted_columns_are_refused():
    model, x = behind_bands("hinges")
    assert isinstance(model, FeatureConvexClassifier)
    for each in (model, model.with_threshold(1e9)):  # whether there is an alert or not
        with pytest.raises(InputError, match="norm from 1 on for a model with a low-pass or bands"):
            certify(each, x, ThreatModel(0), "tangent")
