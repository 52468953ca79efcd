"""The suite of planted faults: ten mistakes, each caught by a check of the contract or by the audit.

What is caught must be the mistake: the failing check is one of soundness, it fails by its own assertion, and the same
steps without the mistake pass it.
"""

from __future__ import annotations

import math

import polars as pl
import pytest
import torch

from asymcert.attacks import ProjectedGradient, RandomSearch, RoundingAttack
from asymcert.certify import METHODS, methods_for
from asymcert.errors import InputError
from asymcert.evaluate.audit import attack_rows
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.runs.rows import Origin, make_rows
from asymcert.threats.model import ThreatModel
from contracts.certifier import CertifierContract
from contracts.convexity import assert_convex
from contracts.models import seeded
from faults import planted

LINEAR = "test_never_above_the_exact_radius_of_a_linear_score"
CANCEL = "test_never_above_the_exact_radius_where_large_terms_cancel"
ROUNDING = "test_no_rounding_attack_succeeds_at_the_very_radius"
STRETCH = "test_never_above_the_flip_where_the_map_stretches_fully"
PROGRAMME = "test_never_above_the_programme_of_the_whole_network"
UPPER = "test_the_upper_bound_is_the_size_of_a_flip"
AUDIT = "audit"
FLIP_INSIDE = "`radius` must be at most `upper`"
SOUNDNESS = (LINEAR, CANCEL, ROUNDING, STRETCH, PROGRAMME, AUDIT)

ALL = methods_for(FeatureConvexClassifier)
PLANES = tuple(name for name in ALL if name != "closed-form")  # these follow box, mask and direction
NORM_BASED = tuple(name for name in ALL if name != "exact")  # the exact method follows the map itself
FAULTS = {
    "radius times 1.05": [(planted.FivePercentMore, LINEAR, ALL)],
    "a negative hidden weight": [(planted.negative_hidden_weight, AUDIT, NORM_BASED)],
    "an unclamped BatchNorm scale": [(planted.negative_scale, AUDIT, NORM_BASED)],
    "the wrong dual norm": [(planted.WrongDualNorm, LINEAR, ALL)],
    "a Lipschitz constant of another norm": [(planted.LipschitzOfAnotherNorm, STRETCH, NORM_BASED)],
    "the threshold left out of the margin": [(planted.ThresholdLeftOut, LINEAR, ALL)],
    "radii rounded to nearest": [(planted.RoundedToNearest, LINEAR, ALL)],
    "float32 accumulation": [
        (planted.SinglePrecision, CANCEL, ("closed-form",)),
        (planted.RoundingIgnored, ROUNDING, ALL),
    ],
    "cut weights off the simplex": [(planted.WeightsOffTheSimplex, PROGRAMME, ("tangent",))],
    "a box that the tangent ignores": [
        (planted.ForgottenCoordinate, LINEAR, PLANES),
        (planted.AssumedBox, PROGRAMME, ("tangent", "refined")),
    ],
}
CASES = [
    pytest.param(fault, check, method, id=f"{name}-{method}")
    for name, cases in FAULTS.items()
    for fault, check, methods in cases
    for method in methods
]
CERTIFIERS = [case for case in CASES if case.values[1] != AUDIT]
MODELS = [case for case in CASES if case.values[1] == AUDIT]
TRUE = sorted({(check, method) for _, check, method in (case.values for case in CERTIFIERS)})

THREATS = [ThreatModel(1), ThreatModel(2, 0.0, 1.0), ThreatModel(math.inf)]
QUICK = [ProjectedGradient(steps=8, restarts=1), RandomSearch(steps=20), RoundingAttack(5, 5, 8)]


class Contract(CertifierContract):
    norms = (1.0, 2.0, math.inf)


def test_the_ten_faults_are_all_there():
    assert len(FAULTS) == 10
    assert all(case.values[1] in SOUNDNESS for case in CASES)
    assert set(ALL) == {method for _, _, method in (case.values for case in CASES)}


@pytest.mark.parametrize(("fault", "check", "method"), CERTIFIERS)
def test_the_contract_catches(fault, check, method):
    with pytest.raises((AssertionError, InputError)) as caught:
        getattr(Contract(), check)(fault(METHODS[method]()))
    if caught.errisinstance(InputError):
        assert FLIP_INSIDE in str(caught.value)  # a certifier that looks for flips found one inside its own radius
    else:
        assert caught.traceback[-1].path.name == "certifier.py"  # the contract's own assertion, not one on the way


@pytest.mark.parametrize(("check", "method"), TRUE)
def test_without_the_fault_the_same_steps_pass(check, method):
    getattr(Contract(), check)(planted.Faulty(METHODS[method]()))


def test_weights_on_the_simplex_pass():
    getattr(Contract(), PROGRAMME)(planted.Averaged(METHODS["tangent"]()))


def test_an_upper_bound_that_is_too_low_is_caught():
    with pytest.raises(AssertionError) as caught:
        getattr(Contract(), UPPER)(planted.UpperTooLow(METHODS["refined"]()))
    assert caught.traceback[-1].path.name == "certifier.py"


def broken(model, x, method):
    """Attacks that succeed by kind, from a run of the audit."""
    certificates = METHODS[method]().certify(model, x, THREATS)
    origin, n = Origin("test", model.digest, "data", 0), len(x)
    said = torch.ones(n, dtype=torch.bool)
    rows = pl.concat([make_rows(certificate, torch.arange(n), said, origin, 0.0) for certificate in certificates])
    result = attack_rows(model, x, rows, THREATS, QUICK)
    assert len(result) > 0
    return result.filter("success")["attack"].unique().to_list()


def noticed(model, x, method):
    """As `broken`; or what the certifier says, where it looks for flips and finds one inside its own radius."""
    try:
        return broken(model, x, method)
    except InputError as error:
        if FLIP_INSIDE not in str(error):
            raise
        return [FLIP_INSIDE]


@pytest.mark.parametrize(("fault", "check", "method"), MODELS)
def test_the_audit_catches(fault, check, method):
    """All three attacks see it, or the certifier itself does; with the sign put right none does."""
    found = noticed(*fault(2), method)
    assert len(found) == len(QUICK) or (found == [FLIP_INSIDE] and method == "refined")
    assert broken(*fault(2, sign=1.0), method) == []


@pytest.mark.parametrize("fault", [planted.negative_hidden_weight, planted.negative_scale])
def test_the_midpoint_inequality_catches(fault):
    model, _ = fault(2)
    with pytest.raises(AssertionError, match="midpoint above the mean"):
        assert_convex(model.score, (6,), seeded(0))
    assert_convex(fault(2, sign=1.0)[0].score, (6,), seeded(0))


@pytest.mark.parametrize("fault", [planted.negative_hidden_weight, planted.negative_scale])
def test_a_model_with_the_fault_cannot_be_built_in_the_usual_way(fault, monkeypatch):
    """What made the fault possible was a check that was circumvented: it refuses as soon as it is asked."""
    if fault is planted.negative_scale:
        monkeypatch.delattr(planted.UncheckedScale, "nonnegative")
        with pytest.raises(InputError, match=r"`norms\.1\.scale` must be nonnegative"):
            fault(2)
    else:
        with pytest.raises(InputError, match=r"`hidden\.1\.weight` must be nonnegative"):
            fault(2)[0].score.check_convex()
