"""Projected gradient descent: strong where the answer is known, and always reproducible."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from asymcert.attacks import ProjectedGradient
from asymcert.errors import InputError
from asymcert.features import CentreAbsolute
from asymcert.threats.model import ThreatModel
from contracts.certifier import COST
from contracts.models import dyadic, linear_model, random_conv, random_mlp, seeded
from contracts.references import flipping_size, program_change

NORMS = (1.0, 1.3, 2.0, 3.0, math.inf)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("cost", [None, COST])
def test_breaks_a_linear_score_just_above_its_radius_and_never_below(norm, cost):
    generator = seeded(1)
    weight, x = dyadic((6,), generator), dyadic((32, 6), generator)
    model, threat = linear_model(weight, 0.5), ThreatModel(norm=norm, cost=cost)
    slope = torch.linalg.vector_norm(weight / threat.cost_for((6,)), ord=threat.dual_norm)
    radius = model.margin(x).clamp(min=0) / slope
    attack = ProjectedGradient(steps=2, restarts=1)
    assert torch.equal(attack.run(model, x, threat, radius * (1 + 1e-9), seeded(0)).success, model.predict(x))
    assert not bool(attack.run(model, x, threat, radius * (1 - 1e-9), seeded(0)).success.any())


@pytest.mark.parametrize("norm", [1.0, math.inf])
@pytest.mark.parametrize("parts", [{}, {"lower": 0, "upper": 1}, {"lower": -1, "upper": 1, "cost": COST}])
def test_comes_near_the_exact_radius_of_a_network(norm, parts):
    """The linear programme of the network gives the true radius: no success below it, nearly always one 5 % above."""
    model, x = random_mlp(3, 6, (12, 6))
    threat = ThreatModel(norm=norm, **parts)
    radii = torch.zeros(len(x)).double()
    for index in model.predict(x).nonzero().flatten().tolist():
        change = program_change(model, x[index], threat)
        radii[index] = 0.0 if change is None else flipping_size(model, x[index], torch.from_numpy(change), threat)
    breakable = (radii > 0) & radii.isfinite()
    assert int(breakable.sum()) > 5
    x, radii = x[breakable], radii[breakable]
    attack = ProjectedGradient(steps=40, restarts=3)
    assert not bool(attack.run(model, x, threat, radii * (1 - 1e-6), seeded(0)).success.any())
    assert float(attack.run(model, x, threat, radii * 1.05, seeded(0)).success.double().mean()) > 0.9


@pytest.mark.parametrize("norm", NORMS)
def test_more_search_never_finds_less(norm):
    model, x = random_mlp(4, feature_map=CentreAbsolute(torch.full((6,), 0.5)))
    threat, size = ThreatModel(norm=norm, lower=0, upper=1), torch.full((24,), 0.2)
    one = ProjectedGradient(steps=10, restarts=1).run(model, x, threat, size, seeded(0))
    four = ProjectedGradient(steps=10, restarts=4).run(model, x, threat, size, seeded(0))
    assert bool((four.margin <= one.margin + 1e-12).all())
    assert bool((one.margin <= model.margin(x)).all())
    assert not torch.equal(four.margin, one.margin)


@pytest.mark.parametrize("norm", NORMS)
def test_an_infinite_budget_leaves_only_the_box(norm):
    weight = torch.tensor([1.0, 2.0]).double()
    x = torch.tensor([[0.75, 0.5]]).double()
    boxed = ThreatModel(norm=norm, lower=0.25, upper=1)
    for threshold, breaks in ((0.5, False), (1.0, True)):  # the least score in the box is 0.75
        model = linear_model(weight, threshold)
        result = ProjectedGradient(steps=5).run(model, x, boxed, torch.tensor([math.inf]), seeded(0))
        assert result.success.tolist() == [breaks]
        assert float(result.margin) == pytest.approx(0.75 - threshold, abs=1e-9)
    free = ProjectedGradient(steps=5).run(
        linear_model(weight, -100.0), x, ThreatModel(norm), torch.tensor([math.inf]), seeded(0)
    )
    assert free.success.tolist() == [True]


def test_immutable_features_and_directions_stop_it():
    weight, x = torch.ones(3).double(), torch.ones(1, 3).double()
    model, attack = linear_model(weight, 0.0), ProjectedGradient(steps=5)
    threat = ThreatModel(norm=1, mutable=torch.tensor([True, True, False]), direction=torch.tensor([1, 0, 0]))
    result = attack.run(model, x, threat, torch.tensor([2.9]), seeded(0))
    np.testing.assert_allclose(result.delta, [[0.0, -2.9, 0.0]], atol=1e-9)
    frozen = ThreatModel(norm=2, mutable=torch.zeros(3, dtype=torch.bool))
    assert attack.run(model, x, frozen, torch.tensor([math.inf]), seeded(0)).delta.abs().max() == 0


def test_images_and_single_precision():
    model, x = random_conv(5)
    single = model.float()
    for norm in NORMS:
        result = ProjectedGradient(steps=5).run(
            single, x.float(), ThreatModel(norm, 0.0, 1.0), torch.full((12,), 9.0), seeded(0)
        )
        assert result.adversarial.shape == x.shape
        assert torch.equal(result.adversarial.float().double(), result.adversarial)
        assert bool(result.success.any())


def test_same_seed_same_result_and_no_global_state():
    model, x = random_mlp(6, feature_map=CentreAbsolute(torch.full((6,), 0.5)))
    before = torch.get_rng_state()
    size = torch.full((24,), 0.3)
    first, again, other = (
        ProjectedGradient(steps=3).run(model, x, ThreatModel(norm=3), size, seeded(seed)).adversarial
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_works_without_gradient_tracking_and_leaves_none_behind():
    model, x = random_mlp(6)
    with torch.no_grad():
        result = ProjectedGradient(steps=3).run(model, x, ThreatModel(), torch.ones(24), seeded(0))
    assert not result.adversarial.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("field", [field.name for field in fields(ProjectedGradient)])
def test_every_field_changes_something(field):
    model, x = random_mlp(7, feature_map=CentreAbsolute(torch.full((6,), 0.5)))
    base = ProjectedGradient(steps=4, restarts=2, step=0.5)
    changed = replace(base, **{field: {"steps": 7, "restarts": 5, "step": 0.1}[field]})
    results = [a.run(model, x, ThreatModel(), torch.full((24,), 0.4), seeded(0)).adversarial for a in (base, changed)]
    assert not torch.equal(*results)


@pytest.mark.parametrize(
    ("field", "value"), [("steps", 0), ("steps", 1.5), ("restarts", 0), ("step", 0.0), ("step", math.nan)]
)
def test_refuses_settings_out_of_range(field, value):
    with pytest.raises(InputError, match=f"`{field}` must be"):
        ProjectedGradient(**{field: value})
