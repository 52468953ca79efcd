"""Splitting noise: the split against exact fractions, radii against every input that there is."""

import itertools
import math
from fractions import Fraction

import pytest
import torch

from asymcert import certify
from asymcert.attacks import ProjectedGradient, RandomSearch
from asymcert.certify import splitting as certificates
from asymcert.certify.splitting import Splitting
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.features import Identity
from asymcert.models import splitting
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.networks import BaseNetwork
from asymcert.models.splitting import SplitClassifier, splits_for
from asymcert.threats.model import ThreatModel
from contracts.baselines import BaselineContract
from contracts.files import reloaded

MANHATTAN = ThreatModel(norm=1)


@pytest.fixture
def few_levels(monkeypatch):
    """Six levels instead of 255, so that all inputs can be tried."""
    monkeypatch.setattr(splitting, "LEVELS", 6)
    monkeypatch.setattr(certificates, "LEVELS", 6)
    return 6


def random_model(d=3, splits=9, seed=0):
    """A base of large weights, so that its verdict changes often."""
    torch.manual_seed(seed)
    base = BaseNetwork("mlp", (d,), width=32)
    for parameter in base.parameters():
        parameter.data.mul_(4.0)
    return SplitClassifier(base, splits, seed=seed)


def all_inputs(levels, d=3):
    """Every input at whole levels: float64 ((levels + 1)^d, d)."""
    steps = torch.arange(levels + 1, dtype=torch.float64) / levels
    return torch.cartesian_prod(*[steps] * d)


def balanced(model, x):
    return model.with_threshold(float(model.split_medians(x, model.splits).median()))


# What every deterministic certificate must satisfy


class TestContract(BaselineContract):
    samples = 6

    @pytest.fixture
    def certifier(self):
        return Splitting()

    def model(self, seed):
        return random_model(d=6, splits=101, seed=seed)

    def balanced(self, seed):
        x = (self.inputs(seed) * 255).round() / 255
        return balanced(self.model(seed), x), x

    def test_attacks_that_succeed_inside_would_be_seen(self, certifier):
        """By search: counts of votes have no gradient."""
        model, x = self.balanced(5)
        threat = ThreatModel(norm=2)
        certificate = certifier.certify(model, x, [threat])[0]
        budget = certificate.radius[certificate.sensitive] * 4.0 + 0.1
        chosen, draws = x[certificate.sensitive], torch.Generator().manual_seed(0)
        assert RandomSearch(steps=40).run(model, chosen, threat, budget, draws).success.any()


# The noise


@pytest.mark.parametrize("splits", [1, 3, 6, 7, 20])
def test_a_split_is_the_middle_of_the_interval_between_cuts(few_levels, splits):
    """In exact fractions, from all cuts of a feature that fall between 0 and 1."""
    model = random_model(splits=splits)
    levels, shifts = torch.tensor([0.0, 2.0, 6.0]), torch.arange(splits)
    seen = model.split(levels, shifts)
    for shift, feature in itertools.product(range(splits), range(3)):
        first = (int(model.offsets[feature]) + shift) % splits + Fraction(1, 2)
        cuts = [first + splits * turn for turn in range(-20, 21)]
        value = int(levels[feature])
        low, high = max(c for c in cuts if c < value), min(c for c in cuts if c > value)
        middle = (max(low, Fraction(0)) + min(high, Fraction(few_levels))) / (2 * few_levels)
        assert float(seen[shift, feature]) == pytest.approx(float(middle), abs=1e-7)


def test_every_features_cuts_are_uniform(few_levels):
    """Over all shifts a feature's value as seen takes each of its possibilities equally often."""
    model = random_model(splits=20)
    seen = model.split(torch.tensor([3.0, 3.0, 3.0]), torch.arange(20))
    assert torch.equal(seen.sort(0).values[:, 0], seen.sort(0).values[:, 1])
    assert not torch.equal(seen[:, 0], seen[:, 1])  # but the offsets differ


