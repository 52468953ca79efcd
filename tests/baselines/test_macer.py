"""MACER training of smoothed classifiers: its loss is the paper's, its gradients are finite, and it buys radius."""

import math

import pytest
import torch
from scipy import stats

from asymcert import datasets
from asymcert.certify import certify
from asymcert.errors import InputError
from asymcert.threats.model import ThreatModel
from asymcert.training.smoothing import SmoothingRecipe, macer_loss, train_smoothed

RECIPE = SmoothingRecipe(loss="macer", sigma=0.5, copies=8, sharpness=3.0, gamma=2.0, radius_weight=1.5)


def network(inputs):
    return 4.0 * (inputs.flatten(1).sum(1) - 1.0)


def by_hand(recipe, x, labels):
    """Algorithm 1 of Zhai et al., sample by sample, from logits of two classes and scipy's quantiles."""
    noise = torch.randn((len(x) * recipe.copies, *x.shape[1:]), generator=torch.Generator().manual_seed(0))
    total = 0.0
    for index, label in enumerate(labels.tolist()):
        odds = network(x[index] + recipe.sigma * noise.view(len(x), recipe.copies, -1)[index]).tolist()
        plain, sharp = (mean_softmax([factor * value for value in odds]) for factor in (1.0, recipe.sharpness))
        total -= math.log(plain[label])
        if sharp[label] > sharp[1 - label] and (label == 1 or not recipe.sensitive_only):
            gap = stats.norm.ppf(sharp[label]) - stats.norm.ppf(sharp[1 - label])
            total += recipe.radius_weight * recipe.sigma / 2.0 * max(recipe.gamma - gap, 0.0)
    return total / len(x)


def mean_softmax(odds):
    """Mean probabilities of classes 0 and 1 whose logits are 0 and the odds."""
    ones = [math.exp(value) / (1.0 + math.exp(value)) for value in odds]
    return 1.0 - sum(ones) / len(ones), sum(ones) / len(ones)


@pytest.mark.parametrize("changed", [{}, {"sensitive_only": True}, {"gamma": 6.0}, {"radius_weight": 0.0}])
def test_the_loss_is_the_paper_s(changed):
    x, labels = torch.rand(24, 2, generator=torch.Generator().manual_seed(1)), torch.arange(24) % 2
    recipe = SmoothingRecipe(**{**vars(RECIPE), **changed})
    loss = macer_loss(recipe, network, x, labels, torch.Generator().manual_seed(0))
    assert float(loss) == pytest.approx(by_hand(recipe, x, labels), rel=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_gradients_are_finite_however_sure_the_network_is(scale):
    weight = torch.full((2,), scale, requires_grad=True)
    x, labels = torch.rand(8, 2, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 2
    recipe = SmoothingRecipe(loss="macer", gamma=20.0)
    macer_loss(recipe, lambda moved: (moved - 0.5) @ weight, x, labels, torch.Generator().manual_seed(0)).backward()
    assert bool(weight.grad.isfinite().all())


def test_samples_whose_radius_suffices_are_left_alone():
    x, labels = torch.full((4, 2), 30.0), torch.ones(4, dtype=torch.long)
    assert float(macer_loss(RECIPE, network, x, labels, torch.Generator().manual_seed(0))) == pytest.approx(0, abs=1e-6)
    wrong = macer_loss(RECIPE, network, x, 1 - labels, torch.Generator().manual_seed(0))
    plain = SmoothingRecipe(**{**vars(RECIPE), "radius_weight": 0.0})
    assert wrong == macer_loss(plain, network, x, 1 - labels, torch.Generator().manual_seed(0)) > 100


def mean_radius(digits, seed, **own):
    """Of the sensitive class, on test data: what the paper's average certified radius is of."""
    recipe = SmoothingRecipe(epochs=12, batch_size=32, learning_rate=0.003, sigma=1.0, **own)
    model = train_smoothed(digits, sigma=1.0, seed=seed, recipe=recipe)
    certificate = certify(model, digits.test.x, ThreatModel(norm=2), n0=20, n=500, alpha=0.01)
    assert float((certificate.sensitive == digits.test.y).double().mean()) > 0.85
    return float(certificate.radius[digits.test.y].mean())


@pytest.mark.parametrize("seed", [0, 1])
def test_it_certifies_more_than_cross_entropy_does(seed):
    digits, own = datasets.load("digits-3-8"), {"loss": "macer", "sharpness": 2.0, "radius_weight": 1.0}
    assert mean_radius(digits, seed, **own) > 1.04 * mean_radius(digits, seed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"noise": "laplacian"}, "loss"),
        ({"stability": 1.0}, "loss"),
        ({"gamma": 21.0}, "gamma"),
        ({"copies": 0}, "copies"),
    ],
)
def test_refusals(changed, said):
    with pytest.raises(InputError, match=f"`{said}` must be"):
        SmoothingRecipe(**{**vars(RECIPE), **changed})
