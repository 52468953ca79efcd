"""Randomized smoothing: bounds against scipy, coverage where the truth is known, and the procedure."""

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats

from asymcert import certify
from asymcert.attacks import ProjectedGradient, score
from asymcert.certify.smoothing import Smoothing, lower_bounds
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.networks import BaseNetwork
from asymcert.models.noise import NOISES
from asymcert.models.noisy import DRAWS
from asymcert.models.smoothed import SmoothedClassifier
from asymcert.threats.model import ThreatModel
from contracts.files import reloaded

QUICK = Smoothing(n0=20, n=400, alpha=0.01)
NORMS = (1.0, 1.5, 2.0, math.inf)


def half_space(d=2, noise="gaussian", sigma=0.5, threshold=0.0):
    """A base whose log-odds are the first input, exactly: relu(u) - relu(-u) through two hidden layers."""
    base = BaseNetwork("mlp", (d,), width=8)
    for parameter in base.parameters():
        parameter.data.zero_()
    first, second, last = (layer for layer in base.body if isinstance(layer, torch.nn.Linear))
    first.weight.data[:2, 0] = torch.tensor([1.0, -1.0])
    second.weight.data[:2, :2] = torch.eye(2)
    last.weight.data[0, :2] = torch.tensor([1.0, -1.0])
    return SmoothedClassifier(base, noise, sigma, threshold)


def random_base(d=4, noise="gaussian", sigma=0.3, **options):
    torch.manual_seed(0)
    return SmoothedClassifier(BaseNetwork("mlp", (d,), width=16), noise, sigma, **options)


def centred(model, x):
    """The model with about half of `x` sensitive."""
    return model.with_threshold(float(model.noisy_medians(x).median()))


# Bounds on probabilities


