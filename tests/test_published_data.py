"""The presets on the published data, in short form; the full figures are in benchmarks/quality.py."""

import math
import os

import pytest
import torch

from asymcert import ThreatModel, certify_each, datasets, train
from asymcert.attacks import ProjectedGradient
from contracts.convexity import assert_convex

pytestmark = pytest.mark.skipif(
    "ASYMCERT_DATA" not in os.environ, reason="ASYMCERT_DATA does not point to the published data"
)
THREATS = [ThreatModel(norm, lower=0.0, upper=1.0) for norm in (1, 2, math.inf)]


@pytest.fixture(scope="module", params=[("mnist-3-8", 10), ("fashion-shirts", 5), ("cifar10-cats-dogs", 1)])
def trained(request):
    name, epochs = request.param
    data = datasets.load(name)
    # the average over shifts, eighteen passes a sample, has tests of its own
    return name, data, train(data, epochs=epochs, validate_every=epochs, mirror=False, shift=0)


# What a short training must reach: balanced accuracy and median l2 radius of the sensitive test class.
SHORT = {"mnist-3-8": (0.985, 1.0), "fashion-shirts": (0.80, 0.6), "cifar10-cats-dogs": (0.57, 0.05)}


def test_short_training_recognises_and_certifies(trained):
    name, data, model = trained
    y = data.test.y
    said = model.predict(data.test.x)
    balanced = (float(said[y].double().mean()) + float((~said[~y]).double().mean())) / 2
    radius = certify_each(model, data.test.x[y], THREATS)[1].radius
    assert balanced >= SHORT[name][0]
    assert float(radius.median()) >= SHORT[name][1]


def test_trained_network_is_convex(trained):
    _, data, model = trained
    shape = model.feature_map.output_shape(data.input_shape)
    assert_convex(model.score, shape, torch.Generator().manual_seed(0), pairs=64)


def test_no_attack_succeeds_inside_the_radius(trained):
    _, data, model = trained
    x = data.test.x[data.test.y][:20]
    for certificate in certify_each(model, x, THREATS):
        attack = ProjectedGradient(steps=20, restarts=2)
        budget = 0.999 * certificate.radius
        result = attack.run(model, x, certificate.threat, budget, torch.Generator().manual_seed(0))
        assert not bool((result.success & certificate.sensitive).any())
