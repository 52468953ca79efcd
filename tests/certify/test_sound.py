"""Radii against exact rational arithmetic: thousands of small networks, ordinary and hostile ones."""

from __future__ import annotations

import copy
import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from asymcert.certify import certify
from asymcert.convex import ConvexMLP
from asymcert.features import Centre, CentreAbsolute, Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import hostile, seeded
from contracts.rational import RationalModel, fractions

D, N = 2, 4


def first_flip(exact: RationalModel, x: list, direction: list, farthest: Fraction) -> Fraction | None:
    """A step at which the margin is <= 0 on the ray, the first one up to 1 part in 2^60; None without one."""
    low, high = Fraction(0), farthest
    if exact.margin([a + high * b for a, b in zip(x, direction, strict=True)]) > 0:
        return None
    while high - low > high / 2**60:
        middle = (low + high) / 2
        if exact.margin([a + middle * b for a, b in zip(x, direction, strict=True)]) > 0:
            low = middle
        else:
            high = middle
    return high


def network(kind: str, dtype: torch.dtype, generator: torch.Generator) -> FeatureConvexClassifier:
    """A random classifier whose weights are ordinary, of all sizes, cancel, or are denormal."""
    maps = [Identity(), Centre(torch.rand(D, generator=generator)), CentreAbsolute(torch.rand(D, generator=generator))]
    feature_map = maps[int(torch.randint(3, (1,), generator=generator))]
    score = ConvexMLP(feature_map.output_shape((D,)), (3, 2)).double()
    hostile(score, kind, dtype, generator, least=-310 if dtype == torch.float64 else -20)
    return FeatureConvexClassifier(feature_map, score, input_shape=(D,))


def inputs_and_threshold(kind: str, model: FeatureConvexClassifier, generator: torch.Generator):
    """Inputs in the unit box, and the model with a threshold that leaves margins, of a few ulps at times."""
    x = torch.rand(N, D, generator=generator, dtype=torch.float64)
    scores = model.margin(x)
    threshold = float(scores.median())
    if kind == "ulps":
        for _ in range(int(torch.randint(1, 6, (1,), generator=generator))):
            threshold = math.nextafter(threshold, -math.inf)
    return x, model.with_threshold(threshold if math.isfinite(threshold) else 0.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["ordinary", "scaled", "cancelling", "denormal", "ulps"])
def test_no_exact_flip_lies_inside_a_radius(kind, dtype):
    search_for_flips(kind, dtype, sound=True)


@pytest.mark.parametrize("kind", ["scaled", "cancelling", "ulps"])
def test_radii_that_ignore_rounding_are_refuted(kind):
    for dtype in (torch.float64, torch.float32):
        with pytest.raises(AssertionError, match=r"^radius"):
            search_for_flips(kind, dtype, sound=False)


def search_for_flips(kind: str, dtype: torch.dtype, sound: bool) -> None:
    """Certify random classifiers and look for exact flips inside the radii."""
    generator = seeded(len(kind))
    certified = 0
    for index in range(100):
        model = network(kind, dtype, generator)
        x, model = inputs_and_threshold(kind, model, generator)
        if dtype == torch.float32:
            model = copy.deepcopy(model).float()
            if not all(bool(weight.isfinite().all()) for weight in model.state_dict().values()):
                continue
        exact = RationalModel(model)
        norm = (1.0, math.inf)[index % 2]
        box = {"lower": 0.0, "upper": 1.0} if index % 4 < 2 else {}
        method = ("closed-form", "tangent", "refined")[index % 3]
        options = {"cuts": 3} if method == "refined" else {}
        certificate = certify(model, x, ThreatModel(norm=norm, **box), method, sound, **options)
        certified += int((certificate.radius > 0).sum())
        check_rays(exact, x, certificate, norm, bool(box), generator)
    assert certified >= 20, f"only {certified} of 400 radii were positive: the test says little"


def check_rays(
    exact: RationalModel, x: Tensor, certificate, norm: float, boxed: bool, generator: torch.Generator
) -> None:
    """On the worst ray and a random one, the exact margin stays positive within the radius."""
    worst = torch.zeros_like(x) if certificate.adversarial is None else certificate.adversarial - x
    for index in (certificate.radius > 0).nonzero().flatten().tolist():
        radius = min(float(certificate.radius[index]), 1e200)
        point = fractions(x[index])
        for direction in (worst[index], torch.randn(D, generator=generator, dtype=torch.float64)):
            ray = fractions(direction.clamp(-1e30, 1e30))
            size = sum(map(abs, ray)) if norm == 1 else max(map(abs, ray))
            if size == 0:
                continue
            step = Fraction(radius) / size
            if boxed:
                room = [((1 if b > 0 else 0) - a) / b for a, b in zip(point, ray, strict=True) if b != 0]
                step = min(step, min(room))
            step = step * (1 - Fraction(1, 2**200))  # strictly inside
            moved = [a + step * b for a, b in zip(point, ray, strict=True)]
            assert exact.margin(moved) > 0, f"radius {radius!r}, sample {index}, ray {direction.tolist()}"


def test_exact_arithmetic_finds_the_flip_that_an_unsound_radius_hides():
    """The check itself can fail: five percent more than the tight radius of a linear score is refuted."""
    score = ConvexMLP((D,), (1,)).double()
    with torch.no_grad():
        for weight in score.parameters():
            weight.zero_()
        score.direct[0].weight.copy_(torch.tensor([[1.0, 2.0]]))
    model = FeatureConvexClassifier(Identity(), score, 0.5, input_shape=(D,))
    x = torch.tensor([[0.75, 0.5]]).double()
    radius = float(certify(model, x, ThreatModel(norm=1), "tangent").radius)
    exact = RationalModel(model)
    flip = first_flip(exact, fractions(x[0]), [Fraction(0), Fraction(-1)], Fraction(10))
    assert flip is not None
    assert Fraction(radius) <= flip < Fraction(radius) * Fraction(105, 100)
