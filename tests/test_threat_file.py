"""Threat models from files: the user's columns and units become those of the model's inputs."""

import json
import math
from fractions import Fraction

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymcert.convex import ConvexMLP
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import InputError
from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.runs.rows import threat_key
from asymcert.threats.file import parse_threat, read_threat
from asymcert.threats.model import ThreatModel
from contracts.tables import SCALING

NAMES = SCALING.feature_names  # size rate same kind=b kind=a kind=<other> body#0 body#1 body#2
KIND, BODY = slice(3, 6), slice(6, 9)


def classifier(shape, scaling=None):
    return FeatureConvexClassifier(Identity(), ConvexMLP(shape, (2,)), input_shape=shape, scaling=scaling)


TABLE = classifier((len(NAMES),), SCALING)
IMAGE = classifier((1, 2, 2))


def test_a_table_stays_in_its_range_and_constant_columns_stay():
    threat = parse_threat({"norm": 1}, TABLE)
    assert threat.norm == 1
    assert torch.equal(threat.lower, torch.zeros(9, dtype=torch.float64))
    assert torch.equal(threat.upper, torch.ones(9, dtype=torch.float64))
    assert threat.mutable.tolist() == [name != "same" for name in NAMES]
    assert threat.cost is None
    assert threat.direction is None


def test_an_image_has_no_box_unless_the_file_says_so():
    assert vars(parse_threat({"norm": "inf"}, IMAGE)) == vars(ThreatModel(math.inf))
    assert parse_threat({"lower": 0, "upper": 1}, IMAGE).describe() == "l2 box[0,1]"


def test_columns_are_given_in_the_units_of_the_table():
    threat = parse_threat(
        {
            "norm": 2,
            "lower": {"size": 120, "body": 1},
            "upper": {"rate": 0.2, "body": 2, "size": 1000},
            "cost": {"size": 0.25, "kind": 3.0, "body": 0.5, "same": 4.0},
            "immutable": ["rate"],
            "increase_only": ["body"],
            "decrease_only": ["size"],
        },
        TABLE,
    )
    assert threat.lower.tolist() == [float(torch.tensor(0.05)), 0, 0, 0, 0, 0, 0.25, 0.25, 0.25]
    assert threat.upper[:3].tolist() == [1.0, float(torch.tensor(0.2 / 0.3)), 1.0]
    assert threat.upper[BODY].tolist() == [0.5] * 3
    assert threat.cost[:3].tolist() == [100.0, 1.0, 1.0]
    assert threat.cost[BODY].tolist() == [2.0] * 3
    assert threat.mutable.tolist() == [name not in ("rate", "same") for name in NAMES]
    assert threat.direction.tolist() == [-1, 0, 0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("norm", [1, 1.5, 2, 7, "inf"])
def test_the_price_of_a_category_is_that_of_another_value(norm):
    threat = parse_threat({"norm": norm, "cost": {"kind": 3.0}}, TABLE)
    swap = torch.zeros(1, 9, dtype=torch.float64)
    swap[0, 3], swap[0, 4] = -1.0, 1.0
    size = float(threat.size(swap))
    assert size == pytest.approx(3.0, rel=1e-12)
    assert float(threat.cost[3]) <= 3.0 * 2 ** -(0 if norm == "inf" else 1 / norm)


def test_patterns_and_exact_names():
    cost = {"rate": 8.0, "*": 1.0, "*e": 2.0}
    threat = parse_threat({"norm": 1, "cost": cost}, TABLE)
    assert threat.cost[0] == 2.0 * 400  # size: the later pattern
    assert threat.cost[1] == pytest.approx(8.0 * 0.3)  # rate: the exact name, although it stands first
    assert threat.cost[KIND].tolist() == [0.5] * 3
    assert parse_threat({"mutable": ["*"]}, TABLE).mutable.tolist() == [name != "same" for name in NAMES]


def test_a_name_with_a_star_is_a_name_where_the_table_has_it():
    scaling = TableScaling.fit(pl.DataFrame({"a*": [0.0, 1.0], "ab": [0.0, 1.0], "(": [0.0, 2.0]}))
    model = classifier((3,), scaling)
    assert parse_threat({"immutable": ["a*", "("]}, model).mutable.tolist() == [False, True, False]


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8), st.data())
def test_what_is_within_the_bounds_in_the_table_is_within_them_as_an_input(values, data):
    frame = pl.DataFrame({"a": values})
    model = classifier((1,), TableScaling.fit(frame))
    low, value, high = sorted(data.draw(st.lists(st.floats(-2e6, 2e6), min_size=3, max_size=3)))
    threat = parse_threat({"lower": {"a": low}, "upper": {"a": high}}, model)
    threat.check(model.scaling.transform(pl.DataFrame({"a": [value]})))  # refuses an input outside the box


