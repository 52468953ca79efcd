"""Radii in the units of a table's columns: what is said to be safe in the table is safe for the inputs."""

import math
from fractions import Fraction

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymcert.certify import ClosedForm, Tangent
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import InputError
from asymcert.evaluate.explain import explain
from asymcert.evaluate.units import radius_in_units
from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.file import parse_threat
from asymcert.threats.model import ThreatModel
from contracts.models import linear_score
from contracts.tables import FRAME, SCALING

WORDS = ("free", "hello", "prize", "money", "a", "b")


def linear(weight, margin_at=None, scaling=SCALING):
    """Score ``weight . x``, with the threshold that leaves a margin of 1 at the inputs `margin_at`."""
    weight = torch.tensor(weight, dtype=torch.float64)
    threshold = 0.0 if margin_at is None else float(weight @ margin_at.double()) - 1.0
    shape = (len(weight),)
    return FeatureConvexClassifier(Identity(), linear_score(weight), threshold, input_shape=shape, scaling=scaling)


def moved(frame, **values):
    return frame.with_columns(**{name: pl.lit(value) for name, value in values.items()})


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6, unique=True),
    st.floats(-2e6, 2e6),
    st.floats(1e-6, 2.0),
    st.floats(1e-3, 1e3),
    st.sampled_from([1, 1.5, 2, math.inf]),
    st.sampled_from([-1.0, 1.0]),
)
def test_a_number_that_moves_by_the_amount_stays_inside(values, start, radius, cost, norm, sign):
    scaling = TableScaling.fit(pl.DataFrame({"a": values}))
    threat = ThreatModel(norm, cost=torch.tensor([cost], dtype=torch.float64))
    amount = radius_in_units(scaling, radius, threat)["a"]
    end = start + min(amount, 1e9) * sign
    if abs(Fraction(end) - Fraction(start)) > Fraction(min(amount, 1e9)):
        end = math.nextafter(end, start)
    ends = scaling.transform(pl.DataFrame({"a": [start, end]})).double()
    assert float(threat.size(ends[1:] - ends[:1])) < radius


@pytest.mark.parametrize("norm", [1, 1.5, 2, math.inf])
@pytest.mark.parametrize("radius", [0.1, 0.25, 0.3, 0.51, 0.76, 1.01, 1.6, 2.1, 3.1, 100.0])
def test_words_and_categories_that_are_safe_stay_inside(norm, radius):
    threat = ThreatModel(norm)
    amounts = radius_in_units(SCALING, radius, threat)
    draw = torch.Generator().manual_seed(0)
    count = int(min(amounts["body"], 20))
    before = SCALING.transform(FRAME).double()
    for _ in range(50 if count else 0):
        chosen = [WORDS[i] for i in torch.randint(len(WORDS), (count,), generator=draw)]
        after = SCALING.transform(FRAME.with_columns(body=pl.col("body") + " " + " ".join(chosen))).double()
        assert (threat.size(after - before) < radius).all()
    for value in ("a", "b", "new") if amounts["kind"] > 0 else ():
        after = SCALING.transform(moved(FRAME, kind=value)).double()
        assert (threat.size(after - before) < radius).all()


def test_amounts_are_those_of_the_units():
    amounts = radius_in_units(SCALING, 0.5, ThreatModel(math.inf))
    assert amounts["size"] == pytest.approx(200, rel=1e-6)
    assert amounts["size"] < 200
    assert amounts["rate"] == pytest.approx(0.15, rel=1e-6)
    assert amounts["same"] == math.inf
    assert amounts["kind"] == 0
    assert amounts["body"] == 1  # two words could be one bucket's, and reach the radius
    priced = parse_threat({"norm": 1, "cost": {"size": 0.25, "body": 2.0, "kind": 3.0}}, linear([0.0] * 9))
    amounts = radius_in_units(SCALING, 10.0, priced)
    assert amounts["size"] == pytest.approx(40, rel=1e-5)
    assert amounts["body"] == 4
    assert amounts["kind"] == math.inf
    assert amounts["rate"] == math.inf  # its whole range costs 1


