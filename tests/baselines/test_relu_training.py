"""CROWN-IBP training: its bounds hold and are the certifier's, gradients flow, and it buys certified radius."""

import math

import pytest
import torch
from torch import nn

from asymcert import datasets, train
from asymcert.certify import certify
from asymcert.certify.relu.linear_bounds import Samples
from asymcert.certify.relu.relu_bounds import Network
from asymcert.certify.relu.slopes import best_bound
from asymcert.models.relu import score_layers
from asymcert.threats.model import ThreatModel
from asymcert.training.relu import Bounded, ReluRecipe
from asymcert.training.relu_bounds import linear_bound, lower_bound, ranges
from baselines.relu_models import balanced


def scored(seed, widths):
    """A model of threshold 0, whose margin is the score, and inputs."""
    model, x = balanced(seed, widths)
    return model.with_threshold(0.0), x


WIDTHS = pytest.mark.parametrize("widths", [(8,), (6, 5)])
NORM = pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
EPSILON = 0.3


@WIDTHS
@NORM
def test_bounds_hold_in_the_ball(widths, norm):
    """No descent from many starts gets below either bound, of the score and of its negative."""
    model, x = scored(1, widths)
    for sign in (1.0, -1.0):
        signs = torch.full((len(x),), sign, dtype=torch.float64)
        least = least_found(lambda moved, sign=sign: sign * model(moved), x, norm)
        for share in (0.0, 0.5, 1.0):
            bound = lower_bound(model.layers, x, EPSILON, norm, signs, share)
            assert bool((bound <= least).all())


def least_found(score, x, norm, starts=64, steps=40):
    """The least scores (n,) that normalised gradient steps, each put back into the ball, come to."""
    generator = torch.Generator().manual_seed(0)
    many = x.repeat(starts, 1)
    change = inside(torch.randn(many.shape, generator=generator, dtype=x.dtype), norm)
    least = torch.full((len(many),), math.inf, dtype=x.dtype)
    for step in range(steps):
        change.requires_grad_(True)
        value = score(many + change)
        (gradient,) = torch.autograd.grad(value.sum(), change)
        least = torch.minimum(least, value.detach())
        change = inside(change.detach() - steepest(gradient, norm) * EPSILON / (1 + step / 4), norm)
    return least.view(starts, len(x)).amin(0)


def steepest(gradient, norm):
    """The change of size 1 that raises most."""
    if norm == 1:
        return gradient.sign() * nn.functional.one_hot(gradient.abs().argmax(1), gradient.shape[1])
    return gradient.sign() if math.isinf(norm) else gradient / gradient.norm(dim=1, keepdim=True)


def inside(change, norm):
    """Clipped, or shrunk, to the ball; a little less for rounding."""
    if math.isinf(norm):
        return change.clamp(-EPSILON, EPSILON)
    size = torch.linalg.vector_norm(change, ord=norm, dim=1, keepdim=True)
    return change * (EPSILON * (1 - 1e-12) / size).clamp(max=1.0)


@WIDTHS
@NORM
def test_bounds_are_the_certifier_s(widths, norm):
    """Those without a box and before slopes are optimised, on the same intervals."""
    model, x = scored(2, widths)
    network = Network.of(model, sound=False)
    samples, radius = (
        Samples.of(network, x, ThreatModel(norm=norm)),
        torch.full((len(x),), EPSILON, dtype=torch.float64),
    )
    enclosure = samples.intervals(radius)
    ones, layers = torch.ones_like(radius), network.layers
    interval, linear = (lower_bound(layers, x, EPSILON, norm, ones, share) for share in (0.0, 1.0))
    torch.testing.assert_close(interval, enclosure.margin, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        linear, best_bound(network, samples.reach, radius, enclosure, 0).value, rtol=1e-9, atol=1e-9
    )
    assert bool((linear > interval + 1e-3).any())


