"""Attacks on few columns: they find what brute force finds, keep to the adversary, and catch a false certificate."""

import math
from dataclasses import replace

import pytest
import torch

from asymcert.attacks import ColumnPairs, ColumnSearch, ProjectedGradient, RandomSearch, RoundingAttack
from asymcert.certify import certify
from asymcert.errors import InputError
from asymcert.threats.model import ThreatModel
from contracts.counted import ADVERSARIES, D, classifier, every_change, rows
from contracts.models import linear_model, seeded

ATTACKS = [ColumnSearch(), ColumnSearch(beam=1), ColumnPairs()]
TEXT = ThreatModel(0, lower=0, upper=1, groups=torch.tensor([0, 1, 1, 1, 2, 3]))  # a text of three buckets


def unlimited(n: int) -> torch.Tensor:
    return torch.full((n,), math.inf).double()


@pytest.mark.parametrize("name", ADVERSARIES)
def test_pairs_find_the_least_margin_of_all_changes_of_two_columns(name):
    threat, model, x = ADVERSARIES[name], classifier(1), rows(6)
    threat = replace(threat, cost=None)
    size = torch.full((6,), 2.0).double()
    found = ColumnPairs().run(model, x, threat, size, seeded(0)).margin
    for row in range(6):
        least = min(float(model.margin(every_change(model, threat, x[row], count)).min()) for count in (1, 2))
        assert float(found[row]) <= max(least, 0.0) + 1e-12  # it stops once the verdict is undone


@pytest.mark.parametrize("attack", [ColumnSearch(), ColumnSearch(beam=1)], ids=lambda attack: attack.name)
def test_the_search_finds_the_columns_that_were_planted(attack):
    """Of 40 columns 5 carry the verdict, each by another value: no fewer undo it."""
    weights = torch.zeros(40)
    weights[::8] = torch.tensor([3.0, -2.0, 1.5, -1.0, 0.8])
    model, x = linear_model(weights, 0.0), torch.rand(8, 40, generator=seeded(1)).double()
    threat = ThreatModel(0, lower=0, upper=1)
    lowest = float(model.margin((weights < 0).double()[None])) + model.threshold
    model = model.with_threshold(lowest + 1e-6)
    five, four = (torch.full((8,), count).double() for count in (5.0, 4.0))
    result = attack.run(model, x, threat, five, seeded(0))
    assert bool(result.success.all())
    assert bool((result.delta[:, weights == 0] == 0).all())
    assert not bool(attack.run(model, x, threat, four, seeded(0)).success.any())


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("name", ADVERSARIES)
def test_never_beats_a_certificate_and_one_column_more_often_does(name, attack):
    threat, met, open_to = ADVERSARIES[name], 0, 0
    for seed in range(2):
        model, x = classifier(seed), rows(12, seed + 5)
        true = certify(model, x, threat)
        assert not bool(attack.run(model, x, threat, true.radius, seeded(0)).success.any())
        beyond = attack.run(model, x, threat, true.upper * (1 + 1e-9), seeded(0))
        some = true.upper.isfinite() & true.sensitive & (true.upper <= 2 * (threat.cost is None) + 2)
        met, open_to = met + int(beyond.success[some].sum()), open_to + int(some.sum())
    assert open_to > 3
    assert met > 0.6 * open_to


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("threat", [*ADVERSARIES.values(), TEXT], ids=ThreatModel.describe)
def test_keeps_to_budgets_and_what_columns_can_be(threat, attack):
    model, x = classifier(2), rows(8, 3)
    size = torch.tensor([0.0, 0.5, 1.0, 1.0, 2.0, 3.0, 3.5, math.inf]).double()
    result = attack.run(model, x, threat, size, seeded(0))
    low, high = threat.interval(x)
    moved = result.delta != 0
    assert bool((threat.size(result.delta) <= size).all())
    assert bool(((result.delta >= low) & (result.delta <= high))[moved].all())
    assert bool((result.margin <= model.margin(x)).all())
    if threat.exclusive is not None:
        assert torch.equal(
            result.adversarial[:, 3:].sort(1).values, torch.tensor([[0.0, 0.0, 1.0]]).double().expand(8, 3)
        )


def test_all_inputs_of_a_text_are_one_column():
    model = linear_model(torch.tensor([0.5, 1.0, -1.0, 1.0, 0.5, 0.0]), -9.0)
    x, one = torch.tensor([[0.5, 1.0, 0.0, 1.0, 0.5, 0.5]]).double(), torch.ones(1).double()
    result = ColumnSearch().run(model, x, TEXT, one, seeded(0))
    torch.testing.assert_close(result.delta, torch.tensor([[0.0, -1.0, 1.0, -1.0, 0.0, 0.0]]).double())
    assert float(result.size) == 1.0


def test_what_the_evaluations_do_not_reach_is_added_by_what_each_gains_alone():
    model = linear_model(torch.ones(30), 0.0)
    x, threat = torch.full((2, 30), 0.5).double(), ThreatModel(0, lower=0, upper=1)
    result = ColumnSearch(evaluations=1).run(model, x, threat, unlimited(2), seeded(0))
    assert result.size.tolist() == [30.0, 30.0]
    assert bool((result.adversarial == 0).all())


def test_prices_lead_to_the_cheaper_columns():
    model = linear_model(torch.tensor([1.0, 1.0, 0.9]), -9.0)
    threat = ThreatModel(0, lower=0, upper=1, cost=torch.tensor([3.0, 3.0, 1.0]).double())
    x, size = torch.ones(1, 3).double(), torch.full((1,), 4.5).double()
    result = ColumnSearch(beam=1).run(model, x, threat, size, seeded(0))
    assert result.delta[0].count_nonzero() == 2
    assert float(result.delta[0, 2]) == -1.0


@pytest.mark.parametrize("attack", [ProjectedGradient(), RandomSearch(), RoundingAttack()], ids=lambda each: each.name)
def test_attacks_of_other_norms_refuse(attack):
    with pytest.raises(InputError, match="`threat` must be of norm from 1 on for attack"):
        attack.run(classifier(0), rows(2), ThreatModel(0), unlimited(2), seeded(0))


def test_refuses_other_norms():
    with pytest.raises(InputError, match="`threat` must be of norm 0, as columns are counted for attack"):
        ColumnSearch().run(classifier(0), rows(2), ThreatModel(2), unlimited(2), seeded(0))
    assert ColumnSearch().run(classifier(0), torch.empty(0, D), ThreatModel(0), unlimited(0), seeded(0)).size.shape == (
        0,
    )


def test_names_tell_settings_apart():
    names = {
        ColumnSearch().name,
        ColumnSearch(beam=1).name,
        ColumnSearch(values=4).name,
        ColumnSearch(evaluations=9).name,
    }
    assert len(names | {ColumnPairs().name, ColumnPairs(9).name}) == 6
