"""Limits within a row: shares of a value, lists of values, columns between others; in a table's own units."""

import json
import math
from dataclasses import replace

import polars as pl
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from asymcert.attacks import ProjectedGradient, RandomSearch, RoundingAttack
from asymcert.attacks.base import admissible
from asymcert.certify import certify
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import InputError
from asymcert.features import CentreAbsolute
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.runs.rows import threat_key
from asymcert.threats.file import parse_threat, read_threat
from asymcert.threats.limits import Limits
from asymcert.threats.model import ThreatModel
from contracts.counted import LIMITS
from contracts.models import random_mlp, seeded
from contracts.tables import FRAME, SCALING

D = 6
NUMBERS = TableScaling.fit(
    pl.DataFrame({"low": [10.0, 50.0], "x": [-5.0, 80.0], "high": [0.0, 200.0], "kind": ["a", "b"]}), "min-max"
)


@pytest.fixture(scope="module")
def model():
    return table_model(NUMBERS)


def table_model(scaling: TableScaling) -> FeatureConvexClassifier:
    plain, _ = random_mlp(0, len(scaling.feature_names))
    return FeatureConvexClassifier(plain.feature_map, plain.score, input_shape=plain.input_shape, scaling=scaling)


def encoded(**values) -> torch.Tensor:
    row = {"low": 20.0, "x": 30.0, "high": 100.0, "kind": "a"} | values
    return NUMBERS.transform(pl.DataFrame({name: [value] for name, value in row.items()})).double()


def reaches(threat: ThreatModel, x: torch.Tensor, point: torch.Tensor) -> bool:
    low, high = threat.interval(x)
    return bool(((point - x >= low) & (point - x <= high)).all())


def test_a_share_by_hand():
    threat = parse_threat({"norm": 1, "max_change": {"size": "20 %"}}, table_model(SCALING))
    x = SCALING.transform(FRAME).double()
    low, high = threat.interval(x)
    room = torch.tensor([20.0, 22.0, 26.0, 100.0]).double() / 400
    for found, wanted in ((-low[:, 0], torch.minimum(room, x[:, 0])), (high[:, 0], torch.minimum(room, 1 - x[:, 0]))):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
        assert bool((found >= torch.minimum(wanted, found)).all())
    plain = parse_threat({"norm": 1}, table_model(SCALING)).interval(x)
    assert torch.equal(low[:, 1:], plain[0][:, 1:])


@given(st.floats(-1000, 1000), st.floats(0.0, 1.0), st.sampled_from(["5 %", "20%", "100 %", "105 %"]), st.booleans())
@example(1000.0, 1.0, "105 %", False)  # clipped to 80, which falls by 84
def test_whatever_a_share_allows_is_within_the_interval(value, part, share, up):
    """Also of rows outside the range of training, which are clipped."""
    threat = parse_threat({"norm": 0, "max_change": {"x": share}}, table_model(NUMBERS))
    change = part * float(share.strip(" %")) / 100 * abs(value)
    changed = value + change if up else value - change
    assert reaches(threat, encoded(x=value), encoded(x=changed))


@given(st.floats(-100, 300), st.floats(-100, 300), st.floats(-100, 300), st.floats(-100, 300), st.floats(0, 1))
@example(30.0, -1000.0, 100.0, 100.0, 0.0)  # the lower one is clipped to 10
def test_whatever_lies_between_two_columns_is_within_the_interval(x, low, high, other, part):
    """The other columns may change too, unless they cannot."""
    between = {"norm": 0, "between": {"x": ["low", "high"]}}
    model = table_model(NUMBERS)
    ends = sorted((low, high))
    changed = ends[0] + part * (ends[1] - ends[0])
    fixed = parse_threat(between | {"immutable": ["low", "high"]}, model)
    assert reaches(fixed, encoded(x=x, low=low, high=high), encoded(x=changed, low=low, high=high))
    ends = sorted((low, other))
    changed = ends[0] + part * (ends[1] - ends[0])
    assert reaches(
        parse_threat(between, model), encoded(x=x, low=low, high=high), encoded(x=changed, low=low, high=other)
    )


def test_between_by_hand(model):
    """The row has 30 between 20 and 100, which stay: 20 to 80, where training ends."""
    threat = parse_threat({"norm": 0, "between": {"x": ["low", "high"]}, "immutable": ["low", "high"]}, model)
    x = encoded()
    low, high = (float(end[0, 1]) for end in threat.interval(x))
    assert low == pytest.approx((20 - 30) / 85, abs=1e-5)
    assert high == pytest.approx((80 - 30) / 85, abs=1e-5)
    size = torch.full((1,), 4.0).double()
    for value, allowed in ((25.0, True), (15.0, False), (80.0, True)):
        assert bool(admissible(x, encoded(x=value), threat, size)) == allowed


