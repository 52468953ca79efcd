"""Verdicts by another share of the votes than half: where they turn, radii, files, and votes that are counted once."""

import math

import pytest
import torch
from scipy import stats

from asymcert import ThreatModel, certify
from asymcert.certify.ablation import Ablation
from asymcert.certify.smoothing import Smoothing
from asymcert.certify.splitting import Splitting
from asymcert.compare.settings import AROUND, RATES, operating_points_of
from asymcert.datasets import BinaryData
from asymcert.datasets.binary import Split
from asymcert.errors import InputError
from asymcert.models.ablated import AblatedClassifier
from asymcert.models.noise import NOISES, noise_scale
from baselines.test_ablation import TestContract as AblationContract
from baselines.test_ablation import probability
from baselines.test_smoothing import QUICK, centred, coverage_inputs, half_space, random_base
from baselines.test_smoothing_radii import DISTRIBUTIONS
from baselines.test_splitting import TestContract as SplittingContract
from baselines.test_splitting import all_inputs, balanced, few_levels, random_model  # noqa: F401
from contracts.files import reloaded
from contracts.models import seeded
from contracts.trees import random_trees, signs

SHARES = (0.02, 0.3, 0.5, 0.9)
MANHATTAN = ThreatModel(norm=1)


class TestSplittingContract(SplittingContract):
    def model(self, seed):
        return super().model(seed).with_share(0.2)


class TestAblationContract(AblationContract):
    def model(self, seed):
        return AblatedClassifier(signs(6), torch.arange(6), 1).with_share(0.3)

    def verdicts(self, model, x):
        return probability(model, x) > 0.3


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", NOISES)
def test_radii_of_a_half_space_approach_the_distance_to_where_its_verdict_turns(kind, share):
    """The share of votes at x is F(x / scale) for the noise's distribution function F."""
    edge = noise_scale(kind, 0.6) * DISTRIBUTIONS[kind].ppf(share)
    distance = torch.tensor([-0.2, 0.2, 0.4, 0.6])
    x = torch.stack((edge + distance, torch.tensor([0.0, 0.3, 0.6, 0.9])), dim=1)
    model = half_space(noise=kind, sigma=0.6).with_share(share)
    found = Smoothing(n=20_000).certify(model, x, [MANHATTAN])[0]
    assert found.sensitive.tolist() == [False, True, True, True]
    assert bool((found.radius[1:] < distance[1:]).all())
    assert bool((found.radius[1:] > 0.75 * distance[1:]).all() or share == 0.9)  # above it there are few votes to win
    assert found.radius[0] == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7])
def test_the_claim_holds_as_often_as_it_says(share):
    x, truth = coverage_inputs(800)
    found = Smoothing(n0=20, n=200, alpha=0.1).certify(half_space().with_share(share), x, [ThreatModel(2)])[0]
    chosen = found.sensitive
    wrong = (found.radius > x[:, 0] - 0.5 * stats.norm.ppf(share))[chosen]
    assert torch.equal(wrong, (found.margin + share > truth)[chosen])
    assert int(wrong.sum()) <= stats.binom.ppf(0.999, int(chosen.sum()), 0.1)
    assert int(wrong.sum()) >= stats.binom.ppf(0.001, int(chosen.sum()), 0.04)
    assert float(chosen.double().mean()) > 0.6


@pytest.mark.parametrize("share", SHARES)
def test_upper_bounds_on_the_margin_are_about_the_same_share(share):
    """The probability is 1/2 on the boundary, all or nothing far from it."""
    bound = half_space().with_share(share).margin_at_most(torch.tensor([[0.0, 0.1], [9.0, 0.0], [-9.0, 0.0]]))
    assert 0.5 - share < float(bound[0]) < 0.55 - share
    assert float(bound[1]) == 1.0 - share
    assert -share < float(bound[2]) < 0.001 - share


@pytest.mark.parametrize("share", [0.11, 0.5, 0.85])
def test_quantiles_decide_as_shares_do(share, few_levels):  # noqa: F811
    x = torch.rand(50, 4, generator=seeded(2))
    smoothed = centred(random_base(sigma=0.6).with_share(share), x)
    alerts = smoothed.shares(x, 101) > share
    assert torch.equal(smoothed.noisy_medians(x, 101) > smoothed.threshold, alerts)
    assert torch.equal(smoothed.scores(x) > smoothed.threshold, alerts)
    assert 10 < int(alerts.sum()) < 40
    levels = all_inputs(few_levels)[::5]
    for splits in (8, 9):
        split = balanced(random_model(splits=splits).with_share(share), levels)
        votes = split.votes(levels)
        assert torch.equal(split.split_medians(levels, splits) > split.threshold, votes.double() / splits > share)
        if split.halves % 2:  # else the lean to the sensitive side decides ties
            assert torch.equal(split.predict(levels), votes.double() / splits > share)
        assert torch.equal(split.shares(levels, splits), votes.double() / splits)


@pytest.mark.parametrize("share", [0.05, 0.35, 0.79])
def test_radii_of_splits_hold_against_every_input_at_whole_levels(few_levels, share):  # noqa: F811
    x = all_inputs(few_levels)
    model = balanced(random_model(splits=15).with_share(share), x)
    found = Splitting().certify(model, x, [MANHATTAN])[0]
    needed = math.floor(15 * share)  # votes that do not suffice
    sensitive = model.votes(x) > needed
    assert model.halves == 2 * needed + 1
    assert torch.equal(found.sensitive, sensitive)
    assert 0.1 < float(sensitive.double().mean()) < 0.9
    levels = found.radius * few_levels
    published = (2 * model.votes(x) - 2 * needed - 1).double() / 2
    torch.testing.assert_close(levels, published.clamp(min=0), rtol=0, atol=1e-12)
    nearest = torch.cdist(x[sensitive], x[~sensitive], p=1).amin(1)
    assert bool((nearest >= found.radius[sensitive]).all())


