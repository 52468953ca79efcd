"""Randomized ablation: draws, the combinatorial bound, and certificates against exact probabilities."""

import itertools
import math
from fractions import Fraction

import pytest
import torch

from asymcert import ThreatModel, certify, datasets
from asymcert.certify.ablation import Ablation, _loss
from asymcert.errors import InputError
from asymcert.models.ablated import ABLATED, AblatedClassifier, shown_columns
from asymcert.threats.table import TableThreat
from asymcert.training.trees import train_ablation
from contracts.counting import CountContract
from contracts.files import reloaded
from contracts.models import seeded
from contracts.trees import random_trees, signs


def probability(model, x):
    """Of *sensitive*, over all sets of columns: float64 (n,)."""
    sets = list(itertools.combinations(range(model.columns), model.kept))
    shown = torch.zeros(len(sets), model.columns, dtype=torch.bool)
    for row, chosen in zip(shown, sets, strict=True):
        row[list(chosen)] = True
    copies = torch.where(shown[:, model.groups], x[:, None], ABLATED)  # (n, sets, d)
    return (model(copies.flatten(0, 1)) > 0).view(len(x), -1).double().mean(1)


class TestContract(CountContract):
    @pytest.fixture
    def certifier(self):
        return Ablation(n0=20, n=400, alpha=0.001)

    def model(self, seed):
        return AblatedClassifier(signs(6), torch.arange(6), 1)

    def inputs(self, seed):
        return super().inputs(seed) ** 0.3

    def verdicts(self, model, x):
        return probability(model, x) > 0.5


@pytest.mark.parametrize(("groups", "kept"), [(torch.arange(6), 2), (torch.tensor([0, 0, 1, 2, 3, 3]), 1)])
def test_radii_follow_from_exact_probabilities(groups, kept):
    model = AblatedClassifier(random_trees(2, each=6), groups, kept, -3.0)
    x = torch.rand(12, 6, generator=seeded(1), dtype=torch.float64)
    found = certify(model, x, ThreatModel(0, 0.0, 1.0, groups=groups), n=2000)
    exact, count = probability(model, x), len(groups.unique())
    for p, radius in zip(exact.tolist(), found.radius.tolist(), strict=True):
        most = [k for k in range(count + 1) if p - (1 - math.comb(count - k, kept) / math.comb(count, kept)) > 0.5]
        assert radius <= max(most, default=0)
    assert bool((found.radius > 0).any())


def test_the_loss_is_exact_and_rounded_up():
    for k in range(7):
        exact = Fraction(0)
        for shown in itertools.combinations(range(7), 3):
            exact += Fraction(any(column < k for column in shown), math.comb(7, 3))
        assert exact <= Fraction(_loss(7, 3, k)) <= exact + Fraction(1, 10**15)


def test_a_column_that_covers_several_counts_as_many():
    model = AblatedClassifier(random_trees(0, inputs=40), torch.arange(40), 1, -100.0)
    x = torch.rand(2, 40, generator=seeded(0))
    single, double = ThreatModel(0, 0.0, 1.0), ThreatModel(0, 0.0, 1.0, groups=torch.arange(40) // 2)
    one, two = (certify(model, x, threat, n=1000).radius for threat in (single, double))
    assert one.tolist() == [19.0, 19.0]  # all draws agree: k / 40 < 1/2 less a little
    assert two.tolist() == [9.0, 9.0]


def test_sets_of_columns_are_all_equally_likely():
    shown = shown_columns(6000, 5, 2, seeded(0))
    assert shown.sum(1).unique().tolist() == [2]
    codes, counts = (shown.long() @ 2 ** torch.arange(5)).unique(return_counts=True)
    assert len(codes) == 10
    assert int(counts.min()) > 500  # of 600


def test_trained_on_a_table(tmp_path):
    data = datasets.load("breast-cancer")
    model = train_ablation(data, 4, max_iter=5)
    x, y = data.test.x[:30], data.test.y[:30]
    found = certify(model, x, TableThreat(data.scaling).counting(), n=300)
    assert float((found.sensitive == y).double().mean()) > 0.8
    assert float(found.radius.max()) >= 1
    again = reloaded(model, x, tmp_path)
    assert torch.equal(again.scores(x), model.scores(x))


@pytest.mark.parametrize(
    ("groups", "kept", "message"),
    [
        (torch.arange(5), 2, "`groups` must be"),
        (torch.tensor([0, 2, 2, 3, 4, 5]), 2, "`groups` must be"),
        (torch.arange(6), 6, "`kept` must be fewer than the 6 columns"),
        (torch.arange(6), 0, "`kept` must be an integer"),
    ],
)
def test_arguments_are_checked(groups, kept, message):
    with pytest.raises(InputError, match=message):
        AblatedClassifier(random_trees(0), groups, kept)
