"""Modules of the user's own, as score, feature map and below smoothing: what all three refuse, and that they rest."""

import pytest
import torch
from torch import nn

from asymcert import convex, features
from asymcert.certify import certify
from asymcert.errors import InputError
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.module_network import ModuleNetwork
from asymcert.models.smoothed import SmoothedClassifier
from asymcert.models.splitting import SplitClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import Function, linear_score, seeded

X = torch.rand(20, 4, generator=seeded(0))
MAKERS = {
    "score": convex.declared,
    "map": lambda module, x: features.declared(module, {2: 9.0}, x),
    "network": ModuleNetwork,
}


BELOW = (lambda base: SmoothedClassifier(base, "gaussian", 0.25), lambda base: SplitClassifier(base, 4))


class Restless(nn.Module):
    """In training mode a sample's value depends on chance and on its batch."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))

    def forward(self, x):
        return self.inner(x)


def fails(x):
    raise IndexError("no such column")


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def test_the_module_stays_in_eval_mode_when_its_owner_is_set_to_training(make):
    torch.manual_seed(0)
    own = make(Restless(), X)
    x = X.to(next(own.parameters()).dtype)
    expected = own(x)
    own.train()
    assert not any(part.training for part in own.module.modules())
    assert torch.equal(own(x), expected)
    torch.testing.assert_close(own(x[:1]), expected[:1])


def test_a_certificate_of_a_model_in_training_mode_is_the_same():
    torch.manual_seed(0)
    model = FeatureConvexClassifier(features.Identity(), convex.declared(Restless(), X), input_shape=(4,))
    model = model.with_threshold(float(model.scores(X).median()))
    expected = certify(model, X, ThreatModel(2), sound=False).radius
    assert int((expected > 0).sum()) == 10
    assert torch.equal(certify(model.train(), X, ThreatModel(2), sound=False).radius, expected)


@pytest.mark.parametrize(
    ("module", "x", "said"),
    [
        (lambda x: x, X, r"`module` must be a torch.nn.Module, got function"),
        (nn.Linear, X, r"`module` must be a torch.nn.Module, got type. Build one"),
        (None, X, r"`module` must be a torch.nn.Module, got NoneType"),
        (nn.Linear(4, 1), X.numpy(), r"`x` must be a tensor of samples, got ndarray. Pass torch.as_tensor\(x\)"),
        (nn.Linear(4, 1), X[:0], r"`x` must be samples of shape"),
        (nn.Linear(4, 1), X[0], r"`x` must be samples of shape"),
        (nn.Linear(4, 1), X * torch.nan, r"`x` must be finite"),
        (nn.Linear(5, 1), X, r"`module` must be able to run on `x` in float(32|64), got mat1"),
        (Function(fails), X, r"able to run on `x`.*no such column"),
        (Function(lambda x: (x.sum(1) > 1).long()), X, r"of real values for each of \d+ samples, got torch.int64"),
        (
            Function(lambda x: x.sum(1)[:-1] if len(x) > 1 else x.sum(1)[:0]),
            X,
            r"of real values for each of \d+ samples",
        ),
        (Function(lambda x: [x.sum(1)]), X, r"returns a tensor, got list"),
    ],
)
def test_what_is_refused(make, module, x, said):
    with pytest.raises(InputError, match=said):
        make(module, x)


def test_values_that_depend_on_other_samples_are_refused():
    for name in ("score", "map"):
        with pytest.raises(InputError, match="do not depend on other samples"):
            MAKERS[name](Function(lambda x: (x - x.mean(0)).sum(1, keepdim=True)), X)


def test_constants_that_are_none_are_refused():
    for lipschitz in (1.0, [2], {}, None):
        with pytest.raises(InputError, match=r"`lipschitz` must be a constant by norm.*lipschitz=\{2: 1.0\}"):
            features.declared(nn.Linear(4, 4), lipschitz, X)


@pytest.mark.parametrize("build", BELOW)
def test_a_bare_module_below_noise_is_refused_with_the_remedy(build):
    with pytest.raises(InputError, match=r"`base` must be a network with an input_shape, got Linear.*ModuleNetwork"):
        build(nn.Linear(4, 1))


def test_a_score_of_the_package_s_own_can_be_declared_too():
    assert convex.declared(linear_score(torch.ones(4)), X).input_shape == (4,)