@pytest.mark.parametrize("share", [0.05, 0.6])
def test_radii_in_columns_follow_from_exact_probabilities(share):
    model = AblatedClassifier(random_trees(2, each=6), torch.arange(6), 2, -3.0).with_share(share)
    x = torch.rand(12, 6, generator=seeded(1), dtype=torch.float64)
    radius = certify(model, x, ThreatModel(0, 0.0, 1.0), n=2000).radius
    for p, found in zip(probability(model, x).tolist(), radius.tolist(), strict=True):
        safe = [k for k in range(5) if p - (1 - math.comb(6 - k, 2) / math.comb(6, 2)) > share]
        assert found <= max(safe, default=0)
    assert bool((radius > 0).any())


# Votes are counted once


def test_what_remembers_has_the_verdicts_and_radii_of_what_does_not():
    x = torch.rand(60, 4, generator=seeded(0))
    for share in (0.5, 0.2, 0.8):
        model = centred(random_base(sigma=0.6).with_share(share), x)
        model.batch = 50
        plain, remembering = (QUICK.certify(each, x, [ThreatModel(2)])[0] for each in (model, model.remembering()))
        assert torch.equal(plain.radius, remembering.radius)
        assert torch.equal(plain.sensitive, remembering.sensitive)
        assert torch.equal(plain.abstained, remembering.abstained)
        assert 5 < int(plain.sensitive.sum()) < 55


@pytest.mark.parametrize(
    ("model", "certifier"),
    [
        (random_base(sigma=0.6), QUICK),
        (random_model(d=4, splits=40), Splitting()),
        (AblatedClassifier(random_trees(2, inputs=4), torch.arange(4), 1), Ablation(n0=20, n=100)),
    ],
)
def test_other_shares_count_nothing_anew_and_other_thresholds_do(model, certifier, monkeypatch):
    x = torch.rand(8, 4, generator=seeded(1))
    threats = [ThreatModel(0 if isinstance(certifier, Ablation) else 2, 0.0, 1.0)]
    fresh = [certifier.certify(model.with_share(share), x, threats)[0].radius for share in (0.2, 0.4)]
    kind, passes = type(model), []
    forward = kind.noisy if hasattr(kind, "noisy") else kind.split
    name = forward.__name__
    monkeypatch.setattr(kind, name, lambda *args: passes.append(1) or forward(*args))
    remembering = model.remembering()
    certifier.certify(remembering, x, threats)
    counted = len(passes)
    found = [certifier.certify(remembering.with_share(share), x, threats)[0].radius for share in (0.2, 0.4)]
    assert len(passes) == counted > 0
    assert all(torch.equal(first, second) for first, second in zip(fresh, found, strict=True))
    certifier.certify(remembering.with_threshold(model.threshold + 0.5), x, threats)
    assert len(passes) == 2 * counted
    certifier.certify(remembering, 1 - x, threats)
    assert len(passes) == 3 * counted


# Operating points, files, refusals


@pytest.mark.parametrize("model", [random_base(sigma=0.6), random_model(d=4, splits=301)])
def test_operating_points_are_shares_that_keep_to_their_rates_on_validation_data(model):
    x = torch.rand(300, 4, generator=seeded(0))
    model = model.with_threshold(float(model.scores(x).median()))
    split = Split(x, model.scores(x) + torch.randn(300, generator=seeded(1)).double() * 0.1 > model.threshold)
    points = operating_points_of(model, BinaryData("pair", split, split, split, "a", "b"))
    assert len(points) == len(RATES) + len(AROUND)
    shares = [point.model.share for point in points]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]
    for point in points:
        assert point.model.threshold == model.threshold
        alarms = (point.model.shares(x, 1000) > point.model.share)[~split.y].double().mean()
        assert float(alarms) <= point.max_fpr


def test_shares_are_not_so_small_that_the_other_class_could_not_be_established():
    """No noisy copy of a harmless sample is sensitive, so any share would keep to any rate."""
    x = torch.tensor([[1.0], [0.0]]).repeat(20, 2)
    split, model = Split(x, x[:, 0] > 0.5), half_space(sigma=0.05, threshold=0.5)
    points = operating_points_of(model, BinaryData("pair", split, split, split, "a", "b"))
    assert points
    assert all(point.model.share >= model.least_share for point in points)
    least, lower = (
        Smoothing().certify(model.with_share(model.least_share / part), x[:2], [ThreatModel(2)])[0] for part in (1, 3)
    )
    assert least.sensitive.tolist() == lower.sensitive.tolist() == [True, False]
    assert least.abstained.tolist() == [False, False]
    assert lower.abstained.tolist() == [False, True]


def test_a_model_file_holds_the_share(tmp_path):
    for model in (half_space(), random_model(d=2), AblatedClassifier(random_trees(0, inputs=2), torch.arange(2), 1)):
        x = torch.rand(5, 2, dtype=torch.float64)
        other = model.with_share(0.3)
        assert reloaded(other, x, tmp_path).share == 0.3
        assert reloaded(model, x, tmp_path).share == 0.5
        assert model.with_share(0.5).digest == model.digest != other.digest
        assert "share" not in model.parts()  # files of before stay as they are


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, math.nan, math.inf])
def test_shares_outside_are_refused(share):
    with pytest.raises(InputError, match="`share` must be a number above 0 and below 1"):
        half_space().with_share(share)
