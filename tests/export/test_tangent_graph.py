"""Certified graphs of ramps: radii of tangent planes and counts of columns, never above the package's."""

import math

import numpy as np
import pytest
import torch

from asymcert.certify import certify
from asymcert.convex import ConvexMLP
from asymcert.export import tangent_graph
from asymcert.export.certified_graph import to_certified_onnx
from asymcert.export.onnx_graph import to_onnx
from asymcert.features import Centre, Chain, Ramps
from asymcert.threats.model import ThreatModel
from contracts.models import balanced, randomise, seeded
from export.exported import run

D, SAMPLES = 9, 40
PLACE = torch.arange(D)
CHOICE = PLACE >= 6  # the inputs of one category


def inputs(count=SAMPLES, seed=0):
    """Heavy-tailed numbers and a category."""
    x = torch.rand(count, D, generator=seeded(seed), dtype=torch.float64) ** 6
    x[:, CHOICE] = torch.eye(3).double()[torch.randint(3, (count,), generator=seeded(seed + 1))]
    return x


def classifier(edges=8, share=0.3, chain=False):
    x = inputs(400, 5)
    feature_map = Ramps.fit(x, edges)
    if chain:
        feature_map = Chain(Centre(torch.full((D,), 0.5)), Ramps.fit(x - 0.5, edges))
    score = randomise(ConvexMLP(feature_map.output_shape((D,)), (12, 6)), seeded(2))
    return balanced(feature_map, score, x, share)


LIMITS = (
    {},
    {"lower": 0.0, "upper": 1.0},
    {"lower": -0.5, "cost": 0.5 + PLACE % 3, "direction": PLACE % 3 - 1, "mutable": PLACE != 4},
)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_margins_and_verdicts(dtype):
    x = (inputs() * 1024).round() / 1024  # both types agree on the input
    model = classifier(4).to(dtype)
    found, margin = run(to_onnx(model), x.to(dtype)), model.margin(x).numpy()
    np.testing.assert_allclose(found["margin"], margin, rtol=0, atol=1e-13 if dtype == torch.float64 else 1e-4)
    clear = np.abs(margin) > 1e-3
    assert (found["sensitive"] == (margin > 0))[clear].all()


def compared(model, threat, x):
    """Radii of graph and package where verdicts are sensitive, after what holds of all is checked."""
    found = run(to_certified_onnx(model, threat), x)
    known = certify(model, x, threat, method="tangent")
    radius = known.radius.numpy()
    assert (found["sensitive"] == known.sensitive.numpy()).all()
    assert (found["radius"] <= radius).all()
    assert known.sensitive.sum() > len(x) / 3
    return found["radius"][radius > 0], radius[radius > 0]


@pytest.mark.parametrize("limits", LIMITS, ids=("free", "box", "parts"))
@pytest.mark.parametrize("norm", [1.0, 1.5, 2.0, math.inf])
def test_radii(norm, limits):
    found, known = compared(classifier(), ThreatModel(norm, **limits), inputs())
    ratio = np.where(np.isinf(known), np.isinf(found), found / known)
    assert np.median(ratio) > 1 - 1e-6
    assert ratio.min() > (1 - 1e-6 if norm in (1, math.inf) else 0.7)


def test_radii_behind_another_map():
    model = classifier(chain=True)
    found = run(to_certified_onnx(model, ThreatModel(2)), inputs())["radius"]
    known = certify(model, inputs(), ThreatModel(2), method="closed-form").radius.numpy()
    assert (found <= known).all()


COUNTED = (
    {},
    {"lower": 0.0, "upper": 1.0, "direction": (PLACE < 3).to(torch.int8)},
    {"groups": PLACE.clamp(max=6), "exclusive": CHOICE, "lower": 0.0, "upper": 1.0},
    {"groups": PLACE.clamp(max=6), "exclusive": CHOICE, "cost": 1.0 + PLACE.clamp(max=6) % 3},
    {"groups": PLACE // 2, "mutable": PLACE != 1},
)


@pytest.mark.parametrize("parts", COUNTED, ids=str)
def test_counts_are_the_same(parts):
    model = classifier(share=0.05)
    found, known = compared(model, ThreatModel(0, **parts), inputs())
    assert len(np.unique(known)) > 1
    np.testing.assert_allclose(found, known, rtol=1e-7)


def test_a_category_of_two_values_at_once_gets_no_count():
    x = inputs(2)
    x[1, CHOICE] = 1.0
    model = classifier(share=0.0).with_threshold(-1e3)
    threat = ThreatModel(0, **COUNTED[2])
    assert run(to_certified_onnx(model, threat), x)["radius"].tolist() == [math.inf, 0.0]


def test_a_graph_that_forgets_a_knot_is_above(monkeypatch):
    monkeypatch.setattr(tangent_graph.Falls, "within", ends_only)
    model, x = classifier(), inputs(200)
    threat = ThreatModel(math.inf)
    found, known = (run(to_certified_onnx(model, threat), x)["radius"], certify(model, x, threat).radius.numpy())
    assert (found > known).any()


def ends_only(falls, room, threat):
    return tuple(falls._stacked([part(end) for end in falls._ends(room, threat)]) for part in (falls.at, falls.moved))