def test_a_network_that_is_linear_in_the_ball_is_bounded_exactly():
    weight, bias = torch.tensor([[3.0, -4.0], [1.0, 0.0]]), torch.tensor([10.0, -10.0])  # one ReLU on, one off
    layers = [(weight, bias), (torch.tensor([[2.0, 5.0]]), torch.tensor([-1.0]))]
    x, signs = torch.tensor([[0.5, 0.5], [0.5, 0.5]]), torch.tensor([1.0, -1.0])
    score = 2.0 * (10.0 - 0.5) - 1.0
    for norm, slope in ((1.0, 8.0), (2.0, 10.0), (math.inf, 14.0)):
        expected = torch.tensor([score - 0.1 * slope, -score - 0.1 * slope])
        hidden = ranges(layers, x, 0.1, norm)[:-1]
        torch.testing.assert_close(linear_bound(layers, x, 0.1, norm, hidden, signs), expected)


@WIDTHS
def test_gradients_flow_from_the_first_step_on(widths):
    """Also at epsilon 0, where every ReLU's range has no width."""
    torch.manual_seed(0)
    x, labels = torch.rand(16, 1, 3, 3), torch.arange(16) % 2
    objective = Bounded(ReluRecipe(loss="crown-ibp", widths=widths, epsilon=0.2, norm="l2", beta=0.5), x)
    draws = torch.Generator()
    for progress in (0.0, 0.1, 1.0):
        objective.advance(progress)
        objective.zero_grad()
        objective(x, labels, draws).backward()
        for parameter in objective.parameters():
            assert bool(parameter.grad.isfinite().all())
            assert bool((parameter.grad != 0).any())


def test_the_loss_is_the_paper_s_mixture():
    """By hand: kappa of the clean loss and the rest of the bounds', those a mix by beta; one-sided, if asked for."""
    torch.manual_seed(0)
    x, labels = torch.rand(8, 5), torch.arange(8) % 2
    recipe = ReluRecipe(loss="crown-ibp", widths=(6,), epsilon=0.2, norm="l1", kappa=0.25, beta=0.4, ramp=0.5)
    objective, draws = Bounded(recipe, x), torch.Generator()
    objective.advance(0.25)  # half of the way: epsilon 0.1, kappa 0.625, beta 0.7
    layers, signs = score_layers(objective.network), 2.0 * labels - 1.0
    interval, linear = (lower_bound(layers, x, 0.1, 1.0, signs, share) for share in (0.0, 1.0))
    mixed, clean = signs * (0.3 * interval + 0.7 * linear), objective.network(x).diff(dim=1)[:, 0]
    for one_sided, worst in ((False, mixed), (True, torch.where(labels == 1, mixed, clean))):
        object.__setattr__(recipe, "sensitive_only", one_sided)
        parts = [nn.functional.softplus(-signs * scores).mean() for scores in (clean, worst)]
        torch.testing.assert_close(objective(x, labels, draws), 0.625 * parts[0] + 0.375 * parts[1])


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits-3-8")


def median(model, data, norm):
    """Of the certified radius of sensitive test samples; both classes are told apart."""
    right, sensitive = model.predict(data.test.x) == data.test.y, data.test.y
    assert min(float(right[chosen].double().mean()) for chosen in (sensitive, ~sensitive)) > 0.85
    certificate = certify(model, data.test.x[sensitive], ThreatModel(norm=norm), method="crown", steps=6)
    return float(certificate.radius.median())


def test_it_certifies_more_than_attacks_in_training_do(digits):
    """At the same epsilon in l_inf, and in l2 at one of the size of the digits' deviations."""
    options = {"epochs": 30, "widths": (32,), "learning_rate": 0.005, "batch_size": 32, "attack_steps": 7}
    attacked = train(digits, "relu", **options, epsilon=0.1)
    for name, norm, epsilon in (("linf", math.inf, 0.1), ("l2", 2.0, 0.6)):
        bounded = train(digits, "relu", **options, loss="crown-ibp", norm=name, epsilon=epsilon)
        assert median(bounded, digits, norm) > 1.1 * median(attacked, digits, norm)
