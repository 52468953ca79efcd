"""One graph that returns a verdict and a radius within which it provably holds: a deployment without PyTorch.

The graph's own rounding is accounted for. Bounds of `asymcert.certify.rounding` hold for sums taken in any order, thus
for the graph as well as for PyTorch. What is subtracted here is the error of the deployed classifier, as always, and
three times that of the certificate's own passes: once for the graph's passes, and twice so that the radius is below
PyTorch's too wherever both choose the same tangent plane. They choose different ones only where a ReLU's input or two
maxima differ by no more than rounding; both radii then hold. `MARGIN` covers the few roundings of the norm.
"""

from __future__ import annotations

import copy
import json
import math

import onnx
import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert._floats import TINY, dual_exponent
from asymcert.certify.distance_bounds import MarginBounds
from asymcert.certify.distance_nets import DistanceLipschitz
from asymcert.certify.registry import default_method
from asymcert.certify.rounding import Rounding
from asymcert.certify.tangent import Tangent
from asymcert.export.bounds import MARGIN, TIMES, norm_of, plus
from asymcert.export.count_graph import add_count
from asymcert.export.feature_maps import add_distances, add_map
from asymcert.export.graph import Graph, facts
from asymcert.export.networks import add_margin_of_logits
from asymcert.export.onnx_graph import EACH_MEMBER, of_window
from asymcert.export.scores import add_score
from asymcert.export.table_inputs import add_inputs
from asymcert.export.tangent_graph import Falls, TangentRadius
from asymcert.export.word_graph import add_edits
from asymcert.models.base import BinaryClassifier
from asymcert.models.distance_net import DistanceClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.union import UnionClassifier
from asymcert.threats.model import ThreatModel, Values

LARGEST = 1e100  # inputs beyond it get no radius, so that nothing can overflow


def to_certified_onnx(
    model: BinaryClassifier, threat: ThreatModel, raw: bool | None = None, lost: float = 0.0
) -> onnx.ModelProto:
    """The classifier and its certificate as one ONNX graph, in float64.

    Input ``x`` (batch, *input_shape), or the columns of a table (see `asymcert.export.table_inputs`); outputs
    ``margin`` (batch,), ``sensitive``, boolean (batch,), and ``radius`` (batch,), in the units of ``threat.size``.
    Inputs that are not finite, or lie outside the box of the threat model, get radius 0.

    Parameters
    ----------
    model
        Feature-convex, for the radius of `ClosedForm`, or of `Tangent` where that is its default (steep ramps, counted
        columns); of texts, for the edits of words that one window outlasts, see `add_edits`; or an l_inf-distance net
        without a head, for that of `DistanceLipschitz`.
    threat
        The adversary that the radius is about.
    raw
        As in `to_onnx`.
    lost
        Subtracted from every radius, such as what the rounding of scaled values may cost.

    Returns
    -------
    onnx.ModelProto
        Checked; metadata hold the threat model and the method besides what `to_onnx` writes.

    Raises
    ------
    InputError
        A model of another kind or type, or with a head, or a threat model that does not fit it.

    Sound when these are, the graph being run in IEEE double precision.
    """
    described, model = facts(model), of_window(model)
    threat.check(torch.empty(0, *model.input_shape))
    if threat.edits is not None and not threat.edits.kinds:
        remedy = "No added sentence changes a window: where one of a sentence is sensitive, the text stays so."
        raise refuse("threat", "of some kind of edits", "one of added sentences alone", remedy)
    if model.dtype != torch.float64:
        raise refuse("model", "in float64", str(model.dtype), "Call .double(): the graph then is the classifier.")
    model = model if model.device.type == "cpu" else copy.deepcopy(model).cpu()  # constants are worked out there
    graph = Graph(model.dtype, model.input_shape)
    x, columns = add_inputs(graph, model, raw)
    if isinstance(model, FeatureConvexClassifier):
        method = default_method(model, [threat])
        radius = (_tangent if method == Tangent.method else _closed_form)(graph, x, model, threat)
    elif isinstance(model, DistanceClassifier):
        method = DistanceLipschitz.method
        radius = _lipschitz(graph, x, model, threat)
    else:
        remedy = EACH_MEMBER if isinstance(model, UnionClassifier) else "Export the margin alone with to_onnx."
        raise refuse("model", "feature-convex or an l_inf-distance net", type(model).__name__, remedy)
    _radius(graph, x, threat, graph.op("Sub", radius, graph.number(lost)) if lost else radius)
    described |= columns | {"threat": json.dumps(threat.to_dict()), "method": method}
    return graph.model(["margin", "sensitive", "radius"], described)


