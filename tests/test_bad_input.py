"""Bad input is refused with a message that names the argument, says what was got and, where it helps, the remedy."""

import dataclasses
import math
import re

import pytest
import torch

from asymcert._checks import check_device
from asymcert.certify import Certificate, certify, certify_each
from asymcert.convex import ConvexMLP
from asymcert.errors import AsymcertError, InputError
from asymcert.features import CentreAbsolute, Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import linear_model, linear_score

MODEL = linear_model(torch.ones(3).double(), 0.5)
X = torch.ones(2, 3)
nan, inf = math.nan, math.inf


def classifier(threshold=0.0, feature_map=None, shape=(3,), weight=None):
    score = linear_score(torch.ones(3) if weight is None else weight)
    return FeatureConvexClassifier(feature_map or Identity(), score, threshold, input_shape=shape)


def negative():
    score = ConvexMLP((3,), (2,))
    with torch.no_grad():
        score.hidden[0].weight.fill_(-0.25)  # pyright: ignore
    return FeatureConvexClassifier(Identity(), score, input_shape=(3,))


def certificate(radius, margin=1.0, slope=1.0, dtype=torch.float64):
    radius, margin, slope = (torch.as_tensor(value, dtype=dtype).reshape(-1) for value in (radius, margin, slope))
    return Certificate(radius, margin, slope, ThreatModel(), "made up")


