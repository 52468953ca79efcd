"""Monotone halves: what makes the centre-and-absolute map convex in the input, so that exact radii apply."""

from __future__ import annotations

import pytest
import torch

from asymcert.certify import certify
from asymcert.certify.composition import check_composition_convex
from asymcert.convex import ConvexConvNet, ConvexMLP
from asymcert.datasets import load
from asymcert.errors import InputError
from asymcert.threats.model import ThreatModel
from asymcert.training import train


def scores(monotone: bool):
    torch.manual_seed(0)
    networks = [
        ConvexMLP((8, 3, 3), (5, 4), monotone=monotone),
        ConvexConvNet((8, 3, 3), 4, 3, 3, passthrough=True, monotone=monotone),
    ]
    for network in networks:
        torch.nn.init.normal_(network.first.weight, -0.5)  # falls in most features, unless projected
        network.project_()
    return networks


@pytest.mark.parametrize("index", [0, 1])
def test_never_falls_when_the_second_half_grows(index):
    v, more = torch.randn(64, 8, 3, 3), torch.rand(64, 8, 3, 3)
    more[:, :4] = 0.0
    grows = [score[index](v + more) - score[index](v) for score in (scores(True), scores(False))]
    assert bool((grows[0] >= -1e-6).all())
    assert bool((grows[1] < 0).any()), "the free network falls too: the test says nothing"


def test_a_network_trained_with_a_monotone_half_has_exact_radii():
    data = load("digits-3-8")
    quick = {"feature_map": "centre-absolute", "hidden": (16,), "epochs": 8}
    threat = ThreatModel(1.0, 0.0, 1.0)
    model = train(data, monotone=True, **quick)
    check_composition_convex(model)
    x = data.test.x[data.test.y][:3]
    tangent, exact = certify(model, x, threat, "tangent"), certify(model, x, threat, "exact")
    assert bool((tangent.radius <= exact.radius).all())
    assert bool((exact.upper <= exact.radius * 1.001).all())  # pyright: ignore[reportOptionalOperand]
    with pytest.raises(InputError, match=r"convex in the input for method 'exact'.*refined"):
        certify(train(data, **quick), x, threat, "exact")
