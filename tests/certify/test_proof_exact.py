"""What the checker confirms holds in exact rational arithmetic, of hostile networks too, and is as large as can be."""

import copy
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.features import Centre, CentreAbsolute, Chain, Hinges, Identity, Ramps, SoftThreshold, Standardise
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.proofs.checker import Claim
from asymcert.proofs.checker_maps import FeatureMap
from asymcert.proofs.checker_network import dual_norm, power
from asymcert.proofs.writer import write_proof
from asymcert.threats.model import ThreatModel
from contracts.models import hostile, linear_score, random_mlp, seeded
from contracts.rational import RationalModel, affine_radius, fractions

D = 2
KINDS = ("ordinary", "scaled", "cancelling", "denormal", "ulps")


# The radius of the aggregated plane


@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_claims_are_the_exact_radius_of_the_plane_rounded_down(norm, tmp_path):
    """Affine maps, p = 1 and inf: the radius of the averaged planes is a rational number."""
    generator, close = seeded(3), 0
    for seed in range(12):
        model, x = random_mlp(seed, 4, (5, 3), None if seed % 2 else Centre(torch.full((4,), 0.25)), n=6)
        row, cost = x[model.margin(x).argmax()], torch.tensor([0.25, 2.0, 1.0, 0.5]).double()
        anchors = torch.rand(3, 4, generator=generator, dtype=torch.float64)
        anchors[0], weights = row, torch.tensor([0.75, 0.125, 0.125]).double()
        value, slopes = RationalModel(model).cut(fractions(row), fractions(anchors), fractions(weights))
        for box in ({}, {"lower": 0.0, "upper": 1.0}, {"lower": -0.25, "upper": 1.125}):
            try:
                claimed = write_proof(tmp_path / "p", model, row, ThreatModel(norm, cost=cost, **box), anchors, weights)
            except InputError:
                assert value <= 1e-9
                continue
            low, high = box.get("lower", -math.inf), box.get("upper", math.inf)
            rooms = [float(v) - low if a > 0 else high - float(v) for v, a in zip(row, slopes, strict=True)]
            if box:
                rooms = [
                    Fraction(v) - Fraction(low) if a > 0 else Fraction(high) - Fraction(v)
                    for v, a in pairs(row, slopes)
                ]
            exact = affine_radius(value, slopes, rooms, fractions(cost), norm)
            assert claimed <= exact
            assert claimed == exact or claimed > exact * (1 - Fraction(1, 10**9))
            close += 1
    assert close > 20


def pairs(row, slopes):
    return zip(row.tolist(), slopes, strict=True)


# No flip inside


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_no_exact_or_deployed_flip_lies_inside(kind, dtype, tmp_path):
    search_for_flips(kind, dtype, tmp_path)


