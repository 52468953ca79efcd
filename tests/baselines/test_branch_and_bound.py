"""Branch and bound of ReLU networks, against attacks and the mixed-integer programme."""

import math
import time

import pytest
import torch

from asymcert.attacks.base import admissible
from asymcert.certify.relu.branch_and_bound import BranchAndBound
from asymcert.certify.relu.branching import Outcome, Search
from asymcert.certify.relu.linear_bounds import Crown, Samples
from asymcert.certify.relu.relu_bounds import Network
from asymcert.errors import InputError
from asymcert.models.relu import ReluClassifier
from asymcert.threats.model import ThreatModel
from baselines.relu_models import balanced
from contracts.baselines import COST, DIRECTION
from reference.mixed_integer import least_change


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_between_linear_bounds_and_a_known_flip(norm):
    model, x = balanced(0)
    threat = ThreatModel(norm=norm, lower=-1, upper=2, cost=COST, direction=DIRECTION)
    crown = Crown().certify(model, x, [threat])[0]
    found = BranchAndBound(time_limit=0.5, tolerance=0.05).certify(model, x, [threat])[0]
    assert (found.radius >= crown.radius).all()
    assert (found.radius <= found.upper).all()
    known = found.sensitive & found.upper.isfinite()
    assert known.any()
    assert not model.predict(found.adversarial[known]).any()
    assert admissible(x[known], found.adversarial[known], threat, found.upper[known]).all()
    assert (found.radius[~found.sensitive] == 0).all()


@pytest.mark.parametrize("widths", [(8,), (5, 4)])
def test_equal_to_the_programme_within_the_gap(widths):
    pytest.importorskip("highspy")
    model, x = balanced(1, widths)
    x, tolerance, closed = x[model.predict(x)][:2], 0.02, 0
    for norm in (1.0, math.inf):
        threat = ThreatModel(norm=norm, lower=0, upper=1, cost=COST)
        found = BranchAndBound(tolerance=tolerance, time_limit=20.0 if widths == (8,) else 0.5).certify(
            model, x, [threat]
        )[0]
        for index in (found.sensitive & found.upper.isfinite()).nonzero()[:, 0].tolist():
            least = least_change(model, x[index : index + 1], threat, 1.01 * float(found.upper[index]))
            assert float(found.radius[index]) <= least.size
            assert float(found.upper[index]) >= least.lower * (1 - 1e-6)
            if found.radius[index] >= found.upper[index] * (1 - tolerance):
                assert least.size <= float(found.radius[index]) / (1 - tolerance) * (1 + 1e-6)
                closed += 1
    assert closed >= 4 or widths != (8,)


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_decides_on_both_sides_of_a_flip(norm):
    """Well inside the radius the search holds, at a known flip it finds one."""
    model, x = balanced(2)
    threat = ThreatModel(norm=norm, lower=0, upper=1)
    certificate = BranchAndBound(tolerance=0.05, time_limit=1.0).certify(model, x, [threat])[0]
    known = (certificate.sensitive & certificate.upper.isfinite()).nonzero()[:2, 0].tolist()
    assert known
    for index in known:
        sample = x[index : index + 1]
        samples = Samples.of(Network.of(model, True), sample, threat)
        search = Search(model, samples.network, threat, samples.reach, sample, 10)
        for factor, base, outcome in (
            (0.9, certificate.radius, Outcome.HELD),
            (1.1, certificate.upper, Outcome.UNDONE),
        ):
            radius = base[index : index + 1] * factor
            decided, flip = search.run(radius, samples.intervals(radius), time.monotonic() + 5.0)
            assert decided is outcome
            assert (flip is not None) == (outcome is Outcome.UNDONE)


def test_in_single_precision_flips_are_of_the_deployed_network():
    model, x = balanced(3, n=4)
    single, threat = model.float(), ThreatModel(norm=math.inf, lower=0, upper=1)
    found = BranchAndBound(time_limit=0.3, tolerance=0.05).certify(single, x.float(), [threat])[0]
    known = found.sensitive & found.upper.isfinite()
    assert known.any()
    assert not any(bool(single.predict(point[None])) for point in found.adversarial[known])
    assert (found.radius <= found.upper).all()


def test_without_time_the_radius_is_that_of_linear_bounds():
    model, x = balanced(4, n=2)
    threat = ThreatModel(norm=2)
    found = BranchAndBound(time_limit=0.0).certify(model, x, [threat])[0]
    assert torch.equal(found.radius, Crown().certify(model, x, [threat])[0].radius)


def test_refusals():
    model, x = balanced(5)
    with pytest.raises(InputError, match="tolerance"):
        BranchAndBound(tolerance=0.0)
    with pytest.raises(InputError, match="time_limit"):
        BranchAndBound(time_limit=-1.0)
    with pytest.raises(InputError, match="ReluClassifier"):
        BranchAndBound().certify(object(), x, [ThreatModel()])
    with pytest.raises(InputError, match="inside the box"):
        BranchAndBound().certify(model, x + 1, [ThreatModel(upper=1)])


def test_a_network_without_hidden_layers_has_nothing_to_split():
    """Rounding leaves a gap below the flip that no split can close."""
    weight = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
    model = ReluClassifier([(weight, torch.zeros(1))], input_shape=(2,)).float()
    x = torch.tensor([[1.0, 0.25]], dtype=torch.float64)
    found = BranchAndBound(tolerance=1e-9, time_limit=0.5).certify(model, x, [ThreatModel()])[0]
    assert 0.4 * (1 - 1e-3) < float(found.radius) < 0.4 <= float(found.upper) < 0.4 * (1 + 1e-3)
