"""The deployed classifier: its decision, what it is made of, and what it refuses."""

import math

import pytest
import torch
from safetensors.torch import load, save

from asymcert.errors import InputError, ModelFileError
from asymcert.linf.net import LinfDistanceNet
from asymcert.models.base import BinaryClassifier
from asymcert.models.distance_net import DistanceClassifier, others
from asymcert.models.feature_convex import FeatureConvexClassifier


def build(classes=3, **options):
    torch.manual_seed(0)
    net = LinfDistanceNet((2, 3, 3), classes=classes, width=8, depth=2, deviation=0.3, **options)
    for _ in range(10):
        net(torch.rand(8, 2, 3, 3))
    return net, torch.rand(30, 2, 3, 3)


def test_the_margin_is_the_gap_to_the_best_other_class():
    net, x = build()
    model = DistanceClassifier(net, 0.1, classes=("a", "b", "c"), sensitive_class=1)
    logits = net.eval().double()(x.double()) * 0.3
    expected = logits[:, 1] - torch.maximum(logits[:, 0], logits[:, 2]) - 0.1
    torch.testing.assert_close(model.margin(x), expected, rtol=0, atol=1e-12)
    assert torch.equal(model.predict(x), expected > 0)
    assert torch.equal(model.predict_class(x), logits.argmax(1))
    assert (model.sensitive, model.other) == ("b", "a/c")
    torch.testing.assert_close(model.with_threshold(0.0).margin(x), expected + 0.1, rtol=0, atol=1e-12)
    assert model.threshold == 0.1


def test_others_leaves_each_rows_own_class_out():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    assert others(logits, 0).tolist() == [2.0, 2.0]
    assert others(logits, torch.tensor([0, 2])).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("options", [{}, {"head": 4}, {"convolutions": ((3, 2, 1),)}])
def test_contents_are_all_there_is(options):
    net, x = build(**options)
    model = DistanceClassifier(net, 0.25, classes=("a", "b", "c"), sensitive_class=0, info={"seed": 3})
    tensors, metadata = model.contents()
    state = torch.random.get_rng_state()
    again = DistanceClassifier.from_contents(load(save(tensors)), metadata)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(again.margin(x), model.margin(x))
    assert torch.equal(again.logits(x), model.logits(x))
    assert again.contents()[1] == metadata
    assert again.net.p == math.inf
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_saved_it_is_the_same_classifier(tmp_path):
    net, x = build()
    model = DistanceClassifier(net, 0.25, classes=("a", "b", "c"), sensitive_class=0)
    model.save(tmp_path / "model.safetensors")
    for kind in (DistanceClassifier, BinaryClassifier):
        again = kind.load(tmp_path / "model.safetensors")
        assert type(again) is DistanceClassifier
        assert again.digest == model.digest != model.with_threshold(0.5).digest
        assert torch.equal(again.margin(x), model.margin(x))
    with pytest.raises(ModelFileError, match="holds a DistanceClassifier, not a FeatureConvexClassifier"):
        FeatureConvexClassifier.load(tmp_path / "model.safetensors")


def test_a_finite_p_is_kept():
    net, x = build()
    net.p = 12.5
    model = DistanceClassifier(net, classes=("a", "b", "c"))
    again = DistanceClassifier.from_contents(*model.contents())
    assert again.net.p == 12.5
    assert torch.equal(again.margin(x), model.margin(x))


def test_runs_in_single_precision_and_on_any_number_of_samples():
    net, x = build(classes=2)
    model = DistanceClassifier(net)
    exact = model.margin(x)
    single = DistanceClassifier(net).float()
    assert single.dtype == single.margin(x).dtype == torch.float32
    torch.testing.assert_close(single.margin(x).double(), exact, rtol=0, atol=1e-5)
    assert model.margin(x[:0]).shape == (0,)
    assert model.logits(x[:0]).shape == (0, 2)


def test_refusals():
    net, x = build(classes=2)
    for options in ({"threshold": math.nan}, {"threshold": math.inf}, {"classes": ("a",)}):
        with pytest.raises(InputError):
            DistanceClassifier(net, **options)
    with pytest.raises(InputError):
        DistanceClassifier(net).margin(x[:, :1])
    net.layers[0].weight.data[0, 0] = math.nan
    with pytest.raises(InputError, match="finite"):
        DistanceClassifier(net)
    tensors, metadata = DistanceClassifier(build(classes=2)[0]).contents()
    tensors["net.layers.0.weight"][0, 0] = math.inf
    with pytest.raises(InputError, match="finite"):
        DistanceClassifier.from_contents(tensors, metadata)
