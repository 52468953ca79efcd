"""Classifiers as ONNX graphs: inputs to margins and verdicts."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import onnx

from asymcert._checks import refuse
from asymcert._files import replacing
from asymcert.export.feature_maps import add_distances, add_map
from asymcert.export.graph import Graph, facts
from asymcert.export.networks import add_lipschitz, add_margin_of_logits, add_relu
from asymcert.export.scores import add_score
from asymcert.export.table_inputs import add_inputs
from asymcert.models.base import BinaryClassifier
from asymcert.models.distance_net import DistanceClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.lipschitz import LipschitzClassifier
from asymcert.models.relu import ReluClassifier
from asymcert.models.text import TextClassifier
from asymcert.models.union import UnionClassifier

ENCODER, SCRIPT = "features.json", "features.js"
EACH_MEMBER = "Export each member by itself: it has no graph of its own."  # of a union


def to_onnx(model: BinaryClassifier, verdict: bool = True, raw: bool | None = None) -> onnx.ModelProto:
    """The classifier as an ONNX graph, in the type that it is deployed in.

    Input ``x`` (batch, *input_shape), or the columns of a table (see `asymcert.export.table_inputs`); outputs
    ``margin`` (batch,) and ``sensitive``, boolean (batch,). Sums are taken in another order than by PyTorch, so margins
    differ by rounding: no more than sound certificates allow for. Single-precision graphs use the convolution operator,
    double-precision ones a matrix product, since ONNX Runtime has no double-precision convolution.

    Parameters
    ----------
    model
        Feature-convex, an l_inf-distance net, a plain ReLU network, or an orthogonal network without convolutions. Of a
        classifier of texts the graph takes windows (batch, features), as `TextEncoder.rows_of_windows` makes them.
    verdict
        Whether ``sensitive`` is an output. Verifiers take graphs of one output.
    raw
        Whether inputs are a table's own columns, each by its name, scaled inside the graph; by default if the model has
        a scaling.

    Returns
    -------
    onnx.ModelProto
        Checked, and with the model's digest, class names and threshold as metadata.

    Raises
    ------
    InputError
        A model, or a part of it, that has no such graph.
    """
    described, model = facts(model), of_window(model)
    graph = Graph(model.dtype, model.input_shape)
    x, columns = add_inputs(graph, model, raw)
    graph.verdict(_add_scores(graph, model, x), model.threshold)
    return graph.model(["margin", "sensitive"] if verdict else ["margin"], described | columns)


def of_window(model: BinaryClassifier) -> BinaryClassifier:
    """What judges one window's features, 0 or 1 each, of a classifier of texts; other classifiers as they are."""
    return model.inner if isinstance(model, TextClassifier) else model


def _add_scores(graph: Graph, model: BinaryClassifier, x: str) -> str:
    """Scores (n,) of flat inputs, before the threshold is subtracted."""
    if isinstance(model, FeatureConvexClassifier):
        return add_score(graph, model.score, add_map(graph, model.feature_map, x, model.input_shape))[0]
    if isinstance(model, DistanceClassifier):
        return add_margin_of_logits(graph, model.net, add_distances(graph, model.net, x), model.sensitive_class)
    if isinstance(model, ReluClassifier):
        return add_relu(graph, model, x)
    if isinstance(model, LipschitzClassifier):
        return add_lipschitz(graph, model, x)
    remedy = "Smoothed and split classifiers vote over many copies of an input; their base alone is not what they say."
    if isinstance(model, UnionClassifier):
        remedy = EACH_MEMBER
    raise refuse("model", "of a kind whose margin is one graph", type(model).__name__, remedy)


def save_encoder(model: BinaryClassifier, folder: str | Path) -> list[Path]:
    """Write what turns texts into a graph's inputs: ``features.json``, which holds the encoder, and ``features.js``.

    In JavaScript ``encoder(features)`` is the function from a text to its windows; in Python it is
    ``TextEncoder.from_dict(features).rows_of_windows``. Nothing is written for a classifier that reads no texts alone.
    """
    if model.scaling is None or model.scaling.windows is None:
        return []
    encoder = json.dumps(model.scaling.windows.encoder.to_dict(), sort_keys=True)
    script = resources.files("asymcert").joinpath("texts", SCRIPT).read_text(encoding="utf-8")
    paths = [Path(folder) / ENCODER, Path(folder) / SCRIPT]
    for path, text in zip(paths, (encoder, script), strict=True):
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8")
    return paths


def save_onnx(graph: onnx.ModelProto, path: str | Path) -> Path:
    """Write a graph, replacing the file in one step."""
    path = Path(path)
    with replacing(path) as partial:
        partial.write_bytes(graph.SerializeToString())
    return path
