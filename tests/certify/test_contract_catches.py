"""Deliberately wrong certifiers: each must fail the contract, at the check that is there for its kind of mistake."""

from __future__ import annotations

import math

import pytest
import torch

from asymcert.certify import Certificate, Certifier
from asymcert.certify.closed_form import tangent_plane
from asymcert.errors import InputError
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.certifier import CertifierContract

LINEAR = "test_never_above_the_exact_radius_of_a_linear_score"
FLIP = "test_never_above_a_linear_score_s_flip_in_any_norm"
STRETCH = "test_never_above_the_flip_where_the_map_stretches_fully"
PROGRAMME = "test_never_above_the_programme_of_the_whole_network"
GRID = "test_never_above_brute_force_in_low_dimension"
ATTACK = "test_no_attack_succeeds_inside_the_radius"
ROUNDING = "test_no_rounding_attack_succeeds_at_the_very_radius"
SOUNDNESS = (LINEAR, FLIP, STRETCH, PROGRAMME, GRID, ATTACK, ROUNDING)


class Plain(Certifier):
    """The closed form written out in steps that a mistake can replace."""

    method, kind = "plain", FeatureConvexClassifier
    slack = 1e-12

    def _certificates(self, model, x, threats):
        margins, gradients = zip(*(tangent_plane(model, chunk) for chunk in model.chunks(x)), strict=True)
        margin, gradient = torch.cat(margins), torch.cat(gradients)
        margin = self.margin(model, margin)
        certificates = []
        for threat in threats:
            threat.interval(x.to(model.dtype))
            cost = self.cost(threat, model.input_shape)
            scaled = (gradient / model.feature_map.feature_cost(cost, model.input_shape)).flatten(1)
            size = torch.linalg.vector_norm(scaled, ord=self.dual(threat), dim=1)
            slope = size * self.lipschitz(model.feature_map, threat.norm) * (1 + self.slack)
            radius = torch.where(margin > 0, self.radius(margin / slope), 0.0)
            certificates.append(Certificate(radius, margin, slope, threat, self.method))
        return certificates

    def margin(self, model, margin):
        return margin

    def cost(self, threat, shape):
        return threat.cost_for(shape)

    def dual(self, threat):
        return threat.dual_norm

    def lipschitz(self, feature_map, norm):
        return feature_map.lipschitz(norm)

    def radius(self, radius):
        return radius


class FivePercentMore(Plain):
    def radius(self, radius):
        return radius * 1.05


class RoundedUp(Plain):
    def radius(self, radius):
        return radius * (1 + 3e-12)


class SameNormTwice(Plain):
    """The norm of the change measures the gradient too; larger than the truth for p > 2."""

    def dual(self, threat):
        return threat.norm


class EuclideanGradient(Plain):
    def dual(self, threat):
        return 2.0


class LipschitzOfMaximum(Plain):
    """The map's constant for the l_inf norm, whatever the norm."""

    def lipschitz(self, feature_map, norm):
        return feature_map.lipschitz(math.inf)


class LipschitzOfEuclidean(Plain):
    def lipschitz(self, feature_map, norm):
        return feature_map.lipschitz(2.0)


class LipschitzLeftOut(Plain):
    def lipschitz(self, feature_map, norm):
        return 1.0


class ThresholdLeftOut(Plain):
    """The score itself over the slope, where the verdict is sensitive."""

    def margin(self, model, margin):
        return torch.where(margin > 0, (margin + model.threshold).clamp(min=0.0), margin)


class CostLeftOut(Plain):
    def cost(self, threat, shape):
        return torch.ones(shape).double()


class CostMultiplied(Plain):
    def cost(self, threat, shape):
        return 1.0 / threat.cost_for(shape)


class HalfTheVerdicts(Plain):
    def margin(self, model, margin):
        return -margin


class LargestOfTheBatch(Plain):
    def radius(self, radius):
        return radius.amin().clamp(min=0.0).expand_as(radius).clone()


