"""Threat models as dictionaries: exactly there and back, and nothing else."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asymcert.errors import InputError
from asymcert.runs.rows import threat_key
from asymcert.threats.model import ThreatModel

NORMS = st.one_of(st.just(math.inf), st.floats(1, 1e6))
NUMBERS = st.floats(-1e300, 1e300)
POSITIVE = st.floats(1e-99, 1e100)


def parts_of(elements, dtype):
    single = elements.map(lambda v: torch.tensor(v, dtype=dtype))
    three = st.lists(elements, min_size=3, max_size=3).map(lambda v: torch.tensor(v, dtype=dtype))
    image = st.lists(elements, min_size=4, max_size=4).map(lambda v: torch.tensor(v, dtype=dtype).reshape(1, 2, 2))
    return st.one_of(st.none(), single, three, image)


@st.composite
def threat_models(draw):
    lower = draw(parts_of(NUMBERS, torch.float64))
    upper = None if lower is None else draw(st.one_of(st.none(), st.just(lower.clone()), st.just(lower.max())))
    return ThreatModel(
        draw(NORMS),
        lower,
        upper,
        draw(parts_of(POSITIVE, torch.float64)),
        draw(parts_of(st.booleans(), torch.bool)),
        draw(parts_of(st.sampled_from([-1, 0, 1]), torch.int64)),
        draw(st.one_of(st.none(), st.just("spammer"))),
    )


@given(threat_models())
def test_json_round_trip_is_exact(threat):
    again = ThreatModel.from_dict(json.loads(json.dumps(threat.to_dict(), allow_nan=False)))
    assert threat_key(again) == threat_key(threat)
    for name, value in vars(threat).items():
        other = getattr(again, name)
        if isinstance(value, Tensor):
            assert other.dtype == value.dtype
            assert other.shape == value.shape
            assert torch.equal(other, value)
        else:
            assert other == value


def test_parts_may_be_left_out():
    assert vars(ThreatModel.from_dict({})) == vars(ThreatModel())
    assert math.isinf(ThreatModel.from_dict({"norm": "inf"}).norm)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1], "`threat` must be a dictionary, got list"),
        ({"nrom": 1}, "the unknown ['nrom']"),
        ({"norm": "two"}, "`norm` must be a number in [1, inf], got 'two'"),
        ({"norm": True}, "`norm` must be a number"),
        ({"lower": "0"}, "`lower` must be made of numbers, single or in nested lists, got '0'"),
        ({"upper": [1, True]}, "`upper` must be made of numbers"),
        ({"cost": [[1, 2], [3]]}, "`cost` must be nested lists of numbers, of equal lengths"),
        ({"cost": [1, None]}, "`cost` must be made of numbers"),
        ({"cost": {"a": 1}}, "`cost` must be made of numbers"),
        ({"cost": 10**400}, "`cost` must be nested lists of numbers"),
        ({"cost": -1}, "`cost` must be positive"),
        ({"cost": [1.0, 1e200]}, "`cost` must be from 1e-100 to 1e+100, got 1 to 1e+200"),
        ({"cost": 1e-200}, "`cost` must be from"),
        ({"lower": math.nan}, "`lower` must be finite"),
        ({"mutable": [1, 0]}, "`mutable` must be made of booleans"),
        ({"direction": [0.5]}, "`direction` must be made of integers"),
        ({"direction": [True]}, "`direction` must be made of integers"),
        ({"direction": [2]}, "`direction` must be made of -1, 0 and 1"),
        ({"lower": [0, 0], "upper": [1, 1, 1]}, "`lower` must be of a shape that broadcasts with that of `upper`"),
        ({"lower": 1, "upper": 0}, "an empty box"),
        ({"name": ""}, "`name` must be text"),
        ({"name": "a#b"}, "`name` must be text"),
        ({"name": "a\nb"}, "`name` must be text"),
        ({"name": 3}, "`name` must be text"),
    ],
)
def test_what_is_refused(values, said):
    with pytest.raises(InputError) as caught:
        ThreatModel.from_dict(values)
    assert said in str(caught.value)


def test_a_name_stands_for_the_parts_in_results():
    named = ThreatModel(1, lower=0, upper=1, name="spammer")
    assert named.describe() == "l1 spammer"
    other = ThreatModel(1, lower=0, upper=2, name="spammer")
    assert threat_key(named).startswith("l1 spammer #")
    assert threat_key(named) != threat_key(other)
    assert threat_key(ThreatModel(1, name="box[0,1]")) != threat_key(ThreatModel(1, lower=0, upper=1))


def test_the_type_of_a_direction_does_not_tell_threat_models_apart():
    keys = {threat_key(ThreatModel(2, direction=torch.tensor([1, 0], dtype=t))) for t in (torch.int8, torch.float64)}
    assert len(keys) == 1


def test_numbers_stay_on_the_cpu_whatever_the_default_device():
    with torch.device("meta"):
        threat = ThreatModel(2, lower=0, upper=1, cost=2.0)
    assert threat.to_dict() == ThreatModel(2, lower=0, upper=1, cost=2.0).to_dict()


@pytest.mark.parametrize("lower", [0.0, torch.zeros(3), torch.tensor([0.0])])
@pytest.mark.parametrize("upper", [1.0, torch.ones(3), None])
def test_outside_says_which_inputs_are(lower, upper):
    x = torch.tensor([[0.0, 0.5, 1.0], [-1e-9, 0.5, 1.0], [0.0, 0.5, 1.5]])
    assert ThreatModel(2, lower=lower, upper=upper).outside(x).tolist() == [False, True, upper is not None]
    assert ThreatModel(2, lower=lower, upper=upper).outside(x[:0]).tolist() == []
