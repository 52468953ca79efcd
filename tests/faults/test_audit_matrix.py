"""The audit matrix in short form: small data sets, few samples, shorter attacks; and a fault that it must show."""

import importlib
from pathlib import Path

import pytest
import torch

from asymcert.attacks import ProjectedGradient, RandomSearch, RoundingAttack
from asymcert.certify import methods_for
from asymcert.evaluate.beyond import Beyond
from asymcert.models.feature_convex import FeatureConvexClassifier

FOLDER = Path(__file__).parents[2] / "benchmarks"
QUICK = [ProjectedGradient(steps=6, restarts=1), RandomSearch(steps=10), RoundingAttack(3, 3, 5), Beyond(steps=5)]
KINDS = ("plain", "all")


@pytest.fixture(scope="module")
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        return importlib.import_module("audit_matrix")


@pytest.fixture(scope="module", params=["digits-3-8", "breast-cancer"])
def trained(request, benchmark):
    return request.param, *benchmark.trained(request.param, None, 3, torch.float32, epochs=3)


def test_no_attack_succeeds_in_any_combination(benchmark, trained):
    cells = list(benchmark.matrix(*trained, kinds=KINDS, attacks=QUICK))
    assert {(cell.kind, cell.norm, cell.method) for cell in cells} == {
        (kind, norm, method)
        for kind in KINDS
        for norm in benchmark.NORMS
        for method in methods_for(FeatureConvexClassifier)
    }
    for cell in cells:
        assert cell.note == ""
        assert cell.successes == 0, cell.line()
        assert cell.certified > 0
        assert cell.attacks >= 3 * cell.certified


def test_a_false_radius_shows(benchmark, trained, monkeypatch):
    def half_more(*arguments, **options):
        certificate = true(*arguments, **options)
        certificate.radius.mul_(1.5)
        return certificate

    true = benchmark.certify
    monkeypatch.setattr(benchmark, "certify", half_more)
    cells = list(benchmark.matrix(*trained, methods=["tangent"], kinds=["plain"], attacks=QUICK))
    assert sum(cell.successes for cell in cells) > 0


@pytest.mark.parametrize("kind", ["plain", "box", "costs", "immutable", "increase-only", "all"])
def test_kinds_of_threat_models(benchmark, kind):
    parts = benchmark.threat_parts(kind, (2, 3))
    present = {
        "plain": set(),
        "box": {"lower", "upper"},
        "costs": {"lower", "upper", "cost"},
        "immutable": {"lower", "upper", "mutable"},
        "increase-only": {"lower", "upper", "direction"},
        "all": {"lower", "upper", "cost", "mutable", "direction"},
    }
    assert set(parts) == present[kind]
    assert all(part.shape == (2, 3) for part in parts.values() if isinstance(part, torch.Tensor))
