"""Random search: finds what there is to find without a gradient, and stays within the threat model."""

import math
from dataclasses import replace

import pytest
import torch

from asymcert.attacks import ProjectedGradient, RandomSearch
from asymcert.certify import certify
from asymcert.errors import InputError
from asymcert.features import CentreAbsolute
from asymcert.threats.model import ThreatModel
from contracts.certifier import COST
from contracts.changes import THREATS, check_admissible
from contracts.models import dyadic, linear_model, random_conv, random_mlp, seeded

NORMS = (1.0, 1.3, 2.0, 3.0, math.inf)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("cost", [None, COST], ids=["plain", "cost"])
def test_finds_the_flip_five_percent_beyond_a_linear_score_s_radius(norm, cost):
    generator = seeded(2)
    model, x = linear_model(dyadic((6,), generator), 0.5), dyadic((32, 6), generator)
    threat = ThreatModel(norm, cost=cost)
    true = certify(model, x, threat)
    beyond = RandomSearch().run(model, x, threat, 1.05 * true.radius, seeded(0))
    within = RandomSearch().run(model, x, threat, true.radius, seeded(0))
    assert torch.equal(beyond.success, true.sensitive)
    assert not bool(within.success.any())


@pytest.mark.parametrize("threat", THREATS, ids=ThreatModel.describe)
def test_stays_within_the_threat_model(threat):
    model, x = random_mlp(1, feature_map=CentreAbsolute(torch.full((6,), 0.5)))
    size = torch.linspace(0, 2, len(x)).double()
    size[1] = math.inf
    result = RandomSearch(steps=15).run(model, x, threat, size, seeded(0))
    check_admissible(result, x, threat, size)
    assert bool((result.margin <= model.margin(x)).all())


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_comes_near_what_gradients_find(norm):
    """On networks of 50 inputs, where a random direction is worth little."""
    model, x = random_mlp(3, d=50, hidden=(64, 16), n=32)
    threat = ThreatModel(norm, lower=0, upper=1)
    size = 2.0 * certify(model, x, threat).radius
    found = model.margin(x) - RandomSearch().run(model, x, threat, size, seeded(0)).margin
    possible = model.margin(x) - ProjectedGradient(steps=20).run(model, x, threat, size, seeded(0)).margin
    assert bool((found >= 0.5 * possible).all())


def test_works_on_images():
    model, x = random_conv(3)
    size = torch.full((len(x),), 0.5).double()
    result = RandomSearch().run(model, x, ThreatModel(math.inf, 0, 1), size, seeded(0))
    assert float(result.success.double().mean()) > 0.5


def test_needs_no_gradient():
    """The gradient of a rounded margin is zero everywhere; the search is not misled."""

    class Stairs(torch.nn.Module):
        def __init__(self, score):
            super().__init__()
            self.score = score

        def forward(self, features):
            return torch.floor(64 * self.score(features)) / 64

    model, x = random_mlp(3)
    sensitive = model.predict(x)
    model.score = Stairs(model.score)  # pyright: ignore
    model.score.activations = 1
    size = torch.full((len(x),), 2.0).double()
    found = RandomSearch().run(model, x, ThreatModel(), size, seeded(0)).success
    blind = ProjectedGradient(restarts=1).run(model, x, ThreatModel(), size, seeded(0)).success
    assert int(found.sum()) > int(blind.sum())
    assert bool(found[sensitive].any())


def test_same_seed_same_result_and_no_global_state():
    model, x = random_mlp(6)
    before = torch.get_rng_state()
    size = torch.full((24,), 0.3)
    first, again, other = (
        RandomSearch(steps=12).run(model, x, ThreatModel(norm=3), size, seeded(seed)).adversarial for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_field_changes_something_and_is_checked():
    model, x = random_mlp(7)
    base = RandomSearch(steps=12)
    results = [
        a.run(model, x, ThreatModel(), torch.full((24,), 0.1), seeded(0)).adversarial
        for a in (base, replace(base, steps=24))
    ]
    assert not torch.equal(*results)
    assert base.name != replace(base, steps=24).name
    for wrong in (0, 1.5):
        with pytest.raises(InputError, match="`steps` must be"):
            RandomSearch(steps=wrong)  # pyright: ignore


def test_immutable_inputs_and_an_empty_batch():
    model, x = random_mlp(1)
    frozen = ThreatModel(mutable=torch.zeros(6, dtype=torch.bool))
    result = RandomSearch(steps=3).run(model, x, frozen, torch.full((24,), math.inf), seeded(0))
    assert torch.equal(result.adversarial, x)
    assert not bool(result.success.any())
    assert len(RandomSearch(steps=3).run(model, x[:0], ThreatModel(), torch.zeros(0), seeded(0))) == 0
