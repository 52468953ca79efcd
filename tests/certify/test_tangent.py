"""Tangent certificates: the contract, tightness, and independent programmes for one plane."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor

from asymcert.certify import ClosedForm, Refined, Tangent, certify
from asymcert.certify.cuts import Cuts
from asymcert.errors import InputError
from asymcert.features import Centre, CentreAbsolute, Chain, FeatureMap, Identity, SoftThreshold, Standardise
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.certifier import COST, CertifierContract
from contracts.models import feature_maps, linear_score, random_conv, random_mlp, seeded

NORMS = (1.0, 1.5, 2.0, 3.0, math.inf)
CLOSE = 1 + 1e-12  # batches of other samples round differently


class TestTangent(CertifierContract):
    @pytest.fixture
    def certifier(self):
        return Tangent()


def maps(d: int) -> dict[str, FeatureMap]:
    generator = seeded(d)
    mean = torch.rand(d, generator=generator)
    return {
        **feature_maps(d, generator),
        "soft": SoftThreshold(mean, 0.1),
        "soft then folded": Chain(SoftThreshold(mean, 0.1), CentreAbsolute(torch.full((d,), 0.05))),
        "folded then soft": Chain(CentreAbsolute(mean), SoftThreshold(torch.full((2 * d,), 0.2), 0.05)),
    }


def threats(norm: float, d: int) -> list[ThreatModel]:
    direction = torch.arange(d) % 3 - 1
    return [
        ThreatModel(norm),
        ThreatModel(norm, 0.0, 1.0),
        ThreatModel(norm, -0.25, 1.0, cost=COST[:d], direction=direction),
        ThreatModel(norm, upper=1.5, mutable=torch.arange(d) % 2 == 0),
    ]


# The order of the methods


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", sorted(maps(6)))
def test_closed_form_tangent_refined_are_in_this_order(kind, norm):
    model, x = random_mlp(31, feature_map=maps(6)[kind])
    for threat in threats(norm, 6):
        if threat.lower is not None and float(threat.lower) < 0:  # inputs in [0, 1] are inside every box
            assert bool((x >= threat.lower).all())
        radii = [each.certify(model, x, [threat])[0].radius for each in (ClosedForm(), Tangent(), Refined(3, 1))]
        assert bool((radii[0] <= radii[1] * CLOSE).all())
        assert bool((radii[1] <= radii[2] * CLOSE).all())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["identity", "centre", "standardise"])
def test_equals_the_closed_form_for_affine_maps_without_a_box(kind, norm):
    model, x = random_mlp(32, feature_map=maps(6)[kind])
    threat = ThreatModel(norm, cost=COST)
    plain, tangent = (certify(model, x, threat, method) for method in ("closed-form", "tangent"))
    torch.testing.assert_close(tangent.radius, plain.radius, rtol=1e-9, atol=0)


def test_uses_box_and_map_where_they_help():
    model, x = random_mlp(33, feature_map=CentreAbsolute(torch.full((6,), 0.5)))
    closed, tangent = (certify(model, x, ThreatModel(1.0), method).radius for method in ("closed-form", "tangent"))
    assert bool((tangent > 1.1 * closed)[closed > 0].any())
    model, x = random_mlp(33)
    growing = torch.ones(6, dtype=torch.long)
    free, limited = (
        certify(model, x, ThreatModel(2.0, **part), "tangent").radius for part in ({}, {"direction": growing})
    )
    assert bool((limited > 1.1 * free)[free > 0].any())


# One plane, by other means


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(3))
def test_the_worst_change_proves_that_no_greater_radius_holds_for_the_plane(norm, seed):
    """For affine maps the adversary's answer is admissible, brings the plane to 0, and is as large as the radius."""
    model, x = random_mlp(40 + seed, feature_map=Centre(torch.full((6,), 0.5)))
    for threat in threats(norm, 6):
        cuts = Cuts(model, x, threat)
        margin = cuts.add(x)
        plane = cuts.radius(torch.ones(len(x), 1).double())
        reachable = (margin > 0) & plane.radius.isfinite()
        assert int(reachable.sum()) > 5
        low, high = threat.interval(x)
        assert bool(((plane.change >= low) & (plane.change <= high)).all())
        left = cuts.at(plane.change)[:, 0]
        torch.testing.assert_close(left[reachable], torch.zeros_like(left[reachable]), rtol=0, atol=1e-9)
        torch.testing.assert_close(threat.size(plane.change)[reachable], plane.radius[reachable], rtol=1e-9, atol=0)


