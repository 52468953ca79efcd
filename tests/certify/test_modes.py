"""Certificates hold under every mode that PyTorch can be put into, or are refused in one line."""

import pytest
import torch

from asymcert import ThreatModel, certify
from asymcert._floats import full_precision
from asymcert.attacks import ProjectedGradient, score
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.features import Centre
from asymcert.models.feature_convex import FeatureConvexClassifier
from contracts.models import balanced, randomise, seeded
from contracts.modes import MODES, lowered, switched

SHAPE = (1, 6, 6)


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


@pytest.mark.parametrize("mode", MODES)
def test_the_front_door_does_not_depend_on_the_mode(model, x, mode):
    few = x[:3]
    plain = certify(model, few, ThreatModel(2, 0, 1), method="tangent")
    with MODES[mode]():
        same = certify(model, few.detach().clone(), ThreatModel(2, 0, 1), method="tangent")
    assert torch.equal(same.radius, plain.radius)
    assert torch.equal(same.margin, plain.margin)
    assert not same.radius.is_inference()


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


ODD = {
    "sparse": lambda x: x.to_sparse(),
    "compressed": lambda x: x.flatten(1).to_sparse_csr(),
    "nested": lambda x: torch.nested.nested_tensor([x[0], x[1]], layout=torch.jagged),
    "no values": lambda x: x.to("meta"),
    "complex": lambda x: x.to(torch.complex64),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "masked": lambda x: torch.masked.masked_tensor(x, x > 0.5),
    "quantised": lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.quint8),
    "uint16": lambda x: x.to(torch.uint16),
    "integers that float64 does not hold": lambda x: x.long() + 2**60,
    "an array": lambda x: x.numpy(),
    "a number": lambda x: x.flatten()[0],
    "one sample": lambda x: x[0],
}


@pytest.mark.filterwarnings("ignore:Sparse", "ignore:The PyTorch API of", "ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("kind", ODD)
def test_odd_inputs_are_refused_in_one_line(model, x, kind):
    odd = ODD[kind](x[:3])
    threat, budget = ThreatModel(), torch.ones(3)
    for call in (
        lambda: certify(model, odd),
        lambda: certify(model, odd, method="refined"),
        lambda: model.margin(odd),
        lambda: ProjectedGradient().run(model, odd, threat, budget, seeded(0)),
        lambda: score(model, odd, x[:3], threat, budget),
    ):
        with pytest.raises(InputError, match=r"^`x` must be") as caught:
            call()
        assert "\n" not in str(caught.value)
    if kind in ("a number", "one sample"):
        assert "A single sample needs a batch dimension: x[None]." in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8, torch.bool, torch.int64])
def test_narrow_inputs_are_certified_as_the_numbers_they_hold(model, x, dtype):
    narrow = (4 * x[:50]).to(dtype)
    assert torch.equal(certify(model, narrow).radius, certify(model, narrow.double()).radius)


class Doubled(torch.Tensor):
    """A subclass with an arithmetic of its own."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        found = super().__torch_function__(func, types, args, kwargs or {})
        return found * 2 if func is torch.nn.functional.linear else found


def test_subclasses_and_steps_of_a_training_are_taken_as_the_numbers_they_hold(model, x):
    plain, traced = certify(model, x[:9]), x[:9].clone().requires_grad_(True)
    for other in (x[:9].as_subclass(Doubled), traced, torch.nn.Parameter(x[:9])):
        certificate = certify(model, other)
        assert torch.equal(certificate.radius, plain.radius)
        assert type(certificate.radius) is type(model.margin(other)) is torch.Tensor
        assert not certificate.margin.requires_grad
        result = ProjectedGradient(2, 1).run(model, other, ThreatModel(), torch.ones(9), seeded(0))
        assert not result.adversarial.requires_grad
    assert traced.grad is None


def test_switches_set_by_their_older_names_are_put_back():
    with switched(torch.set_float32_matmul_precision, "medium", "highest"):
        with full_precision(torch.device("cpu")):
            assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
        with full_precision(torch.device("cuda")):
            assert torch.backends.cuda.matmul.fp32_precision == torch.backends.cudnn.conv.fp32_precision == "ieee"
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