def test_votes_are_counted_over_all_splits_whatever_the_batches(few_levels):
    x = all_inputs(few_levels)[::40]
    model = balanced(random_model(splits=50), x)
    model.batch = 7
    seen = [model.split(row * few_levels, torch.arange(50)) for row in x]
    expected = [int((model.base(rows) > model.threshold).sum()) for rows in seen]
    assert model.votes(x).tolist() == expected
    assert len(set(expected)) > 3


def test_the_published_widths():
    """lambda = sqrt 3 sigma, in whole levels: 5.196 for MNIST, so no l1 radius exceeds that."""
    assert splits_for(3.0) == 2650
    assert random_model(splits=splits_for(3.0)).width / 2 == pytest.approx(math.sqrt(3) * 3, rel=1e-3)
    assert splits_for(1e-6) == 1
    with pytest.raises(InputError, match="`sigma` must be"):
        splits_for(0.0)


# The certificate


@pytest.mark.parametrize("splits", [1, 4, 6, 9, 15])
def test_votes_change_by_at_most_the_l1_distance_in_levels(few_levels, splits):
    x = all_inputs(few_levels)
    votes = balanced(random_model(splits=splits), x).votes(x)
    distance = torch.cdist(x * few_levels, x * few_levels, p=1).round().long()
    change = (votes[:, None] - votes[None]).abs()
    assert bool((change <= distance).all())
    assert int(((change == distance) & (distance > 0)).sum()) > 0


@pytest.mark.parametrize("splits", [4, 9, 15])
def test_radii_at_whole_levels_hold_against_every_input_at_whole_levels(few_levels, splits):
    x = all_inputs(few_levels)
    model = balanced(random_model(splits=splits), x)
    certificate = Splitting().certify(model, x, [MANHATTAN])[0]
    votes = model.votes(x)
    published = ((2 * votes - splits).double() / (2 * few_levels)).clamp(min=0)
    torch.testing.assert_close(certificate.radius, published, rtol=0, atol=1e-12)
    assert bool((certificate.radius <= published).all())
    sensitive = certificate.sensitive
    assert 0.1 < float(sensitive.double().mean()) < 0.9
    nearest = torch.cdist(x[sensitive], x[~sensitive], p=1).amin(1)
    assert bool((nearest >= certificate.radius[sensitive]).all())


@pytest.mark.parametrize("off", [0.0, 0.03])
def test_radii_hold_against_all_changes_in_between(few_levels, off):
    """A fine grid of two features, for inputs at whole levels and beside them; also outside [0, 1]."""
    model = random_model(d=2, splits=9, seed=4)
    whole = all_inputs(few_levels, 2)
    model = balanced(model, whole)
    x = whole + off * torch.tensor([1.0, -1.0], dtype=torch.float64)
    steps = torch.linspace(-0.3, 1.3, 65, dtype=torch.float64)
    fine = torch.cartesian_prod(steps, steps)
    certificate = Splitting().certify(model, x, [MANHATTAN])[0]
    assert int((certificate.radius > 0).sum()) > 5
    inside = torch.cdist(x, fine, p=1) < certificate.radius[:, None]
    votes = model.votes(fine)
    flipped = model.margin_of(votes, model.distance(fine)) <= 0
    assert not bool((inside & flipped).any())
    if not off:  # without the term for the distance it would not hold
        assert bool((inside & (2 * votes <= model.splits)).any())


def test_rounding_cannot_undo_a_verdict_within_the_radius():
    """At the very edge: one vote to spare, all of the radius spent on half a level of each feature."""
    model = balanced(random_model(d=40, splits=301), torch.rand(50, 40, dtype=torch.float64))
    x = torch.randint(0, 256, (200, 40), generator=torch.Generator().manual_seed(0)).double() / 255
    certificate = Splitting().certify(model, x, [MANHATTAN])[0]
    held = certificate.radius > 0
    assert int(held.sum()) > 20
    x, radius = x[held], certificate.radius[held]
    generator = torch.Generator().manual_seed(1)
    for _ in range(30):
        step = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        step[torch.rand(x.shape, generator=generator) < 0.9] = 0
        size = step.abs().sum(1, keepdim=True).clamp(min=1e-9)
        assert bool(model.predict(x + step / size * radius[:, None] * (1 - 1e-9)).all())