@pytest.mark.parametrize("kind", sorted(maps(4)))
@pytest.mark.parametrize("boxed", [True, False])
def test_equals_an_independent_programme_of_the_plane(kind, boxed):
    feature_map = maps(4)[kind]
    generator = seeded(5)
    x = torch.rand(8, 4, generator=generator).double()
    features = feature_map(x)
    for row in range(len(x)):
        weight = torch.randn(features.shape[1], generator=generator).double()
        threshold = float(weight @ features[row]) - 0.3
        model = FeatureConvexClassifier(feature_map, linear_score(weight), threshold, input_shape=(4,))
        for norm in (1.0, math.inf):
            parts = {"lower": 0.0, "upper": 1.0} if boxed else {"lower": -4.0, "upper": 5.0}
            threat = ThreatModel(norm, cost=COST[:4], **parts)
            got = float(certify(model, x[row : row + 1], threat, "tangent").radius)
            if math.isinf(got):
                assert not falls_to_zero(model, x[row], threat, whole_box(x[row], threat))
            else:
                assert not falls_to_zero(model, x[row], threat, got * (1 - 1e-7))  # the solver's tolerance
                assert falls_to_zero(model, x[row], threat, got * (1 + 1e-7))


def whole_box(x: Tensor, threat: ThreatModel) -> float:
    """What no change costs more than."""
    low, high = (bound[0] for bound in threat.interval(x[None]))
    return len(x) * float((torch.maximum(-low, high) * threat.cost_for((len(x),))).max())


def falls_to_zero(model: FeatureConvexClassifier, x: Tensor, threat: ThreatModel, r: float) -> bool:
    """Whether coordinates that cost up to r each, and r together, let a linear score fall to 0; so do all greater r.

    Coordinates may mix their points, as in a concave majorant; in l_inf none needs to.
    """
    margin = float(model.margin(x[None]))
    spent, fallen = zip(*(points(model, x, i, threat, r) for i in range(len(x))), strict=True)
    if math.isinf(threat.norm):
        return sum(max(fall) for fall in fallen) >= margin
    return least_total(spent, fallen, margin) <= r


def points(model: FeatureConvexClassifier, x: Tensor, i: int, threat: ThreatModel, r: float) -> tuple[list, list]:
    """Costs of moving coordinate i to each kink and end within cost r, and how far the score falls there."""
    low, high = (float(bound[0, i]) for bound in threat.interval(x[None]))
    cost = float(threat.cost_for((len(x),))[i])
    knots = (model.feature_map.knots((len(x),))[:, i] - x[i]).tolist()  # pyright: ignore
    low, high = max(low, -r / cost), min(high, r / cost)
    changes = [0.0, low, high, *(knot for knot in knots if low < knot < high)]
    moved = x.repeat(len(changes), 1)
    moved[:, i] += torch.tensor(changes, dtype=torch.float64)
    return [abs(change) * cost for change in changes], (model.margin(x[None]) - model.margin(moved)).tolist()


def least_total(spent: tuple[list, ...], fallen: tuple[list, ...], margin: float) -> float:
    """Least expected cost of mixtures of each coordinate's points that fall by the margin: a linear programme."""
    sizes = [len(costs) for costs in spent]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    blocks = (owner[None] == np.arange(len(sizes))[:, None]).astype(float)
    rows = np.vstack((-np.concatenate(fallen), blocks))
    solved = linprog(np.concatenate(spent), rows, [-margin, *[1.0] * len(sizes)], method="highs")
    return solved.fun if solved.status == 0 else math.inf