@pytest.mark.parametrize("kind", ["cancelling", "ulps"])
def test_a_checker_that_ignores_rounding_is_refuted(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(Claim, "rounding", lambda *_: 0.0)
    with pytest.raises(AssertionError, match=r"^flip inside"):
        search_for_flips(kind, torch.float32, tmp_path)


def flips_on_a_steep_ramp(folder):
    """Whether the classifier in single precision says otherwise just inside a proved radius.

    Near 0.5 its numbers are 1/256 of the ramp apart, far more than a few roundings of the ramp's own value.
    """
    feature_map = Ramps(torch.tensor([0]), torch.tensor([0.5]), torch.tensor([0.5 + 2.0**-16]), 1)
    model = FeatureConvexClassifier(
        feature_map, linear_score(torch.ones(1).double()), 133.3 / 256, input_shape=(1,)
    ).float()
    x = torch.tensor([[0.75]], dtype=torch.float64)
    radius = write_proof(folder / "p", model, x[0], ThreatModel(1), x, torch.ones(1))
    return not bool(model.predict(x - radius * (1 - 1e-12)))


def test_inputs_are_converted_before_a_steep_ramp(tmp_path, monkeypatch):
    assert not flips_on_a_steep_ramp(tmp_path)
    magnitude = FeatureMap.magnitude
    monkeypatch.setattr(FeatureMap, "magnitude", lambda *given, exact=True, **rest: magnitude(*given, **rest))
    assert flips_on_a_steep_ramp(tmp_path)


def test_a_checker_that_forgets_a_knot_is_refuted(tmp_path, monkeypatch):
    vertices = Claim.vertices

    def without_knots(claim, radius):
        low, high, budget, fall = vertices(claim, radius)
        return low, high, budget[:2], fall[:2]

    monkeypatch.setattr(Claim, "vertices", without_knots)
    with pytest.raises(AssertionError, match=r"^flip inside"):
        search_for_flips("ordinary", torch.float64, tmp_path)


def search_for_flips(kind, dtype, folder, seed=0):
    """Prove radii of random classifiers, and look for flips at their very edge."""
    generator, found = seeded(seed), 0
    for index in range(16):
        model = classifier(kind, dtype, generator, feature_maps(generator))
        if model is None:
            continue
        norm, box = (1.0, 2.0, math.inf)[index % 3], {"lower": 0.0, "upper": 1.0} if index % 2 else {}
        x = torch.rand(3, D, generator=generator, dtype=torch.float64)
        model = model.with_threshold(threshold_of(kind, model, x))
        for row in x[model.margin(x) > 0]:
            anchors = torch.stack((row, torch.rand(D, generator=generator, dtype=torch.float64)))
            weights = torch.tensor([1.0 - 2.0**-index, 2.0**-index]).double() if index else torch.tensor([1.0, 0.0])
            try:
                radius = write_proof(folder / "p", model, row, ThreatModel(norm, **box), anchors, weights)
            except InputError:
                continue
            found += 1
            check_edge(model, row, norm, min(radius, 1e100), bool(box), generator)
    assert found >= 5, f"only {found} of 48 inputs have proofs: the test says little"


def classifier(kind, dtype, generator, maps):
    """A random classifier whose weights are ordinary, of all sizes, cancel, or are denormal; None if they overflow."""
    feature_map = maps[int(torch.randint(len(maps), (1,), generator=generator))]
    score = ConvexMLP(feature_map.output_shape((D,)), (3, 2)).double()
    hostile(score, kind, dtype, generator, least=-100 if dtype == torch.float64 else -18)
    model = FeatureConvexClassifier(feature_map, score, input_shape=(D,))
    model = copy.deepcopy(model).float() if dtype == torch.float32 else model
    return model if all(bool(value.isfinite().all()) for value in model.state_dict().values()) else None


def feature_maps(generator):
    mean = torch.rand(D, generator=generator)
    return [
        Identity(),
        Centre(mean),
        CentreAbsolute(mean),
        SoftThreshold(mean, 0.125),
        Hinges(mean, 2),
        ramps(generator),
        Chain(Standardise(0.3), Centre(mean), ramps(generator)),
        Chain(Standardise(0.3), CentreAbsolute(2 * mean), SoftThreshold(torch.cat((mean, mean)), 0.2)),
    ]


def ramps(generator):
    """Of slopes up to 2^20, side by side and apart."""
    low = torch.randint(0, 64, (9,), generator=generator) / 64
    width = 2.0 ** -torch.randint(0, 21, (9,), generator=generator)
    return Ramps(torch.arange(9) % D, low, low + width, D)


def threshold_of(kind, model, x):
    """About the median score; for `ulps`, some units in the last place below one."""
    score = model.score(model.feature_map(x.to(model.dtype))).detach().double()
    threshold = float(score.median())
    if not math.isfinite(threshold):
        return 0.0
    unit = torch.finfo(model.dtype).eps
    return threshold - 400 * unit * float(score.abs().max()) if kind == "ulps" else threshold


def check_edge(model, row, norm, radius, boxed, generator):
    """Along the axes, the diagonals and some random rays: the real and the deployed margin just inside the radius."""
    exact, start = RationalModel(model), fractions(row)
    rays = torch.cat((torch.eye(D), -torch.eye(D), torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * D)))
    rays = torch.cat((rays, torch.randn(4, D, generator=generator))).double()
    for ray in rays:
        direction = fractions(ray)
        step = Fraction(radius) / size(direction, norm) * (1 - Fraction(1, 2**60))
        if boxed:
            room = [((1 if b > 0 else 0) - a) / b for a, b in zip(start, direction, strict=True) if b != 0]
            step = min(step, *room)
        moved = [a + step * b for a, b in zip(start, direction, strict=True)]
        where = f"flip inside {radius!r} (norm {norm}) along {ray.tolist()} from {row.tolist()}"
        assert exact.margin(moved) > 0, where
        nearest = torch.tensor([[float(value) for value in moved]], dtype=torch.float64)
        change = [Fraction(a) - b for a, b in zip(nearest[0].tolist(), start, strict=True)]
        inside = size(change, norm) < radius and (not boxed or bool(((nearest >= 0) & (nearest <= 1)).all()))
        if inside:
            assert bool(model.predict(nearest)), f"{where}, as deployed"


def size(change, norm):
    """l_p norm, for p = 2 rounded up to a unit of 2^-80."""
    parts = [abs(value) for value in change]
    if norm != 2:
        return sum(parts) if norm == 1 else max(parts)
    square = sum(value * value for value in parts)
    scale = 2**80 * max(square.denominator, 1)
    return Fraction(math.isqrt(square.numerator * scale * scale // square.denominator) + 1, scale)


# Powers and norms that are not rational


@pytest.mark.parametrize("numerator", [1, 3, 4, 5, 8, 13, 44, 801])
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_powers_are_bounded_from_above_and_closely(numerator, level):
    """``base ** (numerator / 2^level)``, both raised to 2^level."""
    bases = np.array([0.0, 1e-30, 1e-3, 0.1, 0.5, 0.999999, 1.0])
    for base, result in zip(bases, power(bases, numerator / 2**level), strict=True):
        exact, bound = Fraction(base) ** numerator, Fraction(result) ** 2**level
        assert exact <= bound
        assert bound <= exact * (1 + Fraction(1, 10**9)) + Fraction(1, 10**30)


def test_dual_norms_are_bounded_from_above_and_closely():
    roots = [Fraction(n, 8) for n in (1, 3, 4, 7, 12, 31)]
    values = np.array([float(root**2) for root in roots])
    cases = [
        (1.0, 1, Fraction(max(values))),
        (1.25, 5, sum(root**10 for root in roots)),
        (1.5, 3, sum(root**6 for root in roots)),
        (2.0, 2, sum(root**4 for root in roots)),
        (3.0, 3, sum(root**3 for root in roots) ** 2),  # q = 3/2
        (math.inf, 1, sum(root**2 for root in roots)),
    ]
    for norm, exponent, exact in cases:
        bound = Fraction(float(dual_norm(values, norm))) ** exponent
        assert exact <= bound <= exact * (1 + Fraction(1, 10**12))


def test_dual_norms_of_extreme_values():
    for norm in (1.0 + 2.0**-52, 1.001, 1.5, 2.0, 3.0, 1e6, math.inf):
        for scale in (1e-290, 1.0, 1e290):
            values = scale * np.array([1.0, 0.0, 1e-200, 0.5])
            assert scale <= dual_norm(values, norm) < 12 * scale
        assert dual_norm(np.zeros(3), norm) == 0