def test_columns_that_cannot_change_are_not_limited():
    threat = parse_threat({"immutable": ["size", "kind", "body"], "upper": {"rate": 0.1}}, linear([0.0] * 9))
    with pytest.raises(InputError, match="`radius`"):
        radius_in_units(SCALING, -1.0, threat)
    amounts = radius_in_units(SCALING, 1e-3, threat)
    assert amounts.pop("rate") < 3e-4
    assert set(amounts.values()) == {math.inf}
    assert set(radius_in_units(SCALING, math.inf, threat).values()) == {math.inf}
    assert radius_in_units(SCALING, 0.0, ThreatModel(2))["rate"] == 0


def test_a_threat_model_of_another_table_is_refused():
    with pytest.raises(InputError, match="`cost` must be broadcastable"):
        radius_in_units(SCALING, 1.0, ThreatModel(2, cost=torch.ones(3)))


ROW = SCALING.transform(FRAME)[2]  # size 130, rate 0.2, kind b, no words
WEIGHT = [20.0, -10.0, 3.0, 2.0, 0.5, 0.0, 0.0, 0.0, -2.0]


@pytest.mark.parametrize("certifier", [ClosedForm(), Tangent()])
@pytest.mark.parametrize("norm", [1, 2, math.inf])
def test_the_verdict_stays_wherever_the_explanation_says_so(certifier, norm):
    model = linear(WEIGHT, ROW)
    threat = parse_threat({"norm": norm, "cost": {"size": 0.5, "rate": 8.0}}, model)
    _, rooms = explain(model, ROW, threat, certifier)
    one = FRAME[2:3]
    for room in rooms:
        if room.column in ("size", "rate"):
            for step in (-min(room.fall, 1e9), min(room.rise, 1e9)):
                assert model.predict(model.scaling.transform(moved(one, **{room.column: float(room.value) + step})))
        if room.column == "kind" and room.rise:
            for value in ("a", "c", "b"):
                assert model.predict(model.scaling.transform(moved(one, kind=value)))
        if room.column == "body":
            for word in WORDS:
                text = f"{word} " * int(min(room.rise, 20))
                assert model.predict(model.scaling.transform(moved(one, body=text)))


def test_room_of_a_linear_classifier_is_what_it_must_be():
    """Margin 1; a unit of the inputs of size and rate lowers it by 20 and 10; body#2 by 2, kind b -> other by 2."""
    model = linear(WEIGHT, ROW)
    radius, rooms = explain(model, ROW, parse_threat({"norm": 1}, model), Tangent())
    room = {item.column: item for item in rooms}
    assert radius == pytest.approx(0.05)
    assert [item.column for item in rooms] == ["size", "rate", "same", "kind", "body"]
    assert room["size"].fall == pytest.approx(400 / 20, rel=1e-5)
    assert room["size"].rise == math.inf  # only helps the verdict
    assert room["rate"].fall == math.inf
    assert room["rate"].rise == pytest.approx(0.3 / 10, rel=1e-5)
    assert room["same"] == type(room["same"])("same", 7.0, None, None)
    assert (room["kind"].value, room["kind"].rise) == ("b", 0.0)  # another value lowers the margin by up to 2
    assert room["body"].value == 0.0
    assert room["body"].fall == math.inf  # there is no word to remove
    assert room["body"].rise == 1.0  # two words of body#2 reach the margin
    assert room["size"].value == pytest.approx(130, rel=1e-6)


def test_room_follows_the_threat_model():
    model = linear(WEIGHT, ROW)
    values = {"immutable": ["rate"], "increase_only": ["size", "body"], "lower": {"size": 120}}
    _, rooms = explain(model, ROW, parse_threat(values, model), Tangent())
    room = {item.column: item for item in rooms}
    assert (room["rate"].fall, room["rate"].rise) == (None, None)
    assert (room["size"].fall, room["size"].rise) == (None, math.inf)
    assert (room["body"].fall, room["body"].rise) == (None, 1.0)
    _, rooms = explain(model, ROW, parse_threat({"lower": {"size": 120}}, model), Tangent())
    assert rooms[0].fall == math.inf  # it may fall by 10 only, and 20 are safe


def test_what_cannot_be_explained_is_refused():
    model = linear(WEIGHT, ROW)
    with pytest.raises(InputError, match="sensitive verdict"):
        explain(model.with_threshold(1e3), ROW, ThreatModel(2), ClosedForm())
    with pytest.raises(InputError, match="one sample of shape"):
        explain(model, ROW[None], ThreatModel(2), ClosedForm())
    with pytest.raises(InputError, match="of a table"):
        explain(linear(WEIGHT, ROW, scaling=None), ROW, ThreatModel(2), ClosedForm())