# Limits


def test_infinite_where_the_box_admits_no_evasion():
    model, x = random_mlp(34)
    immutable = {"mutable": torch.zeros(6, dtype=torch.bool)}
    cases = [(method, box) for method in ("tangent", "refined") for box in ({}, {"lower": 0.0, "upper": 1.0})]
    for method, box in cases:
        certificate = certify(model, x, ThreatModel(2.0, **box, **immutable), method)
        assert bool((certificate.radius[certificate.sensitive] == math.inf).all())
        assert bool((certificate.radius[~certificate.sensitive] == 0).all())


@pytest.mark.parametrize("norm", NORMS)
def test_sound_costs_little_radius_in_float64(norm):
    for model, x in (random_mlp(35), random_conv(36)):
        threat = ThreatModel(norm, 0.0, 1.0)
        sound, unsound = (certify(model, x, threat, "tangent", sound=flag).radius for flag in (True, False))
        assert bool((sound <= unsound * (1 + 1e-11)).all())  # both are found to a relative 1e-12
        torch.testing.assert_close(sound, unsound, rtol=1e-5, atol=1e-9)


def test_refuses_a_map_that_mixes_inputs():
    class Mixing(Identity):
        @property
        def coordinatewise(self) -> bool:
            return False

    model = FeatureConvexClassifier(Mixing(), linear_score(torch.ones(3)), input_shape=(3,))
    with pytest.raises(InputError, match=r"`model` must be one with a coordinatewise feature map.*closed-form"):
        certify(model, torch.rand(2, 3), method="tangent")
    assert bool((certify(model, torch.rand(2, 3) + 1).radius > 0).all())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    norm=st.sampled_from(NORMS),
    weights=st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.1),
)
def test_any_average_of_cuts_is_below_every_flip(seed, norm, weights):
    """Weights off their best values, and anchors anywhere, never certify too much."""
    model, x = random_mlp(seed, feature_map=CentreAbsolute(torch.full((6,), 0.5)), n=6)
    generator = seeded(seed)
    threat = ThreatModel(norm, 0.0, 1.0)
    cuts = Cuts(model, x, threat)
    margin = cuts.add(x)
    for _ in range(2):
        cuts.add(torch.rand(x.shape, generator=generator, dtype=torch.float64) * 3 - 1)
    lam = torch.tensor(weights, dtype=torch.float64)
    radius = cuts.radius((lam / lam.sum()).expand(len(x), 3)).radius
    points = torch.rand(400, 6, generator=generator, dtype=torch.float64)
    margins = model.margin(points)
    for row in range(len(x)):
        flips = threat.size(points - x[row])[margins <= 0]
        assert margin[row] <= 0 or flips.numel() == 0 or radius[row] <= flips.min()


def test_values_of_cuts_lie_below_the_margin():
    model, x = random_mlp(37, feature_map=maps(6)["folded then soft"])
    cuts = Cuts(model, x, ThreatModel(2.0))
    generator = seeded(37)
    cuts.add(x)
    cuts.add(torch.rand(x.shape, generator=generator).double())
    change = torch.randn(x.shape, generator=generator).double()
    below = cuts.at(change)
    assert below.shape == (len(x), 2)
    assert bool((below <= model.margin(x + change)[:, None] + 1e-12).all())
    torch.testing.assert_close(cuts.at(torch.zeros_like(x))[:, 0], model.margin(x))


def test_standardising_scales_radii():
    model, x = random_mlp(38)
    scaled = FeatureConvexClassifier(Standardise(0.5), model.score, model.threshold, input_shape=(6,))
    plain = certify(model, x, ThreatModel(2.0), "tangent").radius
    half = certify(scaled, x * 0.5, ThreatModel(2.0), "tangent").radius
    torch.testing.assert_close(half, plain * 0.5, rtol=1e-9, atol=1e-12)