CASES = {
    "norm below 1": (lambda: ThreatModel(norm=0.5), "`norm` must be a number in [1, inf], got 0.5."),
    "norm nan": (lambda: ThreatModel(norm=nan), "`norm` must be a number in [1, inf], got nan."),
    "norm text": (lambda: ThreatModel(norm="2"), "`norm` must be a number in [1, inf], got '2'."),
    "norm bool": (lambda: ThreatModel(norm=True), "`norm` must be a number in [1, inf], got True."),
    "cost zero": (
        lambda: ThreatModel(cost=torch.tensor([1.0, 0.0])),
        "`cost` must be positive, got a least cost of 0.",
    ),
    "cost negative": (lambda: ThreatModel(cost=-1.0), "`cost` must be positive, got a least cost of -1."),
    "cost infinite": (lambda: ThreatModel(cost=inf), "`cost` must be finite"),
    "lower nan": (lambda: ThreatModel(lower=nan), "`lower` must be finite"),
    "upper infinite": (lambda: ThreatModel(upper=inf), "`upper` must be finite"),
    "empty box": (
        lambda: ThreatModel(lower=1, upper=0),
        "`lower` must be at most `upper` everywhere, got an empty box.",
    ),
    "mutable of numbers": (lambda: ThreatModel(mutable=torch.ones(3)), "`mutable` must be a boolean tensor"),
    "mutable list": (lambda: ThreatModel(mutable=[True]), "`mutable` must be a torch.Tensor, got list. Convert it"),
    "direction list": (lambda: ThreatModel(direction=[1]), "`direction` must be a torch.Tensor, got list. Convert it"),
    "direction of 2": (lambda: ThreatModel(direction=torch.tensor([2])), "`direction` must be made of -1, 0 and 1"),
    "cost of another shape": (
        lambda: ThreatModel(cost=torch.ones(4)).cost_for((3,)),
        "`cost` must be broadcastable to",
    ),
    "box of another shape": (lambda: ThreatModel(lower=torch.zeros(4)).interval(X), "`lower` must be broadcastable to"),
    "outside the box": (
        lambda: ThreatModel(upper=0.5).interval(X),
        "`x` must be inside the box of the threat model, got 2 of 2 samples outside it.",
    ),
    "mask of another shape": (
        lambda: certify(MODEL, X, ThreatModel(mutable=torch.ones(4, dtype=torch.bool))),
        "`mutable` must be broadcastable to (3,), got shape (4,).",
    ),
    "x list": (lambda: certify(MODEL, [[1.0, 1.0, 1.0]]), "`x` must be a torch.Tensor, got list. Convert it with"),
    "x array": (lambda: certify(MODEL, X.numpy()), "`x` must be a torch.Tensor, got ndarray. Convert it with"),
    "x one sample": (lambda: certify(MODEL, X[0]), "A single sample needs a batch dimension: x[None]."),
    "x wide": (
        lambda: certify(MODEL, torch.ones(2, 4)),
        "`x` must be a real tensor of shape (n, 3), got torch.float32",
    ),
    "x complex": (
        lambda: certify(MODEL, X.to(torch.complex64)),
        "`x` must be a dense tensor of real numbers, got Tensor of torch.complex64",
    ),
    "x nan": (
        lambda: certify(MODEL, X * nan),
        "`x` must be finite, got 6 NaN or infinite entries, the first at [0, 0].",
    ),
    "x infinite": (lambda: certify(MODEL, X * inf), "`x` must be finite"),
    "unknown method": (
        lambda: certify(MODEL, X, method="magic"),
        "`method` must be one of ['ablation', 'branch-and-bound', 'closed-form', ",
    ),
    "threat is a number": (lambda: certify_each(MODEL, X, [2]), "`threat` must be a ThreatModel, got int."),
    "threshold nan": (lambda: classifier(nan), "`threshold` must be finite, got nan."),
    "threshold infinite": (lambda: MODEL.with_threshold(inf), "`threshold` must be finite, got inf."),
    "score of another shape": (lambda: classifier(shape=(4,)), "`score` must be a network on features of shape (4,)"),
    "map of another shape": (
        lambda: classifier(feature_map=CentreAbsolute(torch.zeros(3))),
        "`score` must be a network on features of shape (6,), got one on (3,). Build the score with",
    ),
    "negative weight": (negative, "`hidden.0.weight` must be nonnegative, got a least entry of -0.25. Call project_()"),
    "weight nan": (lambda: classifier(weight=torch.full((3,), nan)), "`direct.0.weight` must be finite"),
    "radius nan": (lambda: certificate(nan), "`radius` must be nonnegative"),
    "radius negative": (lambda: certificate(-1e-300), "`radius` must be nonnegative"),
    "radius without verdict": (lambda: certificate(0.1, -1.0), "`radius` must be 0 where the verdict is not sensitive"),
    "radius at a tie": (lambda: certificate(0.1, 0.0), "`radius` must be 0 where the verdict is not sensitive"),
    "radius without margin": (lambda: certificate(0.1, nan), "`radius` must be 0 where the verdict is not sensitive"),
    "radius in single precision": (lambda: certificate(1.0, dtype=torch.float32), "`radius` must be float64"),
    "radius of another shape": (lambda: certificate([1.0, 2.0]), "`radius` must be of the same shape as margin"),
}


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:99"])
def test_a_device_that_cannot_compute_is_refused_in_one_short_line(name):
    with pytest.raises(InputError, match=f"`device` must be one that torch can use here, got '{name}'") as caught:
        check_device(name)
    assert len(str(caught.value)) < 250
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("case", CASES)
def test_is_refused(case):
    call, message = CASES[case]
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        call()
    assert isinstance(caught.value, AsymcertError)
    assert isinstance(caught.value, ValueError)


def test_infinite_radii_and_empty_certificates_are_allowed():
    assert certificate(inf).radius.item() == inf
    assert len(certificate([], [], [])) == 0


def test_certificates_and_threat_models_are_frozen():
    for thing, name in ((certificate(1.0), "radius"), (ThreatModel(), "norm")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, 5.0)


def test_integer_inputs_are_converted():
    assert torch.equal(certify(MODEL, X.to(torch.uint8)).radius, certify(MODEL, X).radius)


def test_integers_that_single_precision_does_not_hold_stay_as_they_are():
    """Rounded to float32 these four would be two inputs, and a change of 2 could count as one of 4."""
    far = 2**24 + torch.arange(4)[:, None].repeat(1, 3)
    model = MODEL.with_threshold(3.0 * 2**24 - 1.5)
    assert torch.equal(model.margin(far), model.margin(far.double()))
    assert torch.equal(certify(model, far).radius, certify(model, far.double()).radius)
    with pytest.raises(InputError, match="integers below"):
        certify(model, far * 2**29)


def test_a_certificate_keeps_no_gradient():
    found = certify(MODEL, X.clone().requires_grad_())
    assert not found.radius.requires_grad
    assert torch.equal(found.radius, certify(MODEL, X).radius)
