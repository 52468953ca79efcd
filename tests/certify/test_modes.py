"""Certificates hold under every mode that PyTorch can be put into, or are refused in one line."""

import contextlib
import math

import pytest
import torch

from asymcert import ThreatModel, certify
from asymcert.certify import certifier_for
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.features import Centre
from asymcert.linf.net import LinfDistanceNet
from asymcert.models import ConvexConcaveClassifier, DistanceClassifier, LipschitzClassifier, SplitClassifier
from asymcert.models.cayley import cayley_network
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.networks import base_network
from contracts.models import balanced, randomise, seeded

SHAPE = (1, 6, 6)


@contextlib.contextmanager
def lowered(precision):
    """Products of float32 numbers may be computed in less."""
    products = torch.backends.mkldnn.matmul
    before, products.fp32_precision = products.fp32_precision, precision
    yield
    assert products.fp32_precision == precision
    products.fp32_precision = before


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    yield
    torch.set_default_dtype(before)


MODES = {
    "plain": contextlib.nullcontext,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast float16": lambda: torch.autocast("cpu", torch.float16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "bfloat16 products": lambda: lowered("bf16"),
    "TF32 products": lambda: lowered("tf32"),
    "default float64": lambda: default_dtype(torch.float64),
    "default bfloat16": lambda: default_dtype(torch.bfloat16),
}
METHODS = ("closed-form", "tangent", "refined", "exact")


@pytest.fixture(scope="module")
def x():
    return torch.rand(400, *SHAPE, generator=seeded(5))


@pytest.fixture(scope="module")
def model(x):
    """A float32 network with a threshold among the scores, so that many margins are small."""
    generator = seeded(3)
    feature_map = Centre(torch.rand(SHAPE, generator=generator))
    model = balanced(feature_map, randomise(ConvexMLP(SHAPE, (32, 16)), generator), x.double())
    scores = model.margin(x) + model.threshold
    return model.with_threshold(float(scores.quantile(0.05))).float()


def moved_inside(model, x, certificate, share=0.999):
    """Every sample moved by nearly its radius along the steepest fall of the margin."""
    exact = FeatureConvexClassifier(model.feature_map, model.score, model.threshold, input_shape=SHAPE)
    point = x.double().requires_grad_(True)
    (gradient,) = torch.autograd.grad(exact.forward(point).sum(), point)
    step = gradient / gradient.flatten(1).norm(dim=1).clamp(min=1e-30).view(-1, 1, 1, 1)
    return (x.double() - share * certificate.radius.view(-1, 1, 1, 1) * step).float()


@pytest.mark.parametrize("mode", MODES)
def test_no_radius_is_undone_from_inside(model, x, mode):
    certificate = certify(model, x, method="closed-form")
    chosen = certificate.radius > 0
    moved = moved_inside(model, x, certificate)
    with MODES[mode]():
        assert bool(model.predict(moved)[chosen].all())
        assert bool((model(moved)[chosen] > 0).all())
        assert torch.equal(model.margin(x), model(x))
    assert torch.equal(model.margin(x), model.forward(x))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", MODES)
def test_certificates_do_not_depend_on_the_mode(model, x, mode, method):
    few = x[:3]
    plain = certify(model, few, ThreatModel(2, 0, 1), method=method)
    with MODES[mode]():
        same = certify(model, few.clone(), ThreatModel(2, 0, 1), method=method)
        direct = certifier_for(method).certify(model, few.clone(), [ThreatModel(2, 0, 1)])[0]
    for other in (same, direct):
        assert torch.equal(other.radius, plain.radius)
        assert torch.equal(other.margin, plain.margin)
        assert not other.radius.is_inference()


def test_the_protection_is_needed(model, x):
    certificate = certify(model, x)
    chosen = certificate.radius > 0
    moved = moved_inside(model, x, certificate)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        coarse = model.forward(moved)  # what a call would compute without it
    assert int((coarse[chosen] <= 0).sum()) > 3


def test_modes_are_put_back(model, x):
    with torch.autocast("cpu", torch.bfloat16), lowered("bf16"):
        model.predict(x[:2])
        assert torch.is_autocast_enabled("cpu")
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_compiled_and_channels_last(model, x):
    certificate = certify(model, x)
    moved = moved_inside(model, x, certificate)[certificate.radius > 0]
    compiled = torch.compile(model, backend="aot_eager")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert bool((compiled(moved) > 0).all())
    last = moved.contiguous(memory_format=torch.channels_last)
    assert bool(model.predict(last).all())
    assert torch.equal(certify(model, x.contiguous(memory_format=torch.channels_last)).radius, certificate.radius)


