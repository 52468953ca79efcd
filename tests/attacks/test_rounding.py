"""The rounding attack breaks certificates that ignore rounding, and never one that does not."""

import math
from dataclasses import fields, replace

import pytest
import torch

from asymcert.attacks import ProjectedGradient, RoundingAttack
from asymcert.certify import certify
from asymcert.errors import InputError
from asymcert.features import CentreAbsolute
from asymcert.threats.model import ThreatModel
from contracts.changes import THREATS, check_admissible
from contracts.models import cancelling_model, linear_model, random_mlp, seeded

NORMS = (1.0, 2.0, math.inf)


def edge(radius):
    """The greatest budget that a certificate speaks of."""
    return torch.nextafter(radius, torch.zeros_like(radius))


def gaussian_model(d, dtype):
    """A linear classifier with weights and inputs that float32 holds, and inputs of which most are sensitive."""
    generator = seeded(d)
    weight, x = torch.randn(d, generator=generator), torch.rand(32, d, generator=generator)
    model = linear_model(weight.double(), 0.0)
    return model.with_threshold(float(model.margin(x).quantile(0.25))).to(dtype), x.double()


def broken(model, x, threat, sound, attack=None):
    """Shares of the sensitive samples with a positive radius, and of those that the attack breaks."""
    certificate = certify(model, x, threat, sound=sound)
    result = (attack or RoundingAttack()).run(model, x, threat, edge(certificate.radius), seeded(0))
    positive = certificate.radius[certificate.sensitive] > 0
    return float(positive.double().mean()), float(result.success[certificate.sensitive].double().mean())


@pytest.mark.parametrize(
    ("d", "norm", "least"), [(6, 1.0, 0.2), (6, 2.0, 0.8), (6, math.inf, 0.1), (100, 1.0, 0.05), (784, 2.0, 0.9)]
)
def test_breaks_float32_certificates_that_ignore_rounding(d, norm, least):
    model, x = gaussian_model(d, torch.float32)
    certified, success = broken(model, x, ThreatModel(norm), sound=False)
    assert certified == 1.0
    assert success >= least
    certificate = certify(model, x, ThreatModel(norm), sound=False)
    usual = ProjectedGradient().run(model, x, ThreatModel(norm), 0.999 * certificate.radius, seeded(0))
    assert not bool(usual.success.any())  # the attack that stays a thousandth inside sees nothing


@pytest.mark.parametrize(("norm", "least"), [(1.0, 0.15), (2.0, 0.4), (math.inf, 0.04)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_breaks_unsound_certificates_of_cancelling_sums(norm, least, dtype):
    """In l_inf few points are as near the edge as the corner, so rounding has few chances there."""
    shares = [broken(*cancelling_model(seed, dtype), ThreatModel(norm), sound=False)[1] for seed in range(3)]
    assert sum(shares) / 3 >= least


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_never_breaks_a_sound_certificate(norm, dtype):
    for model, x in (cancelling_model(0, dtype), gaussian_model(6, dtype), gaussian_model(100, dtype)):
        for threat in (ThreatModel(norm), ThreatModel(norm, -1.0, 2.0)):
            certified, success = broken(model, x, threat, sound=True)
            assert certified > 0.5
            assert success == 0.0


@pytest.mark.parametrize("threat", THREATS, ids=ThreatModel.describe)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stays_within_the_threat_model(threat, dtype):
    model, x = random_mlp(1, feature_map=CentreAbsolute(torch.full((6,), 0.5)))
    model, x = model.to(dtype), x.to(dtype).double()
    size = torch.linspace(0, 2, len(x)).double()
    size[1] = math.inf
    result = RoundingAttack(roundings=5, flips=5, steps=5).run(model, x, threat, size, seeded(0))
    check_admissible(result, x, threat, size)
    assert torch.equal(result.adversarial.to(dtype).double(), result.adversarial)
    assert bool((result.margin <= model.margin(x)).all())


def test_uses_the_whole_budget():
    model, x = gaussian_model(6, torch.float32)
    for norm in NORMS:
        size = torch.full((len(x),), 0.01).double()  # too little to undo any verdict that matters
        result = RoundingAttack().run(model, x, ThreatModel(norm), size, seeded(0))
        assert bool((result.size[~result.success & model.predict(x)] > 0.01 * (1 - 1e-4)).all())


def test_a_box_that_the_model_s_type_cannot_hold():
    model, x = random_mlp(1)
    x = 0.1 + 0.8 * x.float().double()
    threat = ThreatModel(math.inf, lower=0.1, upper=0.9)  # neither bound is a float32 number
    x = x.clamp(0.11, 0.89).float().double()
    size = torch.full((len(x),), math.inf)
    result = RoundingAttack().run(model.float(), x, threat, size, seeded(0))
    assert float(result.adversarial.min()) >= 0.1
    assert float(result.adversarial.max()) <= 0.9
    assert bool(result.success.any())


def test_same_seed_same_result():
    model, x = gaussian_model(6, torch.float32)
    size = torch.full((len(x),), 0.3)
    first, again, other = (
        RoundingAttack().run(model, x, ThreatModel(), size, seeded(s)).adversarial for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("field", [field.name for field in fields(RoundingAttack)])
def test_every_field_changes_something_and_is_checked(field):
    model, x = random_mlp(7, d=12, feature_map=CentreAbsolute(torch.full((12,), 0.5)))
    base = RoundingAttack(roundings=4, flips=4, steps=4)
    changed = replace(base, **{field: 9})
    size = certify(model, x, ThreatModel()).radius
    results = [a.run(model, x, ThreatModel(), size, seeded(0)).adversarial for a in (base, changed)]
    assert not torch.equal(*results)
    assert base.name != changed.name
    assert base.at_edge
    with pytest.raises(InputError, match=f"`{field}` must be"):
        replace(base, **{field: 0})
