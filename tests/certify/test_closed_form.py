"""The published closed form: the contract, and where it is known to be tight."""

import copy
import math

import numpy as np
import pytest
import torch

from asymcert.certify import ClosedForm, certify, certify_each
from asymcert.features import CentreAbsolute
from asymcert.threats.model import ThreatModel
from contracts.certifier import COST, CertifierContract
from contracts.models import dyadic, folded_model, linear_model, random_mlp, seeded
from contracts.references import exact_linear_radius, program_change


class TestClosedForm(CertifierContract):
    @pytest.fixture
    def certifier(self):
        return ClosedForm()


@pytest.mark.parametrize("norm", [1.0, math.inf])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_exact_radius_of_a_linear_score(norm, seed):
    generator = seeded(seed)
    weight, x = dyadic((6,), generator), dyadic((64, 6), generator)
    threat = ThreatModel(norm=norm, cost=COST)
    exact = exact_linear_radius(weight, x, 0.75, COST, norm)
    for sound, absolute in ((True, 1e-13), (False, 0.0)):  # rounding costs the same however small the radius is
        certified = certify(linear_model(weight, 0.75), x, threat, sound=sound).radius
        assert all(radius <= truth for radius, truth in zip(certified.tolist(), exact, strict=True))
        np.testing.assert_allclose(certified, [float(truth) for truth in exact], rtol=1e-12, atol=absolute)


@pytest.mark.parametrize("norm", [1.0, 1.3, 2.0, 3.0, math.inf])
def test_equals_margin_over_dual_norm(norm):
    generator = seeded(3)
    weight, x = dyadic((6,), generator), dyadic((32, 6), generator)
    q = ThreatModel(norm=norm).dual_norm
    truth = np.clip(x.numpy() @ weight.numpy() - 0.75, 0, None) / np.linalg.norm(weight.numpy(), ord=q)
    np.testing.assert_allclose(certify(linear_model(weight, 0.75), x, ThreatModel(norm=norm)).radius, truth, rtol=1e-12)


@pytest.mark.parametrize("norm", [1.0, 1.3, 2.0, 3.0, math.inf])
def test_is_tight_where_the_map_stretches_fully(norm):
    weight = torch.tensor([1.0, 0.5, 2.0]).double()
    x = torch.tensor([[9.0, 8.0, 7.0]]).double()
    margin = 2 * float(x[0] @ weight) - 40.0
    truth = margin / (2 * float(torch.linalg.vector_norm(weight, ord=ThreatModel(norm=norm).dual_norm)))
    assert float(certify(folded_model(weight, 40.0), x, ThreatModel(norm=norm)).radius) == pytest.approx(
        truth, rel=1e-12
    )


@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_is_below_the_programme_of_the_whole_network(norm):
    model, x = random_mlp(21, 5, (8, 4))
    certificate = certify(model, x, ThreatModel(norm=norm))
    gains = []
    for index in certificate.sensitive.nonzero().flatten().tolist():
        change = program_change(model, x[index], certificate.threat)
        if change is not None:
            gains.append(float(np.linalg.norm(change, norm) / certificate.radius[index]))
    assert len(gains) > 5
    assert min(gains) > 1 - 1e-6  # the solver's tolerance; the contract compares with a flip that was checked
    assert max(gains) > 1.01  # and the networks are not linear


def test_a_constant_score_is_certified_everywhere():
    model = linear_model(torch.zeros(3), -1.0)
    assert certify(model, torch.rand(4, 3), sound=False).radius.tolist() == [math.inf] * 4
    sound = certify(model, torch.rand(4, 3), ThreatModel(norm=1, lower=0, upper=1), "tangent")
    assert sound.radius.tolist() == [math.inf] * 4
    assert bool((certify(model, torch.rand(4, 3)).radius > 1e300).all())  # greater inputs would overflow
    never = model.with_threshold(1.0)
    assert certify(never, torch.rand(4, 3)).radius.tolist() == [0.0] * 4


def test_tiny_slopes_do_not_vanish():
    x = torch.ones(1, 3)
    for scale in (1e-200, 1e-300):
        model = linear_model(torch.full((3,), scale, dtype=torch.float64), -1.0)
        for norm in (1.0, 2.0, 3.0, math.inf):
            assert float(certify(model, x, ThreatModel(norm=norm)).radius) < math.inf


def test_a_quotient_that_overflows_is_not_called_infinite():
    model = linear_model(torch.full((3,), 1e-250, dtype=torch.float64), -1.0)
    radius = float(certify(model, torch.ones(1, 3), ThreatModel(2, cost=1e100)).radius)
    assert 1e300 < radius < math.inf


def test_certifies_in_float64_a_model_that_runs_in_single_precision():
    model, x = random_mlp(22, feature_map=CentreAbsolute(torch.full((6,), 0.5)))
    single = copy.deepcopy(model).float()
    certificate = certify(single, x.float())
    assert single.dtype == torch.float32
    assert certificate.radius.dtype == torch.float64
    plain = certify(model, x).radius
    torch.testing.assert_close(certify(single, x.float(), sound=False).radius, plain, rtol=1e-3, atol=1e-4)
    assert bool((certificate.radius <= plain).all())
    torch.testing.assert_close(certificate.radius, plain, rtol=0.1, atol=1e-3)  # single precision costs radius


def test_several_threat_models_share_one_pass_and_agree_with_one_at_a_time():
    model, x = random_mlp(23)
    threats = [ThreatModel(norm=p, cost=COST) for p in (1, 1.5, 2, math.inf)]
    together = certify_each(model, x, threats)
    for threat, certificate in zip(threats, together, strict=True):
        assert torch.equal(certificate.radius, certify(model, x, threat).radius)
