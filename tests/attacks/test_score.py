"""An attack's output is never believed."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asymcert.attacks import Attack, score
from asymcert.errors import InputError
from asymcert.features import CentreAbsolute
from asymcert.threats.model import ThreatModel
from contracts.certifier import COST
from contracts.changes import NORMS, THREATS, check_admissible
from contracts.models import dyadic, linear_model, random_mlp, seeded


class Liar(Attack):
    """Proposes whatever it is given."""

    name = "liar"

    def __init__(self, proposal):
        self.proposal = proposal

    def search(self, model, x, threat, size, generator):
        return torch.full_like(x, self.proposal) if isinstance(self.proposal, float) else self.proposal


@pytest.mark.parametrize("threat", THREATS, ids=ThreatModel.describe)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_any_proposal_becomes_admissible(threat, dtype):
    model, x = random_mlp(1)
    model, x = model.to(dtype), x.to(dtype)
    generator = seeded(2)
    size = torch.rand(len(x), generator=generator).double() * 2
    size[0], size[1] = 0.0, math.inf
    for scale in (1e-9, 0.1, 1.0, 1e6, 1e300):
        delta = scale * torch.randn(x.shape, generator=generator, dtype=torch.float64)
        result = score(model, x, delta, threat, size)
        check_admissible(result, x, threat, size)
        assert torch.equal(result.margin, model.margin(result.adversarial).double())
        assert torch.equal(result.success, model.predict(x) & ~model.predict(result.adversarial))


@given(seed=st.integers(0, 10_000), exponent=st.integers(-40, 3), norm=st.sampled_from(NORMS))
def test_budgets_of_every_magnitude_are_kept(seed, exponent, norm):
    """Tiny budgets beside large inputs: x + delta rounds, and the change measured from the sum must still fit."""
    model, x = random_mlp(1, n=4)
    threat = ThreatModel(norm=norm, lower=0, upper=1, cost=COST)
    size = torch.full((4,), 10.0**exponent, dtype=torch.float64)
    result = score(model, x, torch.randn(x.shape, generator=seeded(seed)).double(), threat, size)
    check_admissible(result, x, threat, size)


def test_most_of_the_budget_is_used():
    model, x = random_mlp(1)
    for norm in NORMS:
        size = torch.full((len(x),), 0.3).double()
        result = score(model, x, torch.ones_like(x), ThreatModel(norm=norm), size)
        assert bool((result.size > 0.3 * (1 - 1e-12)).all())


@pytest.mark.parametrize("proposal", [math.nan, math.inf, -math.inf, 1e308])
def test_a_lying_attack_gets_nothing(proposal):
    weight = torch.ones(3).double()
    model, x = linear_model(weight, 0.0), torch.ones(2, 3).double()
    result = Liar(proposal).run(model, x, ThreatModel(norm=1), torch.tensor([1.0, 2.9]), seeded(0))
    assert not bool(result.success.any())
    assert bool((result.size <= torch.tensor([1.0, 2.9])).all())


def test_success_needs_a_sensitive_verdict_before_and_another_one_after():
    weight = torch.ones(2).double()
    x = torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, 0.0]]).double()
    size = torch.tensor([1.9, 2.1, 5.0])
    result = Liar(-4.0).run(linear_model(weight, 0.0), x, ThreatModel(norm=1), size, seeded(0))
    assert result.success.tolist() == [False, True, False]
    assert len(result) == 3


def test_a_margin_that_is_not_a_number_is_no_sensitive_verdict(monkeypatch):
    model, x = random_mlp(1)
    real = type(model).margin
    monkeypatch.setattr(
        type(model), "margin", lambda self, at: torch.where(at[:, 0] == x[:, 0], real(self, at), math.nan)
    )
    result = score(model, x, torch.ones_like(x), ThreatModel(), torch.ones(len(x)))
    assert torch.equal(result.success, real(model, x) > 0)


def test_the_budget_decides():
    generator = seeded(3)
    weight = dyadic((6,), generator)
    x = dyadic((32, 6), generator)
    model = linear_model(weight, 0.5)
    margin = model.margin(x).clamp(min=0)
    for norm, dual in ((1.0, weight.abs().max()), (math.inf, weight.abs().sum())):
        worst = -weight.sign() * (weight.abs() == weight.abs().max()) if norm == 1 else -weight.sign()
        proposal = 1e3 * worst.double().expand_as(x)
        within = score(model, x, proposal, ThreatModel(norm=norm), 0.999999 * margin / dual)
        above = score(model, x, proposal, ThreatModel(norm=norm), 1.000001 * margin / dual)
        assert not bool(within.success.any())
        assert torch.equal(above.success, margin > 0)


@pytest.mark.parametrize("size", [torch.ones(3), torch.ones(24, 1), -torch.ones(24), torch.full((24,), math.nan)])
def test_refuses_budgets_that_do_not_fit(size):
    model, x = random_mlp(1)
    with pytest.raises(InputError, match="`size` must be"):
        Liar(0.0).run(model, x, ThreatModel(), size, seeded(0))


def test_refuses_inputs_outside_the_box():
    model, x = random_mlp(1)
    with pytest.raises(InputError, match="inside the box"):
        Liar(0.0).run(model, x + 1, ThreatModel(lower=0, upper=1), torch.ones(24), seeded(0))


def test_runs_in_chunks_and_restores_modes(monkeypatch):
    model, x = random_mlp(1, feature_map=CentreAbsolute(torch.zeros(6)))
    model.score.first.train()
    before = [module.training for module in model.modules()]
    size = torch.linspace(0, 1, len(x))
    whole = Liar(-1.0).run(model, x, ThreatModel(), size, seeded(0))
    monkeypatch.setattr("asymcert.models.base.CHUNK_VALUES", 5 * model.score.activations)
    pieces = Liar(-1.0).run(model, x, ThreatModel(), size, seeded(0))
    assert [module.training for module in model.modules()] == before
    assert torch.equal(whole.adversarial, pieces.adversarial)
    torch.testing.assert_close(whole.margin, pieces.margin, rtol=1e-12, atol=1e-12)
    assert len(Liar(-1.0).run(model, x[:0], ThreatModel(), size[:0], seeded(0))) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_a_proposal_of_exactly_the_budget_is_not_thrown_away(dtype, norm):
    """With costs, rounding to nearest exceeds the budget by a hair in nearly every sample."""
    model, x = random_mlp(3)
    model, x = model.to(dtype), x.to(dtype).double()
    threat = ThreatModel(norm, cost=torch.tensor([0.3, 2.1, 0.7, 1.1, 3.9, 0.13], dtype=torch.float64))
    delta = 0.37 * torch.randn(x.shape, generator=seeded(1), dtype=torch.float64)
    budget = threat.size(delta)
    result = score(model, x, delta, threat, budget)
    assert bool((result.size <= budget).all())
    assert bool((result.size >= budget * (1 - 1e-4)).all())
