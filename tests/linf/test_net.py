"""Nets of distance layers: shapes, folding, published sizes, Lipschitz constants."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymcert.errors import InputError
from asymcert.linf.layers import DistanceConv2d, DistanceLinear
from asymcert.linf.net import PUBLISHED, LinfDistanceNet

NETS = {
    "connected": {"input_shape": (6,), "width": 8, "depth": 3},
    "one layer": {"input_shape": (6,), "depth": 1},
    "groups": {"input_shape": (6,), "width": 8, "depth": 4, "groups": 2},
    "image": {"input_shape": (2, 4, 5), "width": 8, "depth": 2, "classes": 3},
    "convolutions": {"input_shape": (2, 6, 5), "width": 8, "depth": 2, "convolutions": ((4, 3, 1), (3, 3, 2))},
    "sorted": {"input_shape": (6,), "width": 8, "depth": 3, "rho": 0.3},
    "sorted convolutions": {"input_shape": (2, 6, 5), "width": 8, "convolutions": ((4, 3, 1), (3, 3, 2)), "rho": 0.2},
    "head": {"input_shape": (6,), "width": 8, "depth": 2, "head": 5, "classes": 3},
    "headed convolutions": {"input_shape": (1, 6, 6), "width": 8, "depth": 1, "head": 5, "convolutions": ((2, 3, 1),)},
}


@pytest.fixture(params=NETS)
def net(request):
    """A net that has seen a few batches, so that its means are not zero."""
    torch.manual_seed(1)
    net = LinfDistanceNet(**NETS[request.param], centre=0.3, deviation=0.25)
    for _ in range(30):
        net(torch.rand(16, *net.input_shape))
    if net.head is None:
        torch.nn.init.normal_(net.layers[-1].bias)
    return net.eval()


def test_folding_keeps_the_function_up_to_the_deviation(net):
    folded, x = net.fold(), torch.rand(20, *net.input_shape)
    scale = 1.0 if net.head is not None else net.deviation
    torch.testing.assert_close(folded(x.double()), net.double()(x.double()) * scale, rtol=0, atol=1e-12)
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert {parameter.dtype for parameter in folded.parameters()} == {torch.float64}
    assert folded.classes == net.classes
    if net.shifts:
        assert all(float(shift.running.abs().max()) > 0.1 for shift in net.shifts)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), apart=st.sampled_from([1e-3, 0.1, 1.0]))
@pytest.mark.parametrize("name", [name for name in NETS if "head" not in name])
def test_folded_logits_are_1_lipschitz_by_the_raw_input(name, seed, apart):
    torch.manual_seed(seed)
    folded = LinfDistanceNet(**NETS[name], deviation=0.25).fold()
    x = torch.rand(8, *folded.input_shape, dtype=torch.float64)
    y = x + apart * torch.randn_like(x).sign()
    assert ((folded(x) - folded(y)).abs().amax(1) <= apart * (1 + 1e-9)).all()


def test_options_build_the_same_net(net):
    again = LinfDistanceNet(**net.options())
    again.load_state_dict(net.state_dict())
    x = torch.rand(3, *net.input_shape)
    assert torch.equal(again.eval()(x), net(x))


def test_p_is_that_of_all_layers(net):
    x = torch.rand(3, *net.input_shape)
    at_inf = net(x)
    net.p = 8.0
    assert net.p == net.fold().p == 8.0
    assert all(layer.p == 8.0 for layer in net.layers)
    assert not torch.equal(net(x), at_inf)
    net.p = math.inf
    assert torch.equal(net(x), at_inf)


def test_training_reaches_every_parameter(net):
    net.train()
    net.p = 4.0
    net(torch.rand(9, *net.input_shape)).pow(2).sum().backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in net.parameters())


def test_published_sizes():
    with torch.device("meta"):
        nets = {name: LinfDistanceNet.published(name, (1, 28, 28)) for name in PUBLISHED}
    assert [len(net.layers) for net in nets.values()] == [5, 5, 6]
    assert [net.deviation for net in nets.values()] == [0.3081, 0.3520, 0.2009]
    assert all(layer.weight.shape[0] == 5120 for net in nets.values() for layer in list(net.layers)[:-1])
    assert LinfDistanceNet.published("mnist", (4,), classes=2, width=8).width == 8


def test_layers_are_where_the_options_put_them():
    net = LinfDistanceNet((2, 6, 6), width=8, depth=3, convolutions=((4, 3, 2),), groups=2)
    first, second, third, last = net.layers
    assert isinstance(first, DistanceConv2d)
    assert first.output_shape((2, 6, 6)) == (4, 3, 3)
    assert isinstance(second, DistanceLinear)
    assert second.weight.shape == (8, 36)
    assert third.weight.shape == (8, 4)
    assert last.weight.shape == (2, 8)
    assert [layer.bias is not None for layer in net.layers] == [False, False, False, True]


def test_the_first_layer_takes_all_inputs():
    assert [layer.rho for layer in LinfDistanceNet((6,), width=8, depth=3, rho=0.3).layers] == [0.0, 0.3, 0.3]
    net = LinfDistanceNet((2, 6, 6), width=8, depth=2, convolutions=((4, 3, 2), (4, 3, 1)), rho=0.3)
    assert [layer.rho for layer in net.layers] == [0.0, 0.3, 0.3, 0.3]


def test_wrong_options_are_refused():
    for options in (
        {"rho": 0.95},
        {"classes": 1},
        {"depth": 0},
        {"deviation": 0.0},
        {"groups": 3},
        {"convolutions": ((2, 3, 1),)},
    ):
        with pytest.raises(InputError):
            LinfDistanceNet((6,), **options)
    with pytest.raises(InputError):
        LinfDistanceNet.published("imagenet", (6,))
