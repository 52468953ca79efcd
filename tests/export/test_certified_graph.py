"""Graphs that certify: radii of the sound certificates, never above them."""

import json
import math

import numpy as np
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from asymcert.certify import certify
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.export import certified_graph
from asymcert.export.certified_graph import to_certified_onnx
from asymcert.features import Identity, Standardise
from asymcert.threats.model import ThreatModel
from contracts.models import balanced, cancelling_model, linear_model, randomise, seeded
from export.exported import FEATURE_CONVEX, OTHERS, SHAPE, distance, feature_convex, inputs, run, threats

METHODS = {"FeatureConvexClassifier": "closed-form", "DistanceClassifier": "lipschitz"}
DISTANCE = ["distance", "distance-groups", "distance-two"]


def radii(model, x, threat):
    """Radii of the graph and of the package, after comparing verdicts and margins."""
    found = run(to_certified_onnx(model, threat), x)
    known = certify(model, x, threat, method=METHODS[type(model).__name__])
    assert (found["sensitive"] == known.sensitive.numpy()).all()
    np.testing.assert_allclose(found["margin"], known.margin.numpy(), rtol=0, atol=1e-13)
    return found["radius"], known.radius.numpy()


def check(model, x, threat):
    """Never above the sound radius, and equal to 1e-6 of it."""
    found, known = radii(model, x, threat)
    assert found.dtype == np.float64
    assert (known > 0).sum() > len(x) / 2
    assert (found <= known).all()
    np.testing.assert_allclose(found, known, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("map_name", "score_name"), FEATURE_CONVEX)
def test_closed_form(map_name, score_name):
    """All layers; the adversaries take turns."""
    model, x = feature_convex(map_name, score_name)
    chosen = FEATURE_CONVEX.index((map_name, score_name))
    check(model, x, threats()[chosen % len(threats())])


@pytest.mark.parametrize("index", range(len(threats())))
def test_closed_form_of_every_adversary(index):
    model, _ = feature_convex("centre-absolute", "mlp")
    check(model, inputs(2000), threats()[index])


@pytest.mark.parametrize("index", range(len(threats())))
@pytest.mark.parametrize("name", DISTANCE)
def test_lipschitz(name, index):
    model, _ = OTHERS[name]()
    check(model, inputs(500), threats()[index])


@pytest.mark.parametrize("score_name", ["mlp", "conv", "conv-average", "symmetric"])
def test_another_runtime_agrees(score_name):
    """ONNX's own evaluator, which is written in numpy and rounds in another order, stays below as well."""
    model, x = feature_convex("centre-absolute", score_name)
    evaluator = ReferenceEvaluator(to_certified_onnx(model, ThreatModel(2)))
    margin, sensitive, radius = evaluator.run(None, {"x": x.numpy()})
    known = certify(model, x, ThreatModel(2), method="closed-form")
    np.testing.assert_allclose(margin, known.margin.numpy(), rtol=0, atol=1e-13)
    assert (sensitive == known.sensitive.numpy()).all()
    assert (radius <= known.radius.numpy()).all()
    np.testing.assert_allclose(radius, known.radius.numpy(), rtol=1e-6, atol=0)


def test_graph_without_error_terms_is_above(monkeypatch):
    """The comparison notices a graph that forgets its own rounding."""
    monkeypatch.setattr(certified_graph, "TIMES", 0.0)
    monkeypatch.setattr(certified_graph, "MARGIN", 0.0)
    model, _ = feature_convex("identity", "mlp")
    found, known = radii(model, inputs(500), ThreatModel(2))
    assert (found > known).any()


def test_distance_graph_without_error_terms_is_above(monkeypatch):
    monkeypatch.setattr(certified_graph, "_distance_errors", lambda *_: (0.0, 0.0))
    monkeypatch.setattr(certified_graph, "MARGIN", 0.0)
    model, _ = distance()
    found, known = radii(model, inputs(500), ThreatModel(math.inf))
    assert (found > known).any()


def test_what_rounding_decides_gets_no_radius():
    """Huge terms that cancel: the margin is all rounding, and no radius may be given for it."""
    model, x = cancelling_model(0, torch.float64)
    found, known = radii(model, x, ThreatModel(2))
    assert (found <= known).all()


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_slopes_too_small_for_full_precision_are_rounded_up(norm):
    """A cost of 1e100 makes a weight of 1e-223 a slope of 1e-323, of which two digits are left."""
    model, cost = linear_model(torch.full((1,), 1e-223, dtype=torch.float64), -1e-19), 1e100
    found, known = radii(model, torch.zeros(1, 1).double(), ThreatModel(norm, lower=-1e5, upper=1e5, cost=cost))
    assert (found <= known).all()
    assert (found > 0).all()