@pytest.mark.parametrize(("n", "alpha"), [(50, 0.05), (1000, 0.001), (10_000, 0.001)])
def test_bounds_are_clopper_and_pearsons(n, alpha):
    bounds = lower_bounds(n, alpha)
    assert bounds.shape == (n + 1,)
    assert bool((bounds[1:] > bounds[:-1]).all())
    assert bounds[0] == 0
    for votes in {1, n // 3, n // 2, n - 1, n}:
        test = stats.binomtest(votes, n, alternative="greater")
        low = test.proportion_ci(confidence_level=1 - alpha, method="exact").low
        assert float(bounds[votes]) <= low
        assert float(bounds[votes]) == pytest.approx(low, rel=1e-9)
        assert stats.binom.sf(votes - 1, n, float(bounds[votes])) <= alpha  # so many votes are this unlikely below it
    assert bool((lower_bounds(n, alpha, sound=False)[1:] > bounds[1:]).all())


@pytest.mark.parametrize("n", [1, 2, 1000, 10_000])
def test_bounds_at_the_least_alpha_ascend_and_end_in_closed_form(n):
    """Below it they do not: some are no numbers, some are above the probability."""
    bounds = lower_bounds(n, 1e-100)
    assert bool((bounds[1:] > bounds[:-1]).all())
    assert float(bounds[n]) == pytest.approx(1e-100 ** (1 / n), rel=1e-9)


def coverage_inputs(n=1500):
    """Inputs with their true scores; the second coordinate makes their draws different."""
    x = torch.stack((torch.full((n,), 0.4), torch.linspace(0, 1, n)), dim=1)
    return x, stats.norm.cdf(float(x[0, 0]) / 0.5)


def test_the_claim_holds_as_often_as_it_says():
    """The smoothed score of a half-space is known; bounds and radii may exceed the truth in a share alpha of runs."""
    x, truth = coverage_inputs()
    model, certifier = half_space(), Smoothing(n0=20, n=200, alpha=0.1)
    certificate = certifier.certify(model, x, [ThreatModel(norm=2)])[0]
    wrong = certificate.margin + 0.5 > truth
    assert torch.equal(wrong, certificate.radius > x[:, 0].double())  # the radius is wrong exactly when the bound is
    assert int(wrong.sum()) <= stats.binom.ppf(0.999, len(x), 0.1)
    assert int(wrong.sum()) >= stats.binom.ppf(0.001, len(x), 0.04)  # and the bound is not needlessly loose


def test_a_point_estimate_fails_the_same_test():
    x, truth = coverage_inputs()
    share = half_space().sampled(x, 200).double() / 200
    assert int((share > truth).sum()) > stats.binom.ppf(0.999, len(x), 0.1)


# Attacks are judged by the smoothed verdict


def test_the_margin_that_certificates_are_about_is_bounded_from_above():
    """The half-space's probability is known; the bound falls below it in a share alpha of samples at most."""
    x, truth = coverage_inputs(400)
    wrong = half_space().margin_at_most(x, alpha=0.1) + 0.5 < truth
    assert stats.binom.ppf(0.001, len(x), 0.07) <= int(wrong.sum()) <= stats.binom.ppf(0.999, len(x), 0.1)
    everywhere = torch.tensor([[0.0, 0.1], [9.0, 0.0], [-9.0, 0.0]])  # on the boundary, all votes, none
    bound = half_space().margin_at_most(everywhere)
    assert 0 < float(bound[0]) < 0.05
    assert float(bound[1]) == 0.5
    assert float(bound[2]) == pytest.approx(0.001 ** (1 / DRAWS) * -1 + 0.5)
    assert half_space().margin_at_most(x[:0]).shape == (0,)


def dented_half_space():
    """As `half_space`, with a base that denies a thin slice of it: a tent about 0.6, of height 1."""
    model = half_space()
    first, second = (layer for layer in list(model.base.body)[:-1] if isinstance(layer, torch.nn.Linear))
    first.weight.data[2:5, 0] = 1.0
    first.bias.data[2:5] = -torch.tensor([0.55, 0.6, 0.65])
    second.weight.data[1, 2:5] = torch.tensor([20.0, -40.0, 20.0])
    return model


def test_fooling_the_base_alone_breaks_no_certificate():
    x = torch.tensor([[0.7, 0.1], [0.75, 0.2], [0.8, 0.3]])
    model, threat = dented_half_space(), ThreatModel(2)
    radius = Smoothing(n=2000).certify(model, x, [threat])[0].radius
    assert bool((radius > x[:, 0] - 0.6).all())
    result = score(model, x, torch.tensor([0.6, 0.0]) - x * torch.tensor([1.0, 0.0]), threat, radius)
    assert bool((model.margin(result.adversarial) < 0).all())
    assert bool((result.margin > 0).all())
    assert not bool(result.success.any())


def test_radii_of_smoothing_five_times_too_large_are_broken():
    x = torch.tensor([[0.2, 0.1], [0.3, 0.2], [0.4, 0.3], [-0.4, 0.3]])
    true = Smoothing(n=2000).certify(half_space(), x, [ThreatModel(2)])[0]
    generator = torch.Generator().manual_seed(0)
    false = ProjectedGradient().run(half_space(), x, ThreatModel(2), 5 * true.radius, generator)
    assert false.success.tolist() == [True, True, True, False]  # the last one was never sensitive


# The procedure


def full_run(model, certifier, sample):
    """The verdict from all draws: chosen class, or None, and the bound."""
    generator = model.generator(sample, certifier.seed)
    first = torch.cat(list(model.noisy_margins(sample, certifier.n0, generator))) > 0
    second = torch.cat(list(model.noisy_margins(sample, certifier.n, generator))) > 0
    chosen = 2 * int(first.sum()) > len(first)
    votes = int((second == chosen).sum())
    bound = float(lower_bounds(certifier.n, certifier.alpha)[votes])
    return (chosen if bound > 0.5 else None), bound


def test_ending_early_leaves_verdicts_and_radii_as_they_are():
    x = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))
    model = centred(random_base(sigma=0.6), x)
    model.batch = 50
    certificate = QUICK.certify(model, x, [ThreatModel(norm=2)])[0]
    kinds = set()
    for index, sample in enumerate(x):
        chosen, bound = full_run(model, QUICK, sample)
        kinds.add(chosen)
        assert bool(certificate.abstained[index]) == (chosen is None)
        assert bool(certificate.sensitive[index]) == (chosen is True)
        if chosen:
            assert float(certificate.margin[index]) == bound - 0.5
        elif chosen is False:
            assert 0.5 - bound <= float(certificate.margin[index]) < 0
    assert kinds == {True, False, None}


def test_an_input_on_the_boundary_is_abstained_from():
    x = torch.tensor([[0.0, 0.1], [0.0, 0.2], [1.5, 0.1], [-1.5, 0.1]])
    certificate = certify(half_space(), x, ThreatModel(norm=2), n=1000)
    assert certificate.method == "smoothing"
    assert certificate.abstained.tolist() == [True, True, False, False]
    assert certificate.sensitive.tolist() == [False, False, True, False]
    assert certificate.margin[:2].tolist() == [0.0, 0.0]
    assert (certificate.radius > 0).tolist() == [False, False, True, False]
    assert float(certificate.radius[2]) < 1.5


def test_radii_of_a_half_space_approach_the_distance():
    x = torch.tensor([[0.3, 0.0], [0.6, 0.5], [0.9, 1.0]])
    for kind in NOISES:
        model = half_space(noise=kind, sigma=0.6)
        radius = Smoothing(n=20_000).certify(model, x, [ThreatModel(norm=1)])[0].radius
        assert bool((radius < x[:, 0]).all())
        assert bool((radius > 0.85 * x[:, 0]).all())


