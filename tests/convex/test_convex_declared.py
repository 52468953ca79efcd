"""Scores of one's own: convexity that is declared, checked on samples, and certificates by it."""

import json
import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from asymcert.attacks import ProjectedGradient
from asymcert.certify import certify
from asymcert.convex import ConvexMLP, check_convexity, declared
from asymcert.errors import InputError
from asymcert.features import Centre, Identity
from asymcert.features import declared as declared_map
from asymcert.models import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import Function, randomise, seeded

X = torch.rand(40, 6, generator=seeded(0))


class Plain(nn.Module):
    """An input-convex network as anybody writes it: the second layer is nonnegative, the input also goes around."""

    def __init__(self, negative=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.around = nn.Linear(6, 16), nn.Linear(6, 1)
        self.second = nn.Parameter(torch.rand(16, 1))
        with torch.no_grad():
            self.second[3] = torch.where(torch.tensor(negative > 0), -negative, self.second[3])

    def forward(self, x):
        return functional.relu(self.first(x)) @ self.second + self.around(x)


class Straight(nn.Module):
    """Convex values, with the gradients of something else."""

    def forward(self, x):
        return (x.square().sum(1) - x.sum(1)).detach() + x.sum(1)


CONVEX = {
    "network": Plain(),
    "peak of exponentials": Function(lambda x: torch.logsumexp(3 * x, 1)),
    "distance": Function(lambda x: (x.square().sum(1) + 1e-6).sqrt()),
    "greatest": Function(lambda x: (x - 0.5).abs().amax(1)),
    "affine": nn.Linear(6, 1),
}


def centred(score, feature_map=None):
    """A classifier of it with half of the inputs sensitive."""
    model = FeatureConvexClassifier(feature_map or Identity(), score, input_shape=(6,))
    return model.with_threshold(float(model.margin(X).median()))


@pytest.mark.parametrize("method", ["closed-form", "tangent", "refined"])
@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("name", CONVEX)
def test_certificates_of_modules_hold(name, norm, method):
    model = centred(declared(CONVEX[name], X))
    certificate = certify(model, X, ThreatModel(norm), method, sound=False)
    chosen = (certificate.radius > 0) & certificate.radius.isfinite()
    assert int(chosen.sum()) == 20
    sizes = certificate.radius[chosen] * 0.999
    attack = ProjectedGradient(30, 2).run(model, X[chosen], ThreatModel(norm), sizes, seeded(0))
    assert not bool(attack.success.any())


def test_radii_are_those_of_the_package_s_own_network():
    own = randomise(ConvexMLP((6,), (8, 4)), seeded(0))
    for method in ("closed-form", "tangent"):
        expected = certify(centred(own), X, ThreatModel(2), method, sound=False)
        found = certify(centred(declared(own, X)), X, ThreatModel(2), method, sound=False)
        assert torch.allclose(found.radius, expected.radius, rtol=1e-9)


def test_columns_are_counted():
    model = centred(declared(Plain(), X), Centre(torch.full((6,), 0.5)))
    counted = certify(model, X, ThreatModel(0, lower=0.0, upper=1.0), sound=False)
    assert bool((counted.radius <= counted.upper).all())
    assert float(counted.upper[counted.sensitive].min()) >= 1


def test_a_declared_score_above_a_declared_map():
    torch.manual_seed(0)
    turned = declared_map(parametrizations.orthogonal(nn.Linear(6, 6).double()), {2: 1.0}, X)
    model = centred(declared(Plain(), turned(X.double())), turned)
    certificate = certify(model, X, ThreatModel(2), sound=False)
    chosen = certificate.radius > 0
    attack = ProjectedGradient(30, 2).run(
        model, X[chosen], ThreatModel(2), certificate.radius[chosen] * 0.999, seeded(0)
    )
    assert int(chosen.sum()) == 20
    assert not bool(attack.success.any())


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1)),
        Function(lambda x: -x.square().sum(1)),
        Function(lambda x: x.clamp(max=0.5).sum(1)),
        Function(lambda x: x.prod(1)),
        Function(lambda x: x.square().sum(1) - 6e-3 * (20 * x[:, 0]).cos()),
        Plain(negative=0.01),
    ],
    ids=["tanh", "concave", "clamp", "product", "ripples", "negative weight"],
)
def test_modules_that_are_not_convex_are_refused_by_a_counterexample(module):
    with pytest.raises(InputError, match=r"`module` must be convex in its input.*got .* below .*: at ") as caught:
        declared(module, X)
    points = [json.loads(point) for point in re.findall(r"\[.*?\]", str(caught.value))]
    end, middle = (torch.tensor(point, dtype=torch.float64)[None] for point in points)
    middle.requires_grad_(True)
    value = module.double()(middle).sum()
    (slope,) = torch.autograd.grad(value, middle)
    assert (value + (slope * (end - middle)).sum()).item() > module(end).item()


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Straight(), r"with the gradients that autograd computes.*remove detach"),
        (Function(lambda x: x.detach().sum(1)), "differentiable by its input"),
        (Function(lambda x: x - x.mean(0)), r"one score for each sample.*shape \(40, 6\)"),
        (Function(lambda x: (x - x.mean(0)).square().sum(1)), "do not depend on other samples"),
        (Function(lambda x: (0 * x).sum(1).sqrt()), "`module's gradients` must be finite.*small number"),
        (Function(lambda x: (x / 0).sum(1)), "`module's values` must be finite"),
        (nn.Linear(5, 1), "`module` must be able to run on `x`"),
    ],
)
def test_refuses(module, message):
    with pytest.raises(InputError, match=message):
        declared(module, X)


def test_what_it_cannot_do_it_says(tmp_path):
    model = centred(declared(Plain(), X))
    for method in ("closed-form", "tangent"):
        with pytest.raises(InputError, match=r"able to bound its rounding.*sound=False"):
            certify(model, X, ThreatModel(2), method)
    with pytest.raises(InputError, match=r"to be saved, got a declared module\. Keep the code"):
        model.save(tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
    with pytest.raises(InputError, match="on features of shape"):
        FeatureConvexClassifier(Identity(), declared(Plain(), X), input_shape=(5,))


def test_the_copy_stays_what_it_is():
    module = Plain()
    score = declared(module, X)
    with torch.no_grad():
        module.second.neg_()
    check_convexity(score, X)
    assert not any(weight.requires_grad for weight in score.parameters())
    assert module.first.weight.dtype == torch.float32
    assert all(weight.requires_grad for weight in module.parameters())