def test_errors_below_single_precision_survive_the_runtime_s_simplifications():
    """Of weights near 1e-34; a runtime that drops additions of such numbers would give a greater radius."""
    model = linear_model(torch.tensor([1e-34, -3e-34]).double(), -1e-33)
    x, plain = inputs(20, shape=(2,)), onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for threat in (ThreatModel(2), ThreatModel(2, 0.0, 1.0)):
        graph = to_certified_onnx(model, threat)
        session = onnxruntime.InferenceSession(graph.SerializeToString(), plain, providers=["CPUExecutionProvider"])
        *_, as_written = session.run(None, {"x": x.numpy()})
        assert (run(graph, x)["radius"] == as_written).all()
        assert (as_written > 0).all()


@pytest.mark.parametrize("near", [1 + 5e-8, 1 - 2e-8])
def test_factors_near_1_survive_the_runtime_s_simplifications(near):
    """A runtime that takes the deviation, or the cost of the only feature, for 1 computes another margin or radius."""
    x = inputs(20, shape=(1,))
    for feature_map, cost in ((Standardise(near), 1.0), (Identity(), near)):
        model = balanced(feature_map, randomise(ConvexMLP((1,), (6,)), seeded(0)), 1e3 * x)
        found, known = radii(model, 1e3 * x, ThreatModel(2, cost=cost))
        assert (found <= known).all()
        np.testing.assert_allclose(found, known, rtol=2e-9, atol=0)


def test_inputs_that_have_no_certificate():
    """Outside the box, not finite, or too large: radius 0, whatever the margin."""
    model, x = feature_convex("identity", "mlp-shallow")
    x = x[model.predict(x)][:1].repeat(6, 1, 1, 1)
    for row, value in zip(x[1:], (1.1, -0.1, math.nan, math.inf, 1e101), strict=True):
        row[0, 0, 0] = value
    box = run(to_certified_onnx(model, ThreatModel(2, lower=0, upper=1)), x)["radius"]
    free = run(to_certified_onnx(model, ThreatModel(2)), x)["radius"]
    assert (box > 0).tolist() == [True] + [False] * 5
    assert free[0] > 0
    assert (free[3:] == 0).all()


def test_description():
    model, _ = feature_convex("identity", "mlp")
    threat = threats()[2]
    graph = to_certified_onnx(model, threat)
    said = {item.key: item.value for item in graph.metadata_props}
    assert said["method"] == "closed-form"
    assert said["digest"] == model.digest
    assert ThreatModel.from_dict(json.loads(said["threat"])).to_dict() == threat.to_dict()
    assert [output.name for output in graph.graph.output] == ["margin", "sensitive", "radius"]


@pytest.mark.parametrize("build", [lambda: OTHERS["relu"]()[0], lambda: OTHERS["distance-head"]()[0]])
def test_models_without_such_a_radius_are_refused(build):
    with pytest.raises(InputError, match=r"`model` must be"):
        to_certified_onnx(build(), ThreatModel(math.inf))


def test_single_precision_is_refused():
    with pytest.raises(InputError, match=r"in float64"):
        to_certified_onnx(feature_convex("identity", "mlp")[0].float(), ThreatModel(2))


def test_threat_model_of_another_shape_is_refused():
    model, _ = feature_convex("identity", "mlp")
    with pytest.raises(InputError, match=r"broadcastable"):
        to_certified_onnx(model, ThreatModel(2, cost=torch.ones(3, *SHAPE[1:])))


def test_weights_that_could_overflow_are_refused():
    model, _ = feature_convex("identity", "mlp")
    for weight in model.score.parameters():
        weight.mul_(1e90)
    with pytest.raises(InputError, match=r"overflow"):
        to_certified_onnx(model, ThreatModel(2))


def test_columns_are_not_counted_behind_a_low_pass():
    model, _ = feature_convex("low-pass", "mlp")
    with pytest.raises(InputError, match="follow one input each"):
        to_certified_onnx(model, ThreatModel(0))