def test_projected_gradients_find_nothing():
    x = torch.rand(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = balanced(random_model(d=4, splits=401), x)
    for threat in (MANHATTAN, ThreatModel(norm=2, lower=0, upper=1), ThreatModel(norm=math.inf)):
        certificate = Splitting().certify(model, x, [threat])[0]
        held = certificate.radius > 0
        assert bool(held.any())
        radius = certificate.radius[held] * (1 - 1e-9)
        result = ProjectedGradient(steps=10).run(model, x[held], threat, radius, torch.Generator().manual_seed(0))
        assert not result.success.any()


def test_margin_and_verdict_are_the_deployed_ones():
    x = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    model = balanced(random_model(splits=101), x)
    threats = [ThreatModel(norm=p) for p in (1.0, 2.0, math.inf)]
    found = Splitting().certify(model, x, threats)
    for certificate in found:
        assert torch.equal(certificate.margin, model.margin(x))
        assert torch.equal(certificate.sensitive, model.predict(x))
        assert bool((certificate.radius[~certificate.sensitive] == 0).all())
        assert certificate.abstained is None
    torch.testing.assert_close(found[2].radius, found[0].radius / 3)
    torch.testing.assert_close(found[1].radius, found[0].radius / math.sqrt(3))
    assert certify(model, x, MANHATTAN).method == "splitting"
    loose = Splitting(sound=False).certify(model, x, threats)[0]
    assert bool((loose.radius >= found[0].radius).all())
    assert not torch.equal(loose.radius, found[0].radius)


def test_does_not_depend_on_the_batch_or_on_the_precision_of_the_input():
    x = torch.rand(9, 3, generator=torch.Generator().manual_seed(0))
    model = balanced(random_model(splits=101), x)
    whole = Splitting().certify(model, x, [MANHATTAN])[0].radius
    alone = torch.cat([Splitting().certify(model, row[None].double(), [MANHATTAN])[0].radius for row in x])
    assert torch.equal(whole, alone)
    assert len(Splitting().certify(model, x[:0], [MANHATTAN])[0]) == 0
    assert model.split_medians(x[:0]).shape == (0,)


def test_medians_decide_as_counts_do(few_levels):
    x = all_inputs(few_levels)[::5]
    for splits in (8, 9):
        model = balanced(random_model(splits=splits), x)
        medians = model.split_medians(x, splits)
        assert torch.equal(medians > model.threshold, 2 * model.votes(x) > splits)


def test_a_model_file_holds_everything(tmp_path):
    model = random_model(splits=33).with_threshold(0.25)
    assert torch.equal(reloaded(model, torch.rand(6, 3), tmp_path).offsets, model.offsets)
    assert len({random_model(splits=33, seed=1).digest, random_model(splits=34).digest, model.digest}) == 3


def test_refusals():
    model, x = random_model(), torch.rand(3, 3)
    convex = FeatureConvexClassifier(Identity(), ConvexMLP((3,), hidden=(3,)), input_shape=(3,))
    with pytest.raises(InputError, match="SplitClassifier"):
        Splitting().certify(convex, x, [MANHATTAN])
    with pytest.raises(InputError, match="inside the box"):
        Splitting().certify(model, x + 1, [ThreatModel(upper=1)])
    with pytest.raises(InputError, match="`x` must be finite"):
        Splitting().certify(model, x * math.nan, [MANHATTAN])
    for splits in (0, 2**21, 1.5):
        with pytest.raises(InputError, match="`splits` must be"):
            SplitClassifier(model.base, splits)
    for offsets in (torch.tensor([0, 1, 9]), torch.tensor([0.5, 1, 2]), torch.tensor([0, 1])):
        with pytest.raises(InputError, match="`offsets` must be"):
            SplitClassifier(model.base, 9, offsets)
