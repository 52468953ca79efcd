"""Networks of one's own as base of smoothing: votes, radii and refusals as of the package's own."""

import math

import pytest
import torch
from torch import nn

from asymcert import certify
from asymcert.errors import InputError
from asymcert.models import ModuleNetwork, SmoothedClassifier, SplitClassifier
from asymcert.models.networks import BaseNetwork
from asymcert.models.noise import NOISES
from asymcert.threats.model import ThreatModel
from contracts.models import seeded

QUICK = {"n0": 20, "n": 400, "alpha": 1e-4}
X = torch.rand(12, 4, generator=seeded(0))
NATURAL = {"gaussian": 2.0, "laplacian": 1.0, "uniform": 1.0}


class Scores(nn.Module):
    """Three classes, the middle one where the first two inputs add up to more than 1; the others are far below."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.0, 1.0, 0.0]))

    def forward(self, x):
        return (x[:, :2].sum(1, keepdim=True) - 1.0) * self.weight + torch.tensor([0.0, 0.0, -9.0])


class Rule(nn.Module):
    """No network at all."""

    def forward(self, x):
        return x.amax(1) - 0.5


def test_a_module_is_certified_as_the_package_s_own_network_is():
    torch.manual_seed(0)
    own = BaseNetwork("mlp", (4,), width=16)
    wrapped = ModuleNetwork(own.body, X)
    for build in (lambda base: SmoothedClassifier(base, "gaussian", 0.3), lambda base: SplitClassifier(base, 51)):
        one, other = build(own), build(wrapped)
        threshold = float(one.scores(X).median())
        options = QUICK if isinstance(one, SmoothedClassifier) else {}
        norm = 2 if isinstance(one, SmoothedClassifier) else 1
        found = [certify(m.with_threshold(threshold), X, ThreatModel(norm), **options) for m in (one, other)]
        assert torch.equal(found[0].radius, found[1].radius)
        assert torch.equal(found[0].margin, found[1].margin)
        assert bool((found[0].radius > 0).any())


@pytest.mark.parametrize("noise", NOISES)
def test_radii_stay_below_the_distance_to_a_plane(noise):
    """By symmetry of the noise, the verdict of votes on a half-space is that without noise."""
    model = SmoothedClassifier(ModuleNetwork(Scores(), X, sensitive_class=1), noise, 0.3, sensitive="middle")
    norm = NATURAL[noise]
    certificate = certify(model, X, ThreatModel(norm), **QUICK)
    above = X[:, :2].sum(1).double() - 1.0
    distance = above / (math.sqrt(2) if norm == 2 else 1.0)
    chosen = certificate.sensitive
    assert 2 <= int(chosen.sum()) <= int((above > 0).sum())
    assert bool((certificate.radius[chosen] <= distance[chosen]).all())
    assert torch.equal(model.margin(X) > 0, above > 0)


def test_the_margin_of_classes_is_the_module_s_own_verdict():
    torch.manual_seed(0)
    module = nn.Linear(4, 5)
    for index in range(5):
        network = ModuleNetwork(module, X, sensitive_class=index)
        assert torch.equal(network(X) > 0, module(X).argmax(1) == index)


def test_functions_without_weights_and_thresholds():
    model = SmoothedClassifier(ModuleNetwork(Rule(), X), "gaussian", 0.1, threshold=0.2)
    certificate = certify(model, X, **QUICK)
    assert bool((certificate.radius[certificate.sensitive] >= 0).all())
    assert bool(certificate.sensitive.any())
    assert torch.equal(model.predict(X), X.amax(1) - 0.5 > 0.2)


def test_the_user_s_module_stays_as_it_is():
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 1)).double()
    module.train()
    model = SmoothedClassifier(ModuleNetwork(module, X), "gaussian", 0.3)
    assert module.training
    assert all(weight.requires_grad and weight.dtype == torch.float64 for weight in module.parameters())
    assert model.activations >= 4 + 8 * 4 + 1
    assert model.dtype == torch.float32
    assert torch.equal(model.margin(X), model.margin(X))


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (nn.Linear(4, 3), {}, r"one margin for each sample, got shape \(1, 3\)\. Name the sensitive_class"),
        (nn.Linear(4, 3), {"sensitive_class": 3}, r"scores \(n, K\), K > 3, got shape \(1, 3\)"),
        (nn.Linear(4, 1), {"sensitive_class": 0}, r"scores \(n, K\), K > 1"),
        (nn.Linear(4, 3), {"sensitive_class": -1}, "`sensitive_class` must be an integer of at least 0"),
        (nn.Linear(5, 1), {}, "able to run on `x` in float32"),
        (nn.LSTM(4, 1), {}, "returns a tensor, got tuple"),
    ],
)
def test_refuses(module, options, message):
    with pytest.raises(InputError, match=message):
        ModuleNetwork(module, X, **options)


def test_it_cannot_be_saved(tmp_path):
    model = SmoothedClassifier(ModuleNetwork(nn.Linear(4, 1), X), "gaussian", 0.3)
    with pytest.raises(InputError, match=r"to be saved, got a module\. Keep the code"):
        model.save(tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