class LeavesTrainingMode(Plain):
    def _certificates(self, model, x, threats):
        model.eval()
        return super()._certificates(model, x, threats)


class SeesLabels(Plain):
    def certify(self, model, x, threats, labels=None):
        return super().certify(model, x, threats)


class AcceptsAnything(Plain):
    def certify(self, model, x, threats):
        x = torch.nan_to_num(torch.as_tensor(x)).reshape(-1, *model.input_shape)
        return super().certify(model, x, [ThreatModel(norm=threat.norm) for threat in threats])


class NegativeWhereNotSensitive(Plain):
    """Leaves out the zero for other verdicts; `Certificate` itself refuses it."""

    def _certificates(self, model, x, threats):
        margin = model.margin(x)
        return [Certificate(margin / 2, margin, torch.full_like(margin, 2.0), t, self.method) for t in threats]


class NeverCertifies(Plain):
    def radius(self, radius):
        return torch.zeros_like(radius)


MISTAKES = [
    (Plain, ROUNDING),
    (FivePercentMore, LINEAR),
    (FivePercentMore, FLIP),
    (FivePercentMore, STRETCH),
    (FivePercentMore, PROGRAMME),
    (RoundedUp, LINEAR),
    (SameNormTwice, LINEAR),
    (SameNormTwice, FLIP),
    (SameNormTwice, PROGRAMME),
    (SameNormTwice, GRID),
    (SameNormTwice, ATTACK),
    (EuclideanGradient, LINEAR),
    (EuclideanGradient, ATTACK),
    (LipschitzOfMaximum, STRETCH),
    (LipschitzOfEuclidean, STRETCH),
    (LipschitzLeftOut, STRETCH),
    (ThresholdLeftOut, LINEAR),
    (ThresholdLeftOut, FLIP),
    (ThresholdLeftOut, ATTACK),
    (CostLeftOut, LINEAR),
    (CostLeftOut, ATTACK),
    (CostMultiplied, LINEAR),
    (HalfTheVerdicts, "test_one_certificate_for_each_threat_model_with_the_deployed_verdict"),
    (LargestOfTheBatch, "test_does_not_depend_on_the_batch"),
    (LeavesTrainingMode, "test_leaves_modes_gradients_and_inputs_as_they_were"),
    (SeesLabels, "test_takes_no_labels"),
    (AcceptsAnything, "test_refuses_an_input_outside_its_box_and_parts_of_another_shape"),
    (NegativeWhereNotSensitive, "test_radius_is_zero_where_the_verdict_is_not_sensitive"),
    (NeverCertifies, "test_certifies_something"),
]


class TestPlain(CertifierContract):
    """Without a mistake the same steps pass, so what is caught below is the mistake."""

    @pytest.fixture
    def certifier(self):
        return Plain()

    def test_no_rounding_attack_succeeds_at_the_very_radius(self, certifier):
        pytest.skip("it bounds no rounding errors: that is one of the mistakes below")


@pytest.mark.parametrize(("wrong", "check"), MISTAKES, ids=lambda part: getattr(part, "__name__", part))
def test_the_contract_catches(wrong, check):
    """A radius that is too large fails by the contract's own assertion, not by an error on the way."""
    arguments = {"d": 2} if check == GRID else {}
    kinds = AssertionError if check in SOUNDNESS else (AssertionError, InputError, pytest.fail.Exception)
    with pytest.raises(kinds) as caught:
        getattr(CertifierContract(), check)(wrong(), **arguments)
    assert check not in SOUNDNESS or caught.traceback[-1].path.name == "certifier.py"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_contract_catches_one_that_repairs_values(value):
    with pytest.raises(pytest.fail.Exception):
        CertifierContract().test_refuses_values_that_are_not_finite(AcceptsAnything(), value)


def test_the_contract_catches_one_that_reshapes():
    with pytest.raises(pytest.fail.Exception):
        CertifierContract().test_refuses_another_shape(AcceptsAnything(), (6,))
