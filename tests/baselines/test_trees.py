"""Trees: arrays against scikit-learn, columns against every change, Veritas against every box of a small sum."""

import math

import numpy as np
import pytest
import torch

from asymcert import ThreatModel, certify, datasets
from asymcert.certify.trees import TreeColumns
from asymcert.certify.veritas import Veritas
from asymcert.errors import InputError
from asymcert.models.trees import Trees, TreeSum, TreeVote
from asymcert.threats.table import TableThreat
from asymcert.training.trees import boosted, columns_of, strongest, train_partition, train_trees
from contracts.baselines import BaselineContract
from contracts.counting import CountContract
from contracts.files import reloaded
from contracts.trees import random_trees


def tree_sum(seed, **options):
    model = TreeSum(random_trees(seed, **options))
    x = torch.rand(64, model.input_shape[0], dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return model.with_threshold(float(model.margin(x).median()))


class TestSumColumns(CountContract):
    @pytest.fixture
    def certifier(self):
        return TreeColumns()

    def model(self, seed):
        model = tree_sum(seed, parts=6, each=1, depth=1, together=True)
        return model.with_threshold(model.threshold - 2.0)


class TestVotes(CountContract):
    @pytest.fixture
    def certifier(self):
        return TreeColumns()

    def model(self, seed):
        return TreeVote(random_trees(seed, parts=6, each=1, depth=1), 0.5)

    def test_the_radius_is_votes_to_spare(self, certifier):
        model, x = self.model(0), self.inputs(0)
        votes = (model.trees(x) > 0).sum(1)
        radius = certifier.certify(model, x, [ThreatModel(0, 0.0, 1.0)])[0].radius
        assert radius.tolist() == [max(0, vote - 1) for vote in votes.tolist()]


class TestVeritas(BaselineContract):
    @pytest.fixture
    def certifier(self):
        pytest.importorskip("veritas", reason="the extra `trees` is not installed")
        return Veritas(tolerance=0.001)

    def model(self, seed):
        return TreeSum(random_trees(seed, each=6, depth=3))

    def test_attacks_that_succeed_inside_would_be_seen(self, certifier):
        pytest.skip("trees have no gradient; flips are certificates' own, checked below")

    def test_exact_against_every_cell(self, certifier):
        """Cells between splits are all that there is: the least size of one where the verdict is another."""
        model = tree_sum(3, inputs=2, each=3)
        x = torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        splits = [model.trees.split[~model.trees.leaf & (model.trees.feature == f)].sort().values for f in (0, 1)]
        for threat in (
            ThreatModel(math.inf),
            ThreatModel(math.inf, 0.0, 1.0),
            ThreatModel(math.inf, cost=torch.tensor([2.0, 0.5])),
        ):
            certificate = certifier.certify(model, x, [threat])[0]
            for row, sensitive, radius, upper in zip(
                x, certificate.sensitive, certificate.radius, certificate.upper, strict=True
            ):
                if sensitive:
                    sides = [
                        torch.cat((s, torch.nextafter(s, torch.tensor(-9.0).double()), row[f : f + 1]))
                        for f, s in enumerate(splits)
                    ]
                    points = torch.cartesian_prod(*sides)
                    if threat.upper is not None:
                        points = points[((points >= 0) & (points <= 1)).all(1)]
                    sizes = threat.size(points - row)[~model.predict(points)]
                    least = float(sizes.min()) if len(sizes) else math.inf
                    assert radius <= least <= upper * (1 + 1e-12)
                    assert radius >= 0.99 * least or math.isinf(least)

    def test_flips_are_flips(self, certifier):
        model, x = self.balanced(7)
        for certificate in certifier.certify(model, x, [ThreatModel(1, 0.0, 1.0), ThreatModel(math.inf, 0.0, 1.0)]):
            known = certificate.sensitive & certificate.upper.isfinite()
            assert bool(known.any())
            assert not bool(model.predict(certificate.adversarial[known]).any())
            size = certificate.threat.size(certificate.adversarial - x)
            assert bool((size[known] <= certificate.upper[known]).all())
            assert bool((size[known] >= certificate.radius[known]).all())

    def test_without_time_it_stays_a_bound(self):
        pytest.importorskip("veritas", reason="the extra `trees` is not installed")
        model, x = self.balanced(8)
        found = Veritas(time_limit=1e-9).certify(model, x, [ThreatModel(math.inf)])[0]
        assert bool((found.radius <= Veritas().certify(model, x, [ThreatModel(math.inf)])[0].radius * 1.02).all())


def test_a_box_that_is_declared_safe_too_early_is_found_out(monkeypatch):
    pytest.importorskip("veritas", reason="the extra `trees` is not installed")
    from asymcert.certify import veritas

    monkeypatch.setattr(veritas._Boxes, "decide", lambda self, x, threat, radius, seconds: (radius < 0.7, None))
    with pytest.raises(AssertionError):
        TestVeritas().test_exact_against_every_cell(Veritas())


@pytest.fixture(scope="module")
def cancer():
    return datasets.load("breast-cancer")


def test_arrays_give_what_scikit_learn_does(cancer):
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees, base = boosted(cancer.train.x, cancer.train.y, range(30), 0, max_iter=5)
    own = Trees.joined(30, trees, [0] * len(trees), [base])
    theirs = HistGradientBoostingClassifier(max_iter=5, class_weight="balanced", random_state=0)
    theirs.fit(cancer.train.x.double().numpy(), cancer.train.y.numpy())
    x = cancer.test.x.double()
    np.testing.assert_allclose(own(x)[:, 0].numpy(), theirs.decision_function(x.numpy()), rtol=1e-12)
    shifted = own.split[~own.leaf].repeat(30, 1).T.contiguous()[:40]  # on splits themselves, and just below
    for points in (shifted, torch.nextafter(shifted, torch.zeros_like(shifted))):
        np.testing.assert_allclose(own(points)[:, 0].numpy(), theirs.decision_function(points.numpy()), rtol=1e-12)


def test_trained_on_a_table(cancer, tmp_path):
    threat = TableThreat(cancer.scaling).counting()
    models = [train_trees(cancer, max_iter=5), *(train_partition(cancer, parts, max_iter=5) for parts in (3, 5))]
    for model in models:
        right = model.predict(cancer.test.x) == cancer.test.y
        assert float(right.double().mean()) > 0.85
        assert certify(model, cancer.test.x, threat).method == "tree-columns"
        reloaded(model, cancer.test.x, tmp_path)
    looks = models[2].units.long()
    assert int(looks.sum(0).max()) == 1  # parts are disjoint
    with pytest.raises(InputError, match="`parts` must be at most the 30 columns, got 31"):
        train_partition(cancer, 31)
    assert columns_of(cancer).tolist() == list(range(30))


def test_the_strongest_of_the_accurate_is_chosen(cancer):
    weak, strong = (train_partition(cancer, parts, max_iter=2) for parts in (3, 5))
    blind = weak.with_threshold(99.0)
    radii = {weak: 1.0, strong: 2.0, blind: 9.0}
    survival = {id(model): radius for model, radius in radii.items()}
    found = strongest(list(radii), cancer, lambda model, x: torch.full((len(x),), survival[id(model)]))
    assert found is strong  # the blind one would survive more, at half of the accuracy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left": torch.tensor([0, 1, 2])}, "left, right"),
        ({"right": torch.tensor([1, 1, 2])}, None),
        ({"right": torch.tensor([3, 1, 2])}, "left, right"),
        ({"feature": torch.tensor([2, 0, 0])}, "about 2 inputs"),
        ({"feature": torch.tensor([0.5, 0, 0])}, "whole numbers"),
        ({"split": torch.tensor([math.nan, 0, 0])}, "finite"),
        ({"root": torch.tensor([1])}, "ascending from 0"),
        ({"part": torch.tensor([1])}, "1 parts"),
        ({"base": torch.zeros(0)}, "at least one"),
        ({"value": torch.zeros(4)}, "arrays of 3 nodes"),
    ],
)
def test_arrays_are_checked(change, message):
    arrays = {
        "feature": torch.tensor([0, 0, 0]),
        "left": torch.tensor([1, 1, 2]),
        "right": torch.tensor([2, 1, 2]),
        "split": torch.full((3,), 0.5),
        "value": torch.tensor([0.0, -1.0, 1.0]),
        "root": torch.tensor([0]),
        "part": torch.tensor([0]),
        "base": torch.zeros(1),
    }
    if message is None:
        assert Trees(2, **arrays | change)(torch.ones(1, 2).double()).item() == -1.0
    else:
        with pytest.raises(InputError, match=message):
            Trees(2, **arrays | change)


def test_the_search_over_columns_tries_both_sides_of_every_split():
    from asymcert.attacks import ColumnPairs

    model = TreeSum(random_trees(2, each=5))
    model = model.with_threshold(
        float(model.margin(torch.rand(64, 6, generator=torch.Generator().manual_seed(1))).quantile(0.4))
    )
    x = torch.rand(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    corners = model.bends()
    found = ColumnPairs().run(model, x, ThreatModel(0, 0.0, 1.0), torch.ones(8), torch.Generator().manual_seed(0))
    for row, sensitive, success in zip(x, model.predict(x), found.success, strict=True):
        if sensitive:  # one column to any value: those of its splits are all that there is
            points = row.repeat(6 * len(corners), 1)
            points[torch.arange(len(points)), torch.arange(6).repeat_interleave(len(corners))] = corners.T.flatten()
            inside = points[((points >= 0) & (points <= 1)).all(1)]
            assert success == (not bool(model.predict(inside).all()))
