"""Properties parse, state boxes that contain the adversary's and hardly more, and name the right network."""

import math
import re
from fractions import Fraction

import onnx
import pytest
import torch

from asymcert.certify import certify
from asymcert.errors import InputError
from asymcert.export.vnnlib import property_text, write_properties
from asymcert.threats.model import ThreatModel
from export.exported import SHAPE, feature_convex, inputs, run

POSITION = torch.arange(math.prod(SHAPE)).reshape(SHAPE)
THREATS = {
    "free": ThreatModel(math.inf),
    "box": ThreatModel(math.inf, lower=0, upper=1),
    "per-feature": ThreatModel(math.inf, lower=-POSITION / 700, upper=1 + POSITION / 70),
    "cost": ThreatModel(math.inf, lower=0, cost=0.3 + POSITION % 3),
    "mutable": ThreatModel(math.inf, upper=1, mutable=POSITION % 2 > 0),
    "direction": ThreatModel(math.inf, lower=0, upper=1, direction=POSITION % 3 - 1),
}


def expressions(text):
    """The property as nested lists: a reader of symbolic expressions that knows nothing of how they were written."""
    stack = [[]]
    for token in re.findall(r"[()]|[^\s()]+", re.sub(r";.*", "", text)):
        if token == "(":
            stack.append([])
        elif token == ")":
            closed = stack.pop()
            stack[-1].append(closed)
        else:
            stack[-1].append(token)
    assert len(stack) == 1, "brackets do not match"
    return stack[0]


def parse(text):
    """Exact bounds of every declared input, and what is asserted of the output."""
    bounds, outputs, declared = {}, [], []
    for command, *rest in expressions(text):
        if command == "declare-const":
            name, kind = rest
            assert kind == "Real"
            assert name not in declared
            declared.append(name)
        else:
            assert command == "assert"
            ((relation, name, number),) = rest
            assert name in declared
            assert re.fullmatch(r"-?\d+\.\d+", number)
            if name.startswith("X_"):
                assert (name, relation) not in bounds
                bounds[name, relation] = Fraction(number)
            else:
                outputs.append((relation, name, Fraction(number)))
    count = len(declared) - 1
    assert declared == [*(f"X_{index}" for index in range(count)), "Y_0"]
    return [(bounds.pop((f"X_{i}", ">=")), bounds.pop((f"X_{i}", "<="))) for i in range(count)], bounds, outputs


def admissible(sample, threat, radius):
    """The adversary's interval of every input, in exact arithmetic."""
    part = {name: getattr(threat, name) for name in ("lower", "upper", "cost", "mutable", "direction")}
    flat = {k: None if v is None else v.expand(SHAPE).flatten().tolist() for k, v in part.items()}
    for index, value in enumerate(map(Fraction, sample.flatten().tolist())):
        reach = Fraction(radius) / (Fraction(flat["cost"][index]) if flat["cost"] else 1)
        reach = reach if flat["mutable"] is None or flat["mutable"][index] else Fraction(0)
        direction = flat["direction"][index] if flat["direction"] else 0
        low = value if direction > 0 else value - reach
        high = value if direction < 0 else value + reach
        low = low if flat["lower"] is None else max(low, Fraction(flat["lower"][index]))
        yield low, high if flat["upper"] is None else min(high, Fraction(flat["upper"][index]))


@pytest.mark.parametrize("radius", [0.0, 1e-9, 0.1, 3.0])
@pytest.mark.parametrize("name", THREATS)
def test_box_contains_the_adversary_and_hardly_more(name, radius):
    sample = inputs(1)[0]
    bounds, left, outputs = parse(property_text(sample, THREATS[name], radius))
    assert not left
    assert outputs == [("<=", "Y_0", 0)]
    expected = list(admissible(sample, THREATS[name], radius))
    assert len(bounds) == len(expected)
    for (low, high), (least, most) in zip(bounds, expected, strict=True):
        assert low <= least <= most <= high
        assert max(least - low, high - most) <= Fraction(1, 10**18) * max(1, abs(low), abs(high))


def test_bounds_between_decimals_are_moved_outward():
    """0.1 in binary lies above one tenth: a decimal of any length to be read as real numbers must enclose it."""
    sample = torch.full((1,), 0.1, dtype=torch.float64)
    ((low, high),), _, _ = parse(property_text(sample, ThreatModel(math.inf), 0.0))
    assert low < Fraction(0.1) < high


def test_numbers_have_no_exponents():
    sample = torch.tensor([1e-300, -1e-300, 1e30, 0.0], dtype=torch.float64)
    bounds, _, _ = parse(property_text(sample, ThreatModel(math.inf), 1e-310))
    assert all(low < Fraction(value) < high for value, (low, high) in zip(sample.tolist(), bounds, strict=True))


def test_remarks_cannot_become_commands():
    text = property_text(torch.zeros(1), ThreatModel(math.inf), 1.0, "one\n(assert (>= Y_0 0.0))")
    assert parse(text)[2] == [("<=", "Y_0", 0)]


def test_folder(tmp_path):
    """A network of one output, a property for every sensitive sample, and a list that names them all."""
    model, x = feature_convex("centre-absolute", "conv")
    paths = write_properties(model, x, THREATS["box"], 0.01, tmp_path / "properties")
    sensitive = model.predict(x).nonzero()[:, 0].tolist()
    assert [int(path.stem.removeprefix("sample_")) for path in paths] == sensitive
    lines = (tmp_path / "properties" / "instances.csv").read_text().splitlines()
    assert lines == [f"model.onnx,{path.name},300" for path in paths]
    graph = onnx.load(tmp_path / "properties" / "model.onnx")
    assert list(run(graph, x)) == ["margin"]
    assert model.digest in paths[0].read_text()
    bounds, _, _ = parse(paths[-1].read_text())
    assert [low for low, _ in bounds] == [
        low for low, _ in parse(property_text(x[sensitive[-1]], THREATS["box"], 0.01))[0]
    ]


def test_certified_properties_hold_at_corners(tmp_path):
    """What the closed form certifies, the network in the folder keeps at the corners of the stated boxes."""
    model, x = feature_convex("identity", "mlp")
    radius = certify(model, x, THREATS["box"], method="closed-form").radius
    x = x[radius > radius.median()]
    paths = write_properties(model, x, THREATS["box"], float(radius.median()), tmp_path)
    graph = onnx.load(tmp_path / "model.onnx")
    generator = torch.Generator().manual_seed(0)
    for path in paths[:5]:
        ends = torch.tensor([list(map(float, pair)) for pair in parse(path.read_text())[0]], dtype=torch.float64)
        high = torch.rand(200, len(ends), generator=generator) > 0.5
        corners = torch.where(high, ends[:, 1], ends[:, 0]).reshape(-1, *SHAPE)
        assert (run(graph, corners)["margin"] > 0).all()


@pytest.mark.parametrize(
    ("threat", "radius", "match"),
    [
        (ThreatModel(2), 0.1, "l_inf threat model"),
        (ThreatModel(math.inf), math.inf, "`radius` must be finite"),
        (ThreatModel(math.inf), -0.1, "`radius`"),
        (ThreatModel(math.inf, upper=0.25), 0.1, "inside the box"),
    ],
)
def test_what_is_no_box_is_refused(threat, radius, match):
    with pytest.raises(InputError, match=match):
        property_text(torch.full((2,), 0.5), threat, radius)