def test_repeats_itself_and_does_not_depend_on_the_batch():
    x = torch.rand(12, 4, generator=torch.Generator().manual_seed(1))
    model, threats = centred(random_base(), x), [ThreatModel(norm=p) for p in NORMS]
    whole = QUICK.certify(model, x, threats)
    again = QUICK.certify(model, x.flip(0).double(), threats)
    for first, second in zip(whole, again, strict=True):
        assert torch.equal(first.radius, second.radius.flip(0))
        assert torch.equal(first.margin, second.margin.flip(0))
    alone = torch.cat([QUICK.certify(model, row[None], threats)[0].radius for row in x])
    assert torch.equal(alone, whole[0].radius)
    assert torch.equal(torch.cat([model.sampled(row[None], 300) for row in x]), model.sampled(x, 300))
    assert QUICK.certify(model, x[:0], threats)[0].radius.shape == (0,)
    assert model.sampled(x[:0], 10).shape == model.noisy_medians(x[:0]).shape == (0,)


def test_votes_do_not_depend_on_how_copies_are_batched():
    x = torch.rand(5, 4, generator=torch.Generator().manual_seed(1))
    model = centred(random_base(), x)
    expected = model.sampled(x, 640)
    model.batch = 64
    assert torch.equal(model.sampled(x, 640), expected)


@pytest.mark.parametrize("changed", [{"n0": 1}, {"n": 500}, {"alpha": 0.05}, {"seed": 1}, {"sound": False}])
def test_every_field_of_the_certifier_matters(changed):
    x = torch.rand(40, 4, generator=torch.Generator().manual_seed(1))
    model = centred(random_base(sigma=0.6), x)
    usual, other = (c.certify(model, x, [ThreatModel()])[0] for c in (QUICK, replace(QUICK, **changed)))
    assert not torch.equal(usual.radius, other.radius)


def test_medians_decide_as_majorities_do():
    x = torch.rand(50, 4, generator=torch.Generator().manual_seed(2))
    model = centred(random_base(sigma=0.6), x)
    majority = 2 * model.sampled(x, 101) > 101
    assert torch.equal(model.noisy_medians(x, 101) > model.threshold, majority)
    assert 10 < int(majority.sum()) < 40


def test_a_model_file_holds_everything(tmp_path):
    model = half_space(noise="laplacian", sigma=0.3, threshold=0.125)
    x = torch.rand(5, 2)
    assert torch.equal(reloaded(model, x, tmp_path).sampled(x, 200), model.sampled(x, 200))
    digests = {half_space(noise=kind, sigma=s).digest for kind in NOISES for s in (0.3, 0.5)}
    assert len(digests | {model.digest}) == 7


def test_runs_in_double_precision_too():
    x = torch.rand(10, 4, generator=torch.Generator().manual_seed(1))
    model = centred(random_base(), x)
    votes = model.sampled(x, 400)
    assert int((model.double().sampled(x, 400) - votes).abs().max()) <= 1  # a vote may turn by rounding


def test_stays_in_evaluation_mode():
    model = half_space()
    model.train()
    assert not any(module.training for module in model.modules())


def test_refusals():
    model, x = half_space(), torch.rand(3, 2)
    convex = FeatureConvexClassifier(Identity(), ConvexMLP((2,), hidden=(3,)), input_shape=(2,))
    with pytest.raises(InputError, match="SmoothedClassifier"):
        Smoothing().certify(convex, x, [ThreatModel()])
    with pytest.raises(InputError, match="inside the box"):
        QUICK.certify(model, x + 1, [ThreatModel(upper=1)])
    with pytest.raises(InputError, match="`x` must be finite"):
        QUICK.certify(model, x * math.nan, [ThreatModel()])
    for field in ({"n0": 0}, {"n": 0}, {"alpha": 0.0}, {"alpha": 1e-200}, {"alpha": 0.6}, {"seed": -1}):
        with pytest.raises(InputError, match=f"`{next(iter(field))}` must be"):
            Smoothing(**field)
    with pytest.raises(InputError, match="`noise` must be"):
        SmoothedClassifier(model.base, "cauchy", 1.0)
    with pytest.raises(InputError, match="`sigma` must be"):
        SmoothedClassifier(model.base, "gaussian", 0.0)
    with pytest.raises(InputError, match="`input_shape` must be"):
        BaseNetwork("resnet-18", (4,))
    diverged = BaseNetwork("mlp", (2,), width=8)
    diverged.body[1].weight.data[0] = math.nan
    with pytest.raises(InputError, match="finite weights"):
        SmoothedClassifier(diverged, "gaussian", 1.0)