def _closed_form(graph: Graph, x: str, model: FeatureConvexClassifier, threat: ThreatModel) -> str:
    """Margin less errors over ``Lip_p(phi) * ||gradient / cost||_q``, errors included."""
    score, gradient = add_score(graph, model.score, add_map(graph, model.feature_map, x, model.input_shape))
    graph.verdict(score, model.threshold)
    rounding = Rounding(model, model.dtype)
    rate, limit = _growth(rounding, model, threat)
    per_unit, constant = _errors(rounding, model, threat)
    size = graph.op("Abs", gradient())
    size = plus(graph, size, TIMES * rounding.gradient_error.flatten())
    slope = _slope(graph, model, threat, size)
    slope = plus(graph, slope, rate * (1.0 + MARGIN))
    radius = graph.op("Div", _margin_less(graph, x, per_unit, constant), slope)
    return graph.op("Min", radius, graph.number(limit))


def _tangent(graph: Graph, x: str, model: FeatureConvexClassifier, threat: ThreatModel) -> str:
    """Radius of the tangent plane."""
    if not model.feature_map.coordinatewise:
        remedy = "Measure changes in another norm, or export the margin alone with to_onnx."
        raise refuse("model", "one whose features follow one input each, to count columns", "one that mixes", remedy)
    features = add_map(graph, model.feature_map, x, model.input_shape)
    score, gradient = add_score(graph, model.score, features)
    graph.verdict(score, model.threshold)
    rounding = Rounding(model, model.dtype)
    rate, limit = _growth(rounding, model, threat)
    per_unit, constant = _errors(rounding, model, threat)
    falls = Falls(graph, model, rounding, x, features, gradient())
    amount = graph.op("Sub", _margin_less(graph, x, per_unit, constant), falls.misplaced)
    if threat.edits is not None:
        radius = add_edits(falls, threat.edits, amount)
    elif threat.norm == 0:
        radius = add_count(falls, threat, amount)
    else:
        radius = TangentRadius(falls, threat, amount, rate * (1.0 + MARGIN)).add()
    return graph.op("Min", radius, graph.number(limit))


def _growth(rounding: Rounding, model: FeatureConvexClassifier, threat: ThreatModel) -> tuple[float, float]:
    """Growth of the deployed error per unit of a change, and the largest radius, for inputs up to `LARGEST`."""
    largest = torch.full((1, *model.input_shape), LARGEST, dtype=torch.float64)
    deployed = rounding.deployed_error(largest, threat)
    errors = float(rounding.cut_error(largest) + deployed.fixed)
    if not (math.isfinite(errors) and float(deployed.limit) > 0):
        raise refuse("model", "of weights that cannot overflow", "products of them near the largest number")
    return deployed.rate, float(deployed.limit)


def _errors(rounding: Rounding, model: FeatureConvexClassifier, threat: ThreatModel) -> tuple[Tensor, float]:
    """Errors to subtract from a margin, ``per_unit . |x| + constant``: float64 (d,) and a number, rounded up.

    The bounds are affine in |x|, so their values at 0 and their derivatives are all of them.
    """
    size = torch.zeros(1, *model.input_shape, dtype=torch.float64)
    at_zero = TIMES * rounding.cut_error(size) + rounding.deployed_error(size, threat).fixed
    ones = torch.ones_like(size, requires_grad=True)
    with torch.enable_grad():
        total = TIMES * rounding.cut_error(ones) + rounding.deployed_error(ones, threat).fixed
        (per_unit,) = torch.autograd.grad(total.sum(), ones)
    return per_unit.flatten() * (1.0 + MARGIN), float(at_zero) * (1.0 + MARGIN)