def test_lists_of_numbers_and_of_categories(model):
    threat = parse_threat({"norm": 0, "values": {"x": [0, 40], "kind": ["a", "never seen"]}}, model)
    x, size = encoded(kind="b"), torch.full((1,), 4.0).double()
    low, high = threat.interval(x)
    assert x[0, 1] + low[0, 1] == encoded(x=0.0)[0, 1]
    assert x[0, 1] + high[0, 1] == encoded(x=40.0)[0, 1]
    for value, allowed in ((0.0, True), (40.0, True), (20.0, False), (30.0, True)):
        assert bool(admissible(x, encoded(x=value, kind="b"), threat, size)) == allowed
    for value, allowed in (("a", True), ("b", True), ("new", True)):
        assert bool(admissible(x, encoded(kind=value), threat, size)) == allowed
    assert not bool(admissible(encoded(), encoded(kind="b"), threat, size))


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_attacks_keep_to_limits_and_beat_no_certificate(norm):
    """One input falls or grows by half, one has two values, one stays between two others."""
    limits = replace(LIMITS, between=torch.tensor([[2, 3, 4]]))
    threat = ThreatModel(norm, lower=0, upper=1, limits=limits)
    classifier, x = random_mlp(2, D, feature_map=CentreAbsolute(torch.full((D,), 0.5)))
    radii = []
    for method in ("closed-form", "tangent", "refined"):
        limited, free = (certify(classifier, x, each, method).radius for each in (threat, replace(threat, limits=None)))
        assert bool((limited >= free * (1 - 1e-9)).all())
        radii.append(limited)
    size = torch.full((len(x),), 0.7).double()
    for attack in (ProjectedGradient(10, 2), RandomSearch(30), RoundingAttack(5, 5, 5)):
        result = attack.run(classifier, x, threat, size, seeded(0))
        assert bool(admissible(x, result.adversarial, threat, size).all()), attack.name
        moved = result.delta[:, 1] != 0
        assert bool(torch.isin(result.adversarial[moved, 1], torch.tensor([0.2, 0.9]).double()).all()), attack.name
        for radius in radii:
            assert not bool(attack.run(classifier, x, threat, 0.999 * radius, seeded(1)).success.any()), attack.name


def test_exact_refuses_what_is_no_interval():
    classifier, x = random_mlp(2, D)
    with pytest.raises(InputError, match="Use method refined"):
        certify(classifier, x, ThreatModel(2, limits=LIMITS), "exact")


def test_round_trip(model):
    content = {"norm": 0, "max_change": {"x": "20 %"}, "values": {"kind": ["a"]}, "between": {"x": ["low", "high"]}}
    threat = parse_threat(content, model)
    again = ThreatModel.from_dict(json.loads(json.dumps(threat.to_dict())))
    assert again.to_dict() == threat.to_dict()
    assert threat_key(again) == threat_key(threat)
    x = encoded()
    for one, other in zip(again.interval(x), threat.interval(x), strict=True):
        assert torch.equal(one, other)
    assert parse_threat(threat.to_dict(), model).to_dict() == threat.to_dict()


def test_only_limits_change_keys(model, tmp_path):
    file = tmp_path / "thief.toml"
    file.write_text('norm = 1\nname = "thief"\n[max_change]\nx = "20 %"\n')
    limited, plain = read_threat(file, model), parse_threat({"norm": 1, "name": "thief"}, model)
    assert threat_key(limited) != threat_key(plain)
    assert "limits" not in plain.to_dict()
    assert threat_key(ThreatModel(1, 0, 1)) == "l1 box[0,1]"
    assert ThreatModel(1, limits=LIMITS).describe() == "l1 limits"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"max_change": {"x": 0.2}}, "`max_change of column 'x'` must be a share in percent, got 0.2"),
        ({"max_change": {"x": "-3 %"}}, "must be a share in percent"),
        ({"max_change": {"kind": "3 %"}}, "`max_change` must be about columns of numbers, got 'kind'"),
        ({"max_change": "3 %"}, "`max_change` must be a mapping"),
        ({"max_change": {"y": "3 %"}}, "`max_change` must be about columns of the table"),
        ({"values": {"x": []}}, "`values of column 'x'` must be a list of at least one"),
        ({"values": {"kind": [1]}}, "`values of column 'kind'` must be numbers or, of a category, texts"),
        ({"values": {"x": ["a"]}}, "`values of column 'x'` must be"),
        ({"between": {"x": ["low"]}}, "`between of column 'x'` must be the names of two columns"),
        ({"between": {"x": ["low", "kind"]}}, "`between` must be about columns of numbers"),
        ({"max_change": {"x": "3 %"}, "limits": {}}, "`max_change` must be left out where `limits` is given"),
        ({"limits": {"base": [0.0]}}, "`limits` must be a dictionary with keys among"),
        ({"limits": {"base": [0.0], "unit": ["a"]}}, "`limits` must be made of lists of numbers"),
        ({"limits": {"base": [0.0], "unit": [math.inf]}}, "`limits` must be finite"),
        ({"limits": {"base": [0.0], "unit": [0.0]}}, "`unit` must be positive"),
        ({"limits": {"base": [0.0], "unit": [1.0]}}, "`limits` must be about 6 inputs, got about 1"),
    ],
)
def test_mistakes(model, content, message):
    with pytest.raises(InputError) as caught:
        parse_threat(content, model)
    assert message in str(caught.value)


def test_limits_of_a_table_need_a_table():
    with pytest.raises(InputError, match="a mapping from the columns of a table"):
        parse_threat({"max_change": {"x": "3 %"}}, random_mlp(0)[0])
    with pytest.raises(InputError, match="of type Limits"):
        ThreatModel(limits={})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="lists, none of them empty"):
        Limits(torch.zeros(1), torch.ones(1), values=(torch.empty(0),))
