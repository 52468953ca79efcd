"""Graphs that take a table's own columns: the same margins, verdicts and radii as of the scaled rows, to the bit."""

import json
import math

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
import torch

from asymcert.certify import certify
from asymcert.convex import ConvexMLP
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import InputError
from asymcert.export.certified_graph import to_certified_onnx
from asymcert.export.onnx_graph import to_onnx
from asymcert.features import Identity, Ramps
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import randomise, seeded
from export.exported import between

N = 200


def table(missing=True):
    """Numbers of all sizes, one nearly of width 1, a constant, a flag, and two categories."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "size": rng.lognormal(8.0, 3.0, N),
            "kind": rng.choice(["exe", "dll", "ünı", "rare"], N, p=[0.4, 0.3, 0.2, 0.1]),
            "share of zeros": rng.random(N) * (1 + 3e-9),
            "constant": np.full(N, 3.25),
            "flag": rng.random(N) < 0.3,
            "concat_5": rng.normal(-1e-40, 1e-41, N),
            "zone": rng.choice(["a", "b"], N),
        }
    )
    if not missing:
        return frame
    hole = pl.Series(rng.random(N) < 0.1)
    return frame.with_columns(pl.when(~hole).then(pl.col(name)).alias(name) for name in ("size", "zone"))


def classifier(frame, ramps=True, **options):
    scaling = TableScaling.fit(frame, **options)
    x = scaling.transform(frame)
    feature_map = Ramps.fit(x, 6) if ramps else Identity()
    score = randomise(ConvexMLP(feature_map.output_shape((x.shape[1],)), (8, 5)), seeded(1))
    model = FeatureConvexClassifier(feature_map, score, input_shape=(x.shape[1],), scaling=scaling)
    return between(model, x.double()), x


def columns(frame):
    """What a service sends: a missing number as NaN, a missing category as an empty string."""
    numbers = [name for name, kind in frame.schema.items() if kind != pl.String]
    texts = [name for name in frame.columns if name not in numbers]
    sent = {name: frame[name].cast(pl.Float64).fill_null(math.nan).to_numpy().copy() for name in numbers}
    return sent | {name: frame[name].fill_null("").to_numpy().astype(object) for name in texts}


def run(graph, sent):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, sent), strict=True))


def outside(frame):
    """Rows beyond the training range, and of a category that it did not have."""
    kind = pl.when(pl.col("flag")).then(pl.lit("new")).otherwise("kind")
    return frame.with_columns(pl.col("size") * 100 - 50, kind=kind)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("scaling", ["quantile", "min-max"])
def test_the_same_as_scaled_rows_to_the_bit(scaling, dtype):
    model, _ = classifier(table(), impute="median", scaling=scaling, categories=3)
    model = model.to(dtype)
    for frame in (table(), outside(table())):
        x = model.scaling.transform(frame).to(dtype)
        raw, scaled = run(to_onnx(model), columns(frame)), run(to_onnx(model, raw=False), {"x": x.numpy()})
        assert (raw["margin"] == scaled["margin"]).all()
        assert (raw["sensitive"] == scaled["sensitive"]).all()
        assert (raw["sensitive"] == model.predict(x).numpy()).all()


@pytest.mark.parametrize("threat", [ThreatModel(1, lower=0, upper=1), ThreatModel(math.inf), ThreatModel(0)], ids=str)
def test_radii_of_raw_rows(threat):
    model, x = classifier(table(), impute="zero")
    found = run(to_certified_onnx(model, threat), columns(table()))
    known = certify(model, x, threat, method="tangent")
    assert (found["sensitive"] == known.sensitive.numpy()).all()
    np.testing.assert_allclose(found["margin"], known.margin.numpy(), rtol=0, atol=1e-12)
    assert (found["radius"] <= known.radius.numpy()).all()
    np.testing.assert_allclose(found["radius"], known.radius.numpy(), rtol=1e-6)


@pytest.mark.parametrize("ramps", [True, False])
def test_a_missing_number_that_nothing_fills_has_no_verdict(ramps):
    model, _ = classifier(table(missing=False), ramps)
    sent = columns(table(missing=False))
    sent["size"][:3] = math.nan
    for graph in (to_onnx(model), to_certified_onnx(model, ThreatModel(2))):
        found = run(graph, sent)
        assert np.isnan(found["margin"]).nonzero()[0].tolist() == [0, 1, 2]
        assert not found["sensitive"][:3].any()
        assert "radius" not in found or (found["radius"][:3] == 0).all()


def test_columns_and_their_order_are_described():
    model, _ = classifier(table(), impute="mean")
    graph = to_onnx(model)
    said = json.loads({item.key: item.value for item in graph.metadata_props}["columns"])
    assert [column["name"] for column in said] == table().columns == [value.name for value in graph.graph.input]
    kinds = {"double": onnx.TensorProto.DOUBLE, "string": onnx.TensorProto.STRING}
    types = [value.type.tensor_type.elem_type for value in graph.graph.input]
    assert [kinds[column["type"]] for column in said] == types


def test_a_single_column_of_a_width_near_1():
    frame = pl.DataFrame({"only": [0.0, 0.3, 1.0 + 4e-8, 0.7]})
    model, x = classifier(frame, scaling="min-max")
    found, known = run(to_onnx(model), columns(frame)), run(to_onnx(model, raw=False), {"x": x.double().numpy()})
    assert (found["margin"] == known["margin"]).all()


def test_what_cannot_take_raw_rows_says_so():
    texts = pl.DataFrame({"text": [f"word{i} and {i}" for i in range(20)]})
    model, x = classifier(texts, words=8)
    for build in (to_onnx, lambda given: to_certified_onnx(given, ThreatModel(2))):
        with pytest.raises(InputError, match=r"column 'text' of words\. Export with raw=False \(--scaled\)"):
            build(model)
    assert run(to_onnx(model, raw=False), {"x": x.double().numpy()})["margin"].shape == (20,)
    model, _ = classifier(pl.DataFrame({"margin": np.arange(9.0)}))
    with pytest.raises(InputError, match=r"`column name` must be none of margin.*--scaled"):
        to_onnx(model)
    plain = FeatureConvexClassifier(Identity(), ConvexMLP((2,), (3,)), input_shape=(2,))
    with pytest.raises(InputError, match="`raw` must be left out"):
        to_onnx(plain, raw=True)
