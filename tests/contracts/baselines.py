"""What every deterministic certificate of a baseline must satisfy. A test class inherits `BaselineContract`."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from torch import Tensor

from asymcert.attacks import ProjectedGradient, RandomSearch, RoundingAttack
from asymcert.certify import Certifier
from asymcert.errors import InputError
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel
from contracts.certifier import check_empty

INPUTS = 6
COST = torch.tensor([0.25, 2.0, 0.5, 1.0, 4.0, 0.125], dtype=torch.float64)
MUTABLE, DIRECTION = torch.arange(INPUTS) % 3 > 0, torch.arange(INPUTS) % 3 - 1


def threats() -> list[ThreatModel]:
    """Adversaries on six inputs in [0, 1]: every part, every norm."""
    return [
        ThreatModel(norm=1, lower=0, upper=1),
        ThreatModel(norm=1, lower=0, upper=1, cost=COST),
        ThreatModel(norm=1.5, lower=0, upper=1),
        ThreatModel(norm=2),
        ThreatModel(norm=2, lower=-0.5, upper=1, cost=COST, direction=DIRECTION),
        ThreatModel(norm=2, upper=2.0, mutable=MUTABLE),
        ThreatModel(norm=math.inf),
        ThreatModel(norm=math.inf, lower=0, upper=1, cost=COST, mutable=MUTABLE),
    ]


class BaselineContract:
    """Models come from ``model(seed)``: a classifier of six inputs, sensitive for about half of the unit cube."""

    samples = 8

    @pytest.fixture
    def certifier(self) -> Certifier:
        raise NotImplementedError

    def model(self, seed: int) -> BinaryClassifier:
        raise NotImplementedError

    def inputs(self, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(self.samples, INPUTS, generator=generator, dtype=torch.float64)

    def balanced(self, seed: int) -> tuple[BinaryClassifier, Tensor]:
        """A model with its threshold at the median, the first sample being a tie, and inputs."""
        model, x = self.model(seed), self.inputs(seed)
        scores = model.with_threshold(0.0).margin(x)
        return model.with_threshold(float(scores.median())), x

    def test_verdicts_shapes_and_radii(self, certifier):
        model, x = self.balanced(0)
        adversaries = threats()
        certificates = certifier.certify(model, x, adversaries)
        assert [certificate.threat for certificate in certificates] == adversaries
        for certificate in certificates:
            assert certificate.method == certifier.method
            assert certificate.radius.shape == (len(x),)
            assert torch.equal(certificate.sensitive, model.predict(x))
            assert bool((certificate.radius[~certificate.sensitive] == 0).all())
            assert float((certificate.radius[certificate.sensitive] > 0).double().mean()) > 0.8

    def test_takes_no_labels_and_leaves_all_as_it_was(self, certifier):
        assert list(inspect.signature(certifier.certify).parameters) == ["model", "x", "threats"]
        model, x = self.balanced(1)
        before, digest = x.clone(), model.digest
        certifier.certify(model, x, [ThreatModel(norm=2)])
        assert torch.equal(x, before)
        assert model.digest == digest
        assert torch.is_grad_enabled()
        assert all(parameter.grad is None for parameter in model.parameters())

    def test_does_not_depend_on_the_batch(self, certifier):
        model, x = self.balanced(2)
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        for threat in (threats()[1], threats()[4]):
            whole = certifier.certify(model, x, [threat])[0].radius
            moved = certifier.certify(model, x[order], [threat])[0].radius
            torch.testing.assert_close(moved, whole[order], rtol=1e-9, atol=0)
            alone = certifier.certify(model, x[5:6], [threat])[0].radius
            torch.testing.assert_close(alone, whole[5:6], rtol=1e-9, atol=0)
        check_empty(certifier, model, x, threats())

    def test_refusals(self, certifier):
        model, x = self.balanced(3)
        with pytest.raises(InputError, match="`model` must be a"):
            certifier.certify(object(), x, [ThreatModel()])
        with pytest.raises(InputError, match="inside the box"):
            certifier.certify(model, x + 1, [ThreatModel(upper=1)])
        with pytest.raises(InputError, match=r"shape \(n, 6\)"):
            certifier.certify(model, x[:, :5], [ThreatModel()])
        with pytest.raises(InputError, match="finite"):
            certifier.certify(model, x * math.nan, [ThreatModel()])
        with pytest.raises(InputError, match="float32 or float64"):
            certifier.certify(self.model(3).bfloat16(), x, [ThreatModel()])

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_no_attack_succeeds_inside(self, certifier, dtype):
        model, x = self.balanced(4)
        model, x = model.to(dtype), x.to(dtype)
        attacks = (ProjectedGradient(steps=12, restarts=1), RandomSearch(steps=20), RoundingAttack())
        for threat in threats()[:: 1 if dtype == torch.float64 else 3]:
            certificate = certifier.certify(model, x, [threat])[0]
            chosen = certificate.sensitive & certificate.radius.isfinite()
            radius = certificate.radius[chosen]
            for attack in attacks:
                budget = radius if attack.at_edge else radius * (1.0 - 1e-9)
                result = attack.run(model, x[chosen], threat, budget, torch.Generator().manual_seed(0))
                inside = result.success & (result.size < radius)
                assert not bool(inside.any()), f"{attack.name}, {threat.describe()}"

    def test_attacks_that_succeed_inside_would_be_seen(self, certifier):
        model, x = self.balanced(5)
        threat = ThreatModel(norm=2)
        certificate = certifier.certify(model, x, [threat])[0]
        chosen = certificate.sensitive
        budget = certificate.radius[chosen] * 4.0 + 0.1
        result = ProjectedGradient().run(model, x[chosen], threat, budget, torch.Generator().manual_seed(0))
        assert bool(result.success.any())

    def test_rounding_costs_little(self, certifier):
        model, x = self.balanced(6)
        loose = type(certifier)(sound=False).certify(model, x, [ThreatModel(norm=2)])[0].radius
        strict = type(certifier)(sound=True).certify(model, x, [ThreatModel(norm=2)])[0].radius
        assert bool((strict <= loose * (1.0 + 1e-3)).all())
        assert bool((strict >= loose * (1.0 - 2e-3) - 1e-9).all())