def _slope(graph: Graph, model: FeatureConvexClassifier, threat: ThreatModel, size: str) -> str:
    """``Lip_p(phi) * ||size / cost||_q``, rounded up: (n, d) -> (n,)."""
    shape = model.feature_map.output_shape(model.input_shape)
    cost = model.feature_map.feature_cost(threat.cost_for(model.input_shape), model.input_shape)
    constant = model.feature_map.lipschitz(threat.norm) * (1.0 + MARGIN)
    scaled = graph.scaled("Mul", size, constant / cost.expand(shape).flatten())
    scaled = graph.op("Max", scaled, graph.number(TINY))  # quotients keep their precision
    return norm_of(graph, scaled, dual_exponent(model.feature_map.feature_norm(threat.norm)))


def _lipschitz(graph: Graph, x: str, model: DistanceClassifier, threat: ThreatModel) -> str:
    """Margin less errors over the Lipschitz constant 2 of a difference of two distances."""
    if model.net.head is not None:
        remedy = "Export the margin alone with to_onnx, or train without a head."
        raise refuse("model", "without a tanh head", f"one of {model.net.head.first.out_features} units", remedy)
    bounds = MarginBounds.of(model, model.dtype, sound=True)
    score = add_margin_of_logits(graph, model.net, add_distances(graph, model.net, x), model.sensitive_class)
    graph.verdict(score, model.threshold)
    slope = float(bounds.slope(torch.tensor([model.sensitive_class]))) / float(threat.cost_for(model.input_shape).min())
    rate, constant = _distance_errors(model, bounds)
    greatest = graph.op("ReduceMax", graph.op("Abs", x), axes=[1], keepdims=0)
    error = plus(graph, graph.op("Mul", greatest, graph.number(rate)), constant)
    margin = graph.op("Sub", "margin", error)
    return graph.scaled("Div", margin, slope * (1.0 + MARGIN))


def _distance_errors(model: DistanceClassifier, bounds: MarginBounds) -> tuple[float, float]:
    """Error of a margin as ``rate * max |x| + constant``, covering what `MarginBounds` widens by, and the graph's own.

    A layer's outputs are at most its inputs, its weights and its biases in size. `MarginBounds` widens each side of an
    interval by twice its unit of such sizes; four times that for each layer, the input and the margin, with the same
    again for the graph's roundings, is more than all of it.
    """
    total = abs(model.threshold)
    for layer in model.net.distance_layers():
        total += float(layer.weight.abs().max())
        total += 0.0 if layer.bias is None else 3.0 * float(layer.bias.abs().max())
    if not total < LARGEST:
        raise refuse("model", "of weights that cannot overflow", "weights near the largest number")
    places = 2.0 * len(model.net.layers) + 4.0
    factor = 16.0 * bounds.unit * places * bounds.stretch
    return factor, factor * total + 16.0 * places * bounds.least


def _margin_less(graph: Graph, x: str, per_unit: Tensor, constant: float) -> str:
    """Margins less errors: (n,)."""
    error = graph.op("MatMul", graph.op("Abs", x), graph.number(per_unit))
    return graph.op("Sub", "margin", plus(graph, error, constant))


def _radius(graph: Graph, x: str, threat: ThreatModel, radius: str) -> None:
    """Give the graph its output ``radius``: 0 where that is negative or NaN, or the input is none to certify."""
    zero = graph.number(0.0)
    low = _bound(threat.lower, -LARGEST, graph.input_shape)
    high = _bound(threat.upper, LARGEST, graph.input_shape)
    above, below = graph.op("GreaterOrEqual", x, graph.number(low)), graph.op("LessOrEqual", x, graph.number(high))
    inside = graph.op("Cast", graph.op("And", above, below), to=onnx.TensorProto.INT32)
    fits = graph.op("Cast", graph.op("ReduceMin", inside, axes=[1], keepdims=0), to=onnx.TensorProto.BOOL)
    positive = graph.op("And", "sensitive", graph.op("Greater", radius, zero))
    graph.named("Where", "radius", graph.op("And", positive, fits), radius, zero)


def _bound(end: Values, otherwise: float, shape: tuple[int, ...]) -> Tensor:
    """One end of the box for every value of a flat sample: float64 (d,), none of it beyond `LARGEST`."""
    values = torch.as_tensor(otherwise if end is None else end, dtype=torch.float64)
    return values.expand(shape).flatten().clamp(-LARGEST, LARGEST)
