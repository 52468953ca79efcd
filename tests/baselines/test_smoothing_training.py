"""Training of smoothed classifiers on real digits: it learns, balances, resumes; losses are what they say."""

import math

import pytest
import torch
from scipy import stats
from torch.nn import functional

from asymcert import datasets
from asymcert.certify import certify
from asymcert.errors import InputError, RunError
from asymcert.models.networks import BaseNetwork, base_network
from asymcert.threats.model import ThreatModel
from asymcert.training.smoothing import (
    SmoothingRecipe,
    SplittingRecipe,
    divergence,
    noisy_loss,
    setting_for,
    split_odds,
    train_smoothed,
    train_split,
)

FIT = {"epochs": 12, "batch_size": 32, "learning_rate": 0.003}
QUICK, QUICK_SPLIT = SmoothingRecipe(**FIT), SplittingRecipe(**FIT)
OPTIONS = {"n0": 20, "n": 300, "alpha": 0.01}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits-3-8")


def accuracies(certificate, y):
    """Of the sensitive class and of the other, an abstention being wrong."""
    right_other = ~certificate.sensitive if certificate.abstained is None else certificate.margin < 0
    return float(certificate.sensitive[y].double().mean()), float(right_other[~y].double().mean())


@pytest.mark.parametrize("stability", [0.0, 2.0])
@pytest.mark.parametrize("noise", ["gaussian", "laplacian", "uniform"])
def test_smoothed_classifiers_learn(digits, noise, stability):
    model = train_smoothed(digits, noise, stability=stability, recipe=QUICK)
    certificate = certify(model, digits.test.x, ThreatModel(norm=1), **OPTIONS)
    assert min(accuracies(certificate, digits.test.y)) > 0.8
    assert float(certificate.radius[digits.test.y].median()) > 0.1
    assert (model.noise, model.sigma, model.sensitive, model.other) == (noise, 0.25, "3", "8")
    assert model.info["config"]["stability"] == stability


def test_split_classifiers_learn(digits):
    model = train_split(digits, recipe=QUICK_SPLIT)
    certificate = certify(model, digits.test.x, ThreatModel(norm=1))
    assert min(accuracies(certificate, digits.test.y)) > 0.8
    assert float(certificate.radius[digits.test.y].median()) > 0.3
    assert model.splits == 663


def test_the_threshold_balances_validation_data(digits):
    """From a biased network too: the smoothed verdicts' accuracies differ by at most one sample and its ties."""
    model = train_smoothed(digits, sigma=0.6, recipe=QUICK)
    model.base.body[-1].bias.data += 1.0
    medians = model.noisy_medians(digits.val.x)
    y = digits.val.y
    assert abs(accuracy_gap(medians, model.threshold, y)) > 0.1
    balanced = model.with_threshold(model.threshold + 1.0)
    assert abs(accuracy_gap(medians, balanced.threshold, y)) <= 1.0 / int(y.sum()) + 1.0 / int((~y).sum())


def accuracy_gap(medians, threshold, y):
    right = (medians > threshold) == y
    return float(right[y].double().mean() - right[~y].double().mean())


def test_resumes_to_the_same_classifier(digits, tmp_path):
    path = tmp_path / "run"

    def stop(record):
        if record["epoch"] == 12:
            raise KeyboardInterrupt

    model = train_smoothed(digits, recipe=QUICK)
    expected = model.digest
    assert train_smoothed(digits, recipe=QUICK, seed=1).threshold != model.threshold
    assert train_smoothed(digits, recipe=QUICK, checkpoint=path).digest == expected
    assert train_smoothed(digits, recipe=QUICK, checkpoint=path, on_epoch=stop).digest == expected  # not run again
    with pytest.raises(RunError, match="another sigma"):
        train_smoothed(digits, sigma=0.5, recipe=QUICK, checkpoint=path)
    with pytest.raises(RunError, match=r"another .*model"):
        train_split(digits, recipe=QUICK_SPLIT, checkpoint=path)


def test_the_published_settings():
    class Named:
        def __init__(self, name):
            self.name = name

    for name, sigma, split, network in (
        ("mnist-3-8", 0.75, 3.0, "resnet-18"),
        ("fashion-shirts", 0.75, 0.75, "resnet-18"),
        ("cifar10-cats-dogs", 1.5, 1.5, "wide-resnet-40-2"),
        ("malimg", 14.0, 100.0, "resnet-18"),
    ):
        setting = setting_for(Named(name))
        assert (setting.sigma, setting.split_sigma, setting.network) == (sigma, split, network)


def test_divergence_is_scipys():
    first, second = torch.tensor([0.3, -2.0, 5.0]), torch.tensor([0.1, 1.0, 4.0])
    pairs = zip(torch.sigmoid(first).tolist(), torch.sigmoid(second).tolist(), strict=True)
    expected = [stats.entropy([p, 1 - p], [q, 1 - q]) for p, q in pairs]
    assert float(divergence(first, second)) == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_the_losses_see_noise_and_splits(digits):
    x, y = digits.train.x[:8], digits.train.y[:8]
    seen = []

    def network(inputs):
        seen.append(inputs)
        return inputs.flatten(1).sum(1)

    noisy_loss(SmoothingRecipe(sigma=0.5), network, x, y, torch.Generator().manual_seed(0))
    assert len(seen) == 1
    assert float((seen[0] - x).std()) == pytest.approx(0.5, rel=0.1)
    loss = noisy_loss(SmoothingRecipe(sigma=0.5, stability=3.0), network, x, y, torch.Generator().manual_seed(0))
    clean, noisy = network(x), network(seen[0])
    expected = functional.binary_cross_entropy_with_logits(clean, y.float()) + 3.0 * divergence(clean, noisy)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    model = train_split(digits, recipe=SplittingRecipe(epochs=1))
    split_odds(model, network, x, torch.Generator().manual_seed(0))
    shifts = torch.randint(model.splits, (8,), generator=torch.Generator().manual_seed(0))
    assert torch.equal(seen[-1], torch.stack([model.split(model.levels(x)[i], shifts[i])[0] for i in range(8)]))


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("mlp", (30,), 30 * 64 + 64 + 64 * 16 + 16 + 16 + 1),
        ("convnet", (1, 28, 28), None),
        ("resnet-18", (1, 28, 28), 11_170_753),  # torchvision's with one channel and one output
        ("wide-resnet-40-2", (3, 32, 32), 2_242_385),  # 2.2 million in the paper
    ],
)
def test_networks_can_be_rebuilt_from_their_options(name, shape, parameters):
    torch.manual_seed(0)
    network = base_network(name, shape, width=64 if name == "mlp" else 16, centre=0.5, scale=2.0).eval()
    x = torch.rand(2, *shape)
    again = BaseNetwork(**network.options()).eval()
    assert not torch.equal(again(x), network(x))
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(x), network(x))
    assert network(x).shape == (2,)
    assert torch.equal(network.body(2 * (x - 0.5))[:, 0], network(x))
    if parameters:
        assert sum(p.numel() for p in network.parameters()) == parameters
    assert network.activations > math.prod(shape)


@pytest.mark.parametrize(
    ("field", "value"), [("noise", "cauchy"), ("budget", "tpu"), ("stability", -1.0), ("sigma", 0.0)]
)
def test_refusals(digits, field, value):
    said = "preset" if field == "budget" else field
    with pytest.raises(InputError, match=f"`{said}` must be"):
        train_smoothed(digits, **{field: value})
    if field in ("budget", "sigma"):
        with pytest.raises(InputError, match=f"`{said}` must be"):
            train_split(digits, **{field: value})
