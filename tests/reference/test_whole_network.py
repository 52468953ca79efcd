"""Exact radii against one programme of the whole network, which shares no code with the cutting planes."""

import math
import os

import pytest
import torch

from asymcert import ThreatModel, datasets, train
from asymcert.certify.exact import Exact
from asymcert.features import Centre, Chain, Standardise
from asymcert.training import preset_for
from contracts.certifier import COST
from contracts.models import random_mlp
from reference.whole_network import Programme

TOLERANCE = 1e-4
SOLVER = 1e-6  # relative error of scipy's solution
MAPS = {
    "identity": None,
    "centre": Centre(torch.full((6,), 0.3)),
    "chain": Chain(Centre(torch.linspace(0, 1, 6)), Standardise(0.25)),
}
PARTS = {
    "free": {},
    "box": {"lower": 0, "upper": 1},
    "costs": {"lower": -1, "cost": COST},
    "append": {"upper": 2, "direction": torch.tensor([1, 1, 0, 0, -1, 1]), "mutable": torch.arange(6) != 2},
}


def assert_agrees(certificate, index, truth):
    radius, upper = float(certificate.radius[index]), float(certificate.upper[index])
    if math.isinf(truth):
        assert upper == math.inf
        assert radius > 1e9  # beyond a box of finite size rounding of the slopes is all that limits it
        return
    assert truth * (1 - TOLERANCE - SOLVER) <= radius <= truth * (1 + SOLVER)
    assert truth * (1 - SOLVER) <= upper <= truth * (1 + TOLERANCE + SOLVER)
    assert radius >= upper * (1 - TOLERANCE)


@pytest.mark.parametrize("norm", [1.0, math.inf])
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("kind", MAPS)
def test_agrees_on_random_networks(norm, parts, kind):
    finite = 0
    for seed, hidden, passthrough in ((0, (16, 8), True), (1, (32,), True), (2, (12, 12, 6), False)):
        model, x = random_mlp(seed, hidden=hidden, feature_map=MAPS[kind], n=10, passthrough=passthrough)
        threat = ThreatModel(norm, **PARTS[parts])
        certificate = Exact(TOLERANCE).certify(model, x, [threat])[0]
        for index in certificate.sensitive.nonzero().flatten().tolist():
            truth = Programme(model, x[index], threat).least(norm)
            assert_agrees(certificate, index, truth)
            finite += math.isfinite(truth)
    assert finite > 5


@pytest.mark.parametrize("parts", PARTS)
def test_agrees_in_l2(parts):
    model, x = random_mlp(3, hidden=(12, 6), n=10)
    threat = ThreatModel(2, **PARTS[parts])
    certificate = Exact(TOLERANCE).certify(model, x, [threat])[0]
    cost = threat.cost_for((6,))
    found = (certificate.sensitive & certificate.upper.isfinite()).nonzero().flatten().tolist()
    for index in found:
        start = ((certificate.adversarial[index] - x[index]) * cost).numpy()
        assert_agrees(certificate, index, Programme(model, x[index], threat).least_euclidean(start))
    assert len(found) > 2


@pytest.mark.skipif("ASYMCERT_DATA" not in os.environ, reason="needs MNIST in ASYMCERT_DATA")
@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_agrees_on_a_network_trained_on_mnist(mnist, norm):
    model, x = mnist
    threat = ThreatModel(norm, 0.0, 1.0)
    certificate = Exact(TOLERANCE).certify(model, x, [threat])[0]
    assert bool(certificate.sensitive.all())
    for index in range(len(x)):
        assert_agrees(certificate, index, Programme(model, x[index], threat).least(norm))


@pytest.fixture(scope="module")
def mnist():
    """The preset's network after two epochs, and four test threes that it recognises."""
    data = datasets.load("mnist-3-8", os.environ["ASYMCERT_DATA"], seed=0)
    model = train(data, config=preset_for(data), seed=0, epochs=2)
    threes = data.test.x[data.test.y].double()
    return model, threes[model.predict(threes)][::200][:4]