@given(st.floats(1e-3, 1e6), st.floats(1e-6, 1e6))
def test_prices_are_rounded_down_by_less_than_a_unit_in_the_last_place(extent, price):
    model = classifier((1,), TableScaling.fit(pl.DataFrame({"a": [0.0, extent]}), "min-max"))
    cost = float(parse_threat({"cost": {"a": price}}, model).cost)
    exact = Fraction(price) * Fraction(extent)
    assert Fraction(cost) <= exact < Fraction(math.nextafter(cost, math.inf))


def test_masks_of_images():
    mask = [[[True, False], [False, False]]]
    assert parse_threat({"immutable": mask}, IMAGE).mutable.flatten().tolist() == [False, True, True, True]
    assert parse_threat({"mutable": mask}, IMAGE).mutable.flatten().tolist() == [True, False, False, False]
    other = [[[False, True], [False, False]]]
    both = parse_threat({"increase_only": mask, "decrease_only": other}, IMAGE)
    assert both.direction.flatten().tolist() == [1, -1, 0, 0]
    assert parse_threat({"direction": [[[1, -1], [0, 0]]]}, IMAGE).direction.flatten().tolist() == [1, -1, 0, 0]


TOML = """
norm = "inf"
name = "spammer"
immutable = ["kind"]

[cost]
size = 0.5
"""


def test_toml_and_json_say_the_same(tmp_path):
    (tmp_path / "a.toml").write_text(TOML)
    (tmp_path / "a.json").write_text(
        json.dumps({"norm": "inf", "name": "spammer", "immutable": ["kind"], "cost": {"size": 0.5}})
    )
    first, second = (read_threat(tmp_path / name, TABLE) for name in ("a.toml", "a.json"))
    assert threat_key(first) == threat_key(second)
    assert first.name == "spammer"
    assert first.cost[0] == 200.0


@pytest.mark.parametrize("values", [{}, {"norm": 1, "lower": 0, "upper": 1, "cost": [2.0] * 9}])
def test_a_saved_threat_model_is_read_as_it_was(tmp_path, values):
    threat = ThreatModel.from_dict(values)
    (tmp_path / "saved.json").write_text(json.dumps(threat.to_dict()))
    assert threat_key(read_threat(tmp_path / "saved.json", TABLE)) == threat_key(threat)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"imutable": ["size"]}, "the unknown ['imutable']"),
        ({"immutable": ["sise"]}, "`immutable` must be about columns of the table, one of ['size'"),
        ({"immutable": ["x*"]}, "got 'x*'"),
        ({"immutable": "size"}, "`immutable` must be made of booleans"),
        ({"immutable": ["size", 3]}, "`immutable` must be made of booleans"),
        ({"immutable": ["size"], "mutable": ["rate"]}, "left out where `immutable` is given"),
        ({"direction": [0] * 9, "increase_only": ["size"]}, "left out where `increase_only` is given"),
        ({"increase_only": ["s*"], "decrease_only": ["size"]}, "`increase_only` must be apart from `decrease_only`"),
        ({"increase_only": ["kind"]}, "got the category 'kind'"),
        ({"upper": {"kind": 1}}, "`upper` must be about numbers or words, got the category 'kind'"),
        ({"cost": {"size": 0}}, "`cost of column 'size'` must be positive, got 0"),
        ({"cost": {"size": "1"}}, "`cost of column 'size'` must be a number"),
        ({"lower": {"size": math.nan}}, "`lower of column 'size'` must be a number"),
        ({"lower": {"size": 300}, "upper": {"size": 200}}, "an empty box"),
        ({"lower": [0.0] * 4}, "`lower` must be of a shape that broadcasts"),
        ({"norm": 0.5}, "`norm` must be a number"),
        ({"norm": None}, "`norm` must be a number"),
        ({"cost": [1.0] * 4}, "`cost` must be broadcastable to (9,)"),
    ],
)
def test_what_a_table_refuses(values, said):
    with pytest.raises(InputError) as caught:
        parse_threat(values, TABLE)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"immutable": ["left"]},
            "`immutable` must be nested lists of booleans, got ['left']. This model's inputs have",
        ),
        ({"cost": {"left": 2}}, "`cost` must be a number or nested lists, got a mapping"),
        ({"mutable": [True, False, True]}, "`mutable` must be broadcastable to (1, 2, 2)"),
    ],
)
def test_what_an_image_refuses(values, said):
    with pytest.raises(InputError) as caught:
        parse_threat(values, IMAGE)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.toml", "norm = ", "not readable as TOML"),
        ("a.json", "{", "not readable as JSON"),
        ("a.json", "[1]", "`threat` must be a table of keys and values, got list"),
        ("a.json", b"\xff\xfe", "not readable as JSON"),
        ("a.yaml", "norm: 1", "a file ending in .toml or .json"),
        ("a.toml", "norm = 0.5", "`norm` must be"),
        (None, "", "no such file"),
    ],
)
def test_a_refusal_names_the_file(tmp_path, name, content, said):
    path = tmp_path / (name or "absent.toml")
    if name is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        read_threat(path, TABLE)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
