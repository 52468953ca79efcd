"""Several absolute values: value, constant, file, and certificates that hold."""

import math

import pytest
import torch

from asymcert import datasets, train
from asymcert.attacks import ProjectedGradient
from asymcert.certify import ClosedForm, Refined, Tangent
from asymcert.errors import InputError
from asymcert.features import Chain, Hinges, Standardise
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import dyadic, random_mlp, seeded

NORMS = (1.0, 1.3, 2.0, 3.0, math.inf)


def test_value():
    found = Hinges(torch.tensor([0.5]), 3)(torch.tensor([[1.0]]))
    assert found.tolist() == [[0.5, 0.75, 0.5, 0.25]]


@pytest.mark.parametrize("norm", NORMS)
def test_the_constant_bounds_every_ratio_and_is_attained(norm):
    feature_map = Hinges(torch.full((2, 1), 0.5).double(), 3)
    x, y = dyadic((2, 400, 2, 3), seeded(0))
    moved = torch.linalg.vector_norm((feature_map(x) - feature_map(y)).flatten(1), norm, dim=1)
    ratio = moved / torch.linalg.vector_norm((x - y).flatten(1), norm, dim=1)
    constant = feature_map.lipschitz(norm)
    assert float(ratio.max()) <= constant
    far = feature_map(x[:1] + 100) - feature_map(x[:1] + 101)
    size = torch.linalg.vector_norm(far.flatten(), norm) / torch.linalg.vector_norm(torch.ones(6), norm).double()
    assert float(size) == pytest.approx(constant, rel=1e-6)


def test_constants_are_rounded_up():
    assert Hinges(torch.zeros(1), 3).lipschitz(1) >= 4
    assert Hinges(torch.zeros(1), 2).lipschitz(2) ** 2 >= 3
    assert Hinges(torch.zeros(1), 5).lipschitz(math.inf) == 1.0


def test_the_map_is_followed_exactly_between_its_knots():
    for feature_map in (Hinges(torch.full((4,), 0.25).double(), 2), Chain(Standardise(0.5), Hinges(torch.zeros(4), 2))):
        knots = feature_map.double().knots((4,))
        x = torch.rand(50, 4, generator=seeded(1)).double()
        piece = (x[:, None] > knots[None]).sum(1)
        slopes = feature_map.slopes((4,)).gather(0, piece.repeat(1, 3))
        step = 1e-9
        torch.testing.assert_close((feature_map(x + step) - feature_map(x)) / step, slopes, rtol=1e-5, atol=1e-5)


def test_preimages_come_back():
    feature_map = Hinges(torch.full((4,), 0.25).double(), 2)
    x = torch.rand(5, 4, generator=seeded(2)).double()
    back = feature_map.preimages(feature_map(x), (4,))
    assert bool(((back[:, None] - x[None]).abs().amin(0) < 1e-12).all())


def test_certificates_hold_and_are_ordered():
    model, x = random_mlp(3, feature_map=Hinges(torch.full((6,), 0.5), 3))
    for norm in (1.0, 2.0, math.inf):
        threat = ThreatModel(norm, 0, 1)
        radii = [certifier.certify(model, x, [threat])[0].radius for certifier in (ClosedForm(), Tangent(), Refined())]
        assert bool((radii[0] <= radii[1] * (1 + 1e-9)).all())
        assert bool((radii[1] <= radii[2] * (1 + 1e-9)).all())
        assert bool((radii[0][model.predict(x)] > 0).any())
        finite = radii[2].isfinite()
        budget = radii[2][finite] * (1 - 1e-9)
        attacked = ProjectedGradient(steps=12, restarts=1).run(model, x[finite], threat, budget, seeded(0))
        assert not bool(attacked.success.any())


@pytest.mark.parametrize("name", ["hinges", "soft-threshold"])
def test_training_and_file(name, tmp_path):
    data = datasets.load("digits-3-8")
    model = train(data, feature_map=name, hidden=(8,), epochs=4, validate_every=4)
    model.save(tmp_path / "model.safetensors")
    loaded = FeatureConvexClassifier.load(tmp_path / "model.safetensors")
    assert torch.equal(loaded.margin(data.test.x), model.margin(data.test.x))
    assert float((model.predict(data.test.x) == data.test.y).double().mean()) > 0.8


def test_refusals():
    with pytest.raises(InputError, match="`count`"):
        Hinges(torch.zeros(2), 0)
    with pytest.raises(InputError, match="`mean` must be broadcastable"):
        Hinges(torch.zeros(3), 2).output_shape((4,))
    with pytest.raises(InputError, match="`norm`"):
        Hinges(torch.zeros(2), 1).lipschitz(0.5)
