"""Graphs give the margins and verdicts of the classifiers that they were made from."""

import numpy as np
import onnx
import pytest
import torch

from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.export import feature_maps
from asymcert.export.onnx_graph import save_onnx, to_onnx
from asymcert.features.trained_layers import CayleyLinear
from asymcert.models.cayley import CayleyConv
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.lipschitz import LipschitzClassifier
from asymcert.models.networks import base_network
from asymcert.models.smoothed import SmoothedClassifier
from contracts.models import Mixing
from export.exported import FEATURE_CONVEX, OTHERS, SHAPE, feature_convex, inputs, run

ERRORS = {torch.float64: 1e-13, torch.float32: 1e-4}


def check(model, x, dtype):
    """Margins equal up to rounding, and verdicts equal where rounding cannot decide."""
    model = model.to(dtype)
    x = x.to(dtype)
    found = run(to_onnx(model), x)
    margin = model.margin(x).numpy()
    error = ERRORS[dtype] * (1 + np.abs(margin).max())
    assert found["margin"].dtype == margin.dtype
    np.testing.assert_allclose(found["margin"], margin, rtol=0, atol=error)
    clear = np.abs(margin) > error
    assert clear.mean() > 0.9
    assert (found["sensitive"] == (margin > 0))[clear].all()
    assert 0 < found["sensitive"].sum() < len(x)


@pytest.mark.parametrize("dtype", ERRORS, ids=str)
@pytest.mark.parametrize(("map_name", "score_name"), FEATURE_CONVEX)
def test_feature_convex(map_name, score_name, dtype):
    check(*feature_convex(map_name, score_name), dtype)


@pytest.mark.parametrize("dtype", ERRORS, ids=str)
@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds(name, dtype):
    check(*OTHERS[name](), dtype)


def test_units_are_compared_in_pieces(monkeypatch):
    """A wide distance layer does not keep all differences of a sample at once; nothing else changes."""
    model, x = OTHERS["distance"]()
    whole = to_onnx(model)
    monkeypatch.setattr(feature_maps, "CHUNK_VALUES", 100)
    pieces = to_onnx(model)
    assert len(pieces.graph.node) > len(whole.graph.node)
    assert (run(pieces, x)["margin"] == run(whole, x)["margin"]).all()


def test_any_batch_size():
    model, x = feature_convex("centre-absolute", "conv")
    graph = to_onnx(model)
    everything = run(graph, x)["margin"]
    for size in (1, 7):
        assert np.abs(run(graph, x[:size])["margin"] - everything[:size]).max() < 1e-13


def test_description():
    """The file says what it came from, and what goes in and out."""
    model, _ = feature_convex("identity", "mlp")
    graph = to_onnx(model)
    said = {item.key: item.value for item in graph.metadata_props}
    assert said["digest"] == model.digest
    assert float.fromhex(said["threshold"]) == model.threshold
    assert (said["sensitive"], said["other"]) == (model.sensitive, model.other)
    shape = [side.dim_param or side.dim_value for side in graph.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["batch", *SHAPE]
    assert [output.name for output in graph.graph.output] == ["margin", "sensitive"]
    assert [output.name for output in to_onnx(model, verdict=False).graph.output] == ["margin"]


def test_single_precision_has_the_usual_convolution():
    model, _ = feature_convex("identity", "conv")
    assert "Conv" in {node.op_type for node in to_onnx(model.float()).graph.node}


def test_saved_file_is_the_graph(tmp_path):
    graph = to_onnx(feature_convex("identity", "mlp")[0])
    path = save_onnx(graph, tmp_path / "model.onnx")
    assert onnx.load(path) == graph
    assert list(tmp_path.iterdir()) == [path]


def unknown_map():
    return FeatureConvexClassifier(Mixing(), ConvexMLP((4,)), input_shape=(4,))


def smoothed():
    return SmoothedClassifier(base_network("mlp", (4,), width=4), "gaussian", 0.5)


def spectral():
    network = torch.nn.Sequential(CayleyConv(2, 2, (4, 4)), torch.nn.Flatten(), CayleyLinear(32, 2))
    return LipschitzClassifier.fold(network, input_shape=(2, 4, 4))


def half():
    return feature_convex("identity", "mlp")[0].half()


def finite_p():
    model, _ = OTHERS["distance"]()
    next(iter(model.net.distance_layers())).p = 8.0
    return model


@pytest.mark.parametrize("build", [unknown_map, smoothed, spectral, half, finite_p])
def test_what_has_no_graph_is_refused(build):
    with pytest.raises(InputError, match=r"must be"):
        to_onnx(build())


def test_inputs_are_not_scaled():
    """The graph takes what the classifier takes: twice the input is another input."""
    model, x = feature_convex("centre", "mlp")
    found = run(to_onnx(model), 2 * inputs())["margin"]
    assert np.abs(found - model.margin(2 * x).numpy()).max() < 1e-12