def test_tensors_made_in_inference_mode(model, x):
    with torch.inference_mode():
        made = x * 1.0
        loaded = FeatureConvexClassifier(model.feature_map, model.score, model.threshold, input_shape=SHAPE)
    assert made.is_inference()
    assert torch.equal(certify(model, made).radius, certify(model, x).radius)
    with pytest.raises(InputError, match="built outside torch"):
        certify(loaded, x)


def test_a_model_loaded_in_inference_mode_certifies(model, x, tmp_path):
    model.save(tmp_path / "model")
    with torch.inference_mode():
        loaded = FeatureConvexClassifier.load(tmp_path / "model")
        inside = certify(loaded, x)
    assert torch.equal(certify(loaded, x).radius, inside.radius)
    assert torch.equal(certify(loaded.float(), x).radius, certify(model, x).radius)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_models_in_half_precision_are_refused(model, x, method, dtype):
    coarse = FeatureConvexClassifier(model.feature_map, model.score, model.threshold, input_shape=SHAPE).to(dtype)
    with pytest.raises(InputError, match="deployed in float32 or float64"):
        certify(coarse, x[:2], method=method)


ODD = {
    "sparse": lambda x: x.to_sparse(),
    "compressed": lambda x: x.flatten(1).to_sparse_csr(),
    "nested": lambda x: torch.nested.nested_tensor([x[0], x[1]], layout=torch.jagged),
    "no values": lambda x: x.to("meta"),
    "complex": lambda x: x.to(torch.complex64),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "an array": lambda x: x.numpy(),
    "a number": lambda x: x.flatten()[0],
    "one sample": lambda x: x[0],
}


@pytest.mark.filterwarnings("ignore:Sparse", "ignore:The PyTorch API of nested")
@pytest.mark.parametrize("kind", ODD)
def test_odd_inputs_are_refused_in_one_line(model, x, kind):
    odd = ODD[kind](x[:3])
    for call in (lambda: certify(model, odd), lambda: model.margin(odd), lambda: certify(model, odd, method="refined")):
        with pytest.raises(InputError, match=r"^`x` must be") as caught:
            call()
        assert "\n" not in str(caught.value)
    if kind in ("a number", "one sample"):
        assert "A single sample needs a batch dimension: x[None]." in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8, torch.bool, torch.int64])
def test_narrow_inputs_are_certified_as_the_numbers_they_hold(model, x, dtype):
    narrow = (4 * x[:50]).to(dtype)
    assert torch.equal(certify(model, narrow).radius, certify(model, narrow.double()).radius)


def kinds():
    """A small classifier of every other kind, in float32."""
    generator = seeded(7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = DistanceClassifier(LinfDistanceNet(SHAPE, 2, width=16, depth=2))
        lipschitz = LipschitzClassifier.fold(cayley_network(SHAPE, (8,)), input_shape=SHAPE)
        scores = [randomise(ConvexMLP(SHAPE, (8,)), generator) for _ in range(3)]
        split = SplitClassifier(base_network("mlp", SHAPE, width=16), 5, seed=0)
    concave = ConvexConcaveClassifier(
        Centre(torch.rand(SHAPE)), scores[0], scores[1:], input_shape=SHAPE, classes="abc"
    )
    return [kind.float() for kind in (net, lipschitz, concave, split)]


@pytest.mark.parametrize("model", kinds(), ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("mode", ["autocast", "bfloat16 products", "inference mode"])
def test_every_kind_answers_and_certifies_alike(model, x, mode):
    few, threat = x[:4], ThreatModel(math.inf)
    answers = [name for name in ("margin", "logits", "votes") if hasattr(model, name)]
    given = few if not isinstance(model, SplitClassifier) else few.float()
    plain = {name: getattr(model, name)(given) for name in answers}
    certificate = certify(model, few, threat)
    with MODES[mode]():
        for name in answers:
            assert torch.equal(getattr(model, name)(given.clone()), plain[name]), name
        assert torch.equal(certify(model, few.clone(), threat).radius, certificate.radius)
        assert all(len(getattr(model, name)(given[:0])) == 0 for name in answers)
