"""Convex scores: convexity before and after training, folding, upkeep of weights, gradients, initialisation."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asymcert.convex import ConvexConvNet, ConvexEnsemble, ConvexMLP
from asymcert.convex.base import WeightOptions
from asymcert.errors import InputError
from contracts.convexity import assert_convex, midpoint_excess
from contracts.models import linear_score, randomise, seeded

SOFTPLUS = WeightOptions(nonnegativity="softplus")
STANDARDISED = WeightOptions(initialisation="standardised")
NETWORKS = {
    "mlp": lambda: ConvexMLP((6,), (8, 4)),
    "mlp-bn": lambda: ConvexMLP((6,), (8, 4), batch_norm=True),
    "mlp-no-passthrough": lambda: ConvexMLP((2, 3), (8, 4, 4), passthrough=False, batch_norm=True),
    "mlp-softplus": lambda: ConvexMLP((6,), (8, 4), batch_norm=True, weights=SOFTPLUS),
    "mlp-standardised": lambda: ConvexMLP((2, 3), (8, 4), weights=STANDARDISED),
    "conv-standardised": lambda: ConvexConvNet((1, 8, 8), 3, 3, 4, 3, 2, passthrough=True, weights=STANDARDISED),
    "mlp-principled": lambda: ConvexMLP((6,), (8, 4), weights=WeightOptions(initialisation="principled")),
    "mlp-additive": lambda: ConvexMLP((2, 3), ()),
    "mlp-signs": lambda: ConvexMLP((6,), (8, 4), signs=(1, -1, 0, 0, 1, 0)),
    "ensemble": lambda: ConvexEnsemble((2, 3), (8, 4), 3),
    "ensemble-one-layer": lambda: ConvexEnsemble((6,), (5,), 2),
    "conv-max": lambda: ConvexConvNet((2, 6, 6), 3, 3, 3, batch_norm=True, pool_size=2),
    "conv-average": lambda: ConvexConvNet((2, 6, 6), 3, 3, 5, stride=2, pool="average", pool_size=3),
    "conv-passthrough": lambda: ConvexConvNet((1, 8, 8), 3, 3, 3, batch_norm=True, passthrough=True),
    "conv-even-kernel": lambda: ConvexConvNet((1, 7, 6), 3, 2, 4, stride=3, pool_size=2),
    "conv-softplus": lambda: ConvexConvNet((1, 5, 5), 4, 2, 3, batch_norm=True, weights=SOFTPLUS),
}


def trained(name, steps=30, seed=0):
    """A few steps of Adam on a made-up problem, in training mode, with the package's own upkeep."""
    torch.manual_seed(seed)
    score = NETWORKS[name]()
    x = torch.randn(64, *score.options()["input_shape"])
    y = x.flatten(1)[:, 0] > 0.2
    optimizer = torch.optim.Adam(score.parameters(), 0.02)
    for _ in range(steps):
        value = score(x)
        loss = torch.nn.functional.softplus(-torch.where(y, value, -value)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        score.project_()
    return score


@pytest.fixture(params=NETWORKS, scope="module")
def network(request):
    return trained(request.param)


def test_trained_networks_are_convex(network):
    assert_convex(network.fold(), tuple(network.options()["input_shape"]), seeded(1))


def test_folding_keeps_the_function(network):
    """In evaluation mode, in float64, with running statistics that training has moved."""
    reference = copy.deepcopy(network).double().eval()
    folded = network.fold()
    x = 2 * torch.randn(32, *network.options()["input_shape"], generator=seeded(2)).double()
    # softplus is evaluated in the type of training, single precision, and then kept
    tolerance = 1e-6 if any("parametrizations" in name for name in network.state_dict()) else 1e-10
    torch.testing.assert_close(folded(x), reference(x), rtol=tolerance, atol=tolerance)
    assert not folded.training
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert not any("norm" in name or "parametrizations" in name for name in folded.state_dict())
    if isinstance(network, ConvexEnsemble):  # deployed as one wide network
        wide = [network.count * width for width in network.hidden_widths]
        assert folded.options() == ConvexMLP(network.input_shape, wide).options()
    else:
        assert folded.options() == {**network.options(), "batch_norm": False}
    folded.check_convex()
    assert torch.equal(folded.fold()(x), folded(x))


def test_folding_leaves_the_network_as_it_was(network):
    network.train()
    before = copy.deepcopy(network.state_dict())
    network.fold()
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_projection_makes_a_network_convex_and_is_idempotent():
    score = ConvexMLP((6,), (8, 4), batch_norm=True)
    with torch.no_grad():
        for parameter in score.parameters():
            parameter.normal_(generator=seeded(3))
    with pytest.raises(InputError, match=r"`hidden.0.weight` must be nonnegative.*project_"):
        score.check_convex()
    score.project_()
    score.check_convex()
    once = copy.deepcopy(score.state_dict())
    score.project_()
    assert all(torch.equal(value, once[name]) for name, value in score.state_dict().items())


@pytest.mark.parametrize("name", ["mlp-bn", "conv-max"])
def test_every_named_weight_is_checked(name):
    score = NETWORKS[name]()
    for weight_name, _ in score.nonnegative():
        damaged = copy.deepcopy(score)
        with torch.no_grad():
            dict(damaged.nonnegative())[weight_name].flatten()[0] = -1e-6
        with pytest.raises(InputError, match=f"`{weight_name}` must be nonnegative"):
            damaged.check_convex()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_must_be_finite(name, value):
    score = NETWORKS[name]()
    with torch.no_grad():
        (score.direct if isinstance(score, ConvexEnsemble) else score.first).bias[0] = value
    with pytest.raises(InputError, match=r"`(first|direct)\.bias` must be finite"):
        score.check_convex()


@pytest.mark.parametrize("name", ["mlp", "mlp-bn", "conv-max", "conv-average"])
def test_the_midpoint_check_notices_a_network_that_is_not_convex(name):
    score = trained(name).fold()
    with torch.no_grad():
        for _, weight in score.nonnegative():
            weight.neg_()
    with pytest.raises(AssertionError, match="midpoint above the mean"):
        assert_convex(score, tuple(score.options()["input_shape"]), seeded(4))


@given(
    seed=st.integers(0, 10_000),
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    passthrough=st.booleans(),
    scale=st.floats(1e-3, 1e3),
)
def test_random_networks_are_convex(seed, widths, passthrough, scale):
    generator = seeded(seed)
    score = randomise(ConvexMLP((3,), widths, passthrough), generator).fold()
    u, v = scale * torch.randn(2, 32, 3, generator=generator).double()
    assert bool((midpoint_excess(score, u, v) <= 0).all())


@given(seed=st.integers(0, 10_000), pool=st.sampled_from(["max", "average"]), stride=st.integers(1, 2))
def test_random_convolutional_networks_are_convex(seed, pool, stride):
    generator = seeded(seed)
    network = ConvexConvNet((1, 4, 4), 2, 2, 3, stride=stride, pool=pool, pool_size=2)
    u, v = torch.randn(2, 16, 1, 4, 4, generator=generator).double()
    assert bool((midpoint_excess(randomise(network, generator).fold(), u, v) <= 0).all())


@pytest.mark.parametrize("name", ["mlp", "mlp-no-passthrough", "conv-max", "conv-average"])
def test_gradients_are_those_of_finite_differences(name):
    score = trained(name, 5).fold()
    x = torch.randn(3, *score.options()["input_shape"], generator=seeded(5)).double().requires_grad_(True)
    assert torch.autograd.gradcheck(score, (x,), eps=1e-7, atol=1e-6)


def test_the_gradient_is_a_subgradient():
    score = randomise(ConvexMLP((6,), (16, 8)), seeded(6)).fold()
    u, v = torch.randn(2, 256, 6, generator=seeded(7)).double()
    u.requires_grad_(True)
    value = score(u)
    (gradient,) = torch.autograd.grad(value.sum(), u)
    assert bool((score(v) >= value + (gradient * (v - u)).sum(1) - 1e-12).all())


def test_a_linear_network_is_its_weight():
    weight = torch.tensor([1.0, -2.0, 0.5]).double()
    assert linear_score(weight)(torch.tensor([[2.0, 1.0, 4.0]]).double()).tolist() == [2.0]


def test_uniform_initialisation_has_the_published_range():
    torch.manual_seed(0)
    for score, top in ((ConvexMLP((20,), (100, 50)), 0.003), (ConvexConvNet((1, 8, 8), 16, 3, 3), 0.005)):
        weights = dict(score.nonnegative())["hidden.0.weight"].detach()
        assert float(weights.min()) >= 0
        assert 0.95 * top < float(weights.max()) <= top


def signal_moments(initialise, width=128, depth=4, networks=150):
    """Mean, second moment and mean product of two units' pre-activations after each layer: (3, depth).

    The first layer's inputs are ReLUs of standard normal values of correlation 0.5; averages over weights and inputs.
    """
    torch.manual_seed(0)
    moments = torch.zeros(3, depth)
    with torch.no_grad():
        for _ in range(networks):
            s = math.sqrt(0.5) * (torch.randn(256, 1) + torch.randn(256, width))
            for level, layer in enumerate(initialise(width, depth)):
                s = layer(torch.relu(s))
                total, square = s.sum(1), s.square().sum(1)  # over units, for each input
                pairs = (total**2 - square) / (width * (width - 1))
                moments[:, level] += torch.stack((s.mean(), square.mean() / width, pairs.mean())) / networks
    return moments


def principled_layers(width, depth):
    weights = WeightOptions(initialisation="principled")
    return list(ConvexMLP((4,), (width,) * (depth + 1), passthrough=False, weights=weights).hidden)[:-1]


def half_normal_layers(width, depth):
    """He initialisation made nonnegative by absolute values, the obvious choice."""
    layers = [torch.nn.Linear(width, width) for _ in range(depth)]
    for layer in layers:
        torch.nn.init.normal_(layer.weight, 0, math.sqrt(2 / width)).abs_()
        torch.nn.init.zeros_(layer.bias)
    return layers


def test_principled_initialisation_keeps_normal_signals():
    """Mean 0, variance 1 and correlation 0.5 again, as the theory says of normal pre-activations.

    The standard errors of the three averages are 0.004, 0.07 and 0.006.
    """
    mean, square, pairs = signal_moments(principled_layers, depth=1)[:, 0].tolist()
    assert mean == pytest.approx(0, abs=0.03)
    assert square == pytest.approx(1, abs=0.25)
    assert pairs == pytest.approx(0.5, abs=0.03)


def test_principled_initialisation_keeps_units_apart_over_depth():
    """Log-normal weights have heavy tails, so later signals are not normal and grow; but no common mean swamps them."""
    mean, square, pairs = signal_moments(principled_layers)
    assert bool((mean.abs() < 0.3 * square.sqrt()).all())
    assert bool((pairs / square < 0.75).all())
    assert float(square[-1]) < 20
    mean, square, pairs = signal_moments(half_normal_layers, networks=5)
    assert float(pairs[-1] / square[-1]) > 0.98
    assert float(square[-1]) > 1e4


def pre_activations(score, x):
    """What enters each ReLU, (n, units, ...) a layer, in evaluation mode."""
    met = []
    for norm in score.norms:
        norm.register_forward_hook(lambda module, given, s: met.append(s.detach()))
    score.eval()(x)
    return met


@pytest.mark.parametrize("name", ["mlp-standardised", "conv-standardised"])
def test_standardised_units_have_mean_0_and_variance_1_on_the_first_batch(name):
    torch.manual_seed(0)
    score = NETWORKS[name]()
    x = 3 + torch.randn(400, *score.options()["input_shape"])
    score(x)
    met = pre_activations(score, x)
    assert len(met) == len(score.layers) - 1
    for s in met:
        variance, mean = torch.var_mean(s.transpose(0, 1).flatten(1), 1, correction=0)
        assert torch.allclose(mean, torch.zeros_like(mean), atol=1e-5)
        assert torch.allclose(variance, torch.ones_like(variance), atol=0.02)


def test_later_batches_do_not_move_standardisations():
    torch.manual_seed(0)
    score = NETWORKS["conv-standardised"]()
    first, later = torch.randn(2, 16, 1, 8, 8)
    score(first)
    before = copy.deepcopy(score.state_dict())
    together = score(5 * later)
    assert all(torch.equal(value, before[name]) for name, value in score.state_dict().items())
    assert torch.allclose(together[:3], score(5 * later[:3]), rtol=1e-4)


def test_standardised_weights_start_nonnegative_with_the_given_mean_sums():
    torch.manual_seed(0)
    score = ConvexConvNet((1, 12, 12), 64, 2, 3, weights=STANDARDISED)
    hidden, readout = (weight.flatten(1).detach() for _, weight in score.nonnegative())
    assert min(float(hidden.min()), float(readout.min())) >= 0
    assert float(hidden.sum(1).mean()) == pytest.approx(0.5, rel=0.02)
    assert float(readout.sum()) == pytest.approx(10, rel=0.05)


def test_an_ensemble_is_the_mean_of_its_members_and_folds_to_blocks():
    ensemble = ConvexEnsemble((5,), (4, 3), 3)
    x = torch.randn(7, 5, generator=seeded(0))
    members = ensemble.members(x)
    assert members.shape == (3, 7)
    assert len(members[:, 0].unique()) == 3
    torch.testing.assert_close(ensemble.fold().double()(x.double()).float(), members.mean(0), rtol=1e-5, atol=1e-5)
    hidden = ensemble.fold().layers[1].weight
    assert float(hidden[:3, 4:].abs().max()) == 0.0
    assert float(hidden[:3, :4].min()) > 0.0


@pytest.mark.parametrize(
    "build", [lambda **o: ConvexMLP((4,), (6, 3), **o), lambda **o: ConvexEnsemble((4,), (6,), 2, **o)]
)
def test_signs_hold_after_a_step_and_are_checked(build):
    score = build(signs=(1, -1, 0, 0))
    before = score.fold().state_dict()["first.weight"]
    with torch.no_grad():
        for weight in score.parameters():
            weight.add_(torch.randn(weight.shape, generator=seeded(1)))
    score.project_()
    folded, x = score.fold(), torch.randn(200, 4, generator=seeded(2)).double()
    for feature, sign in ((0, 1.0), (1, -1.0)):
        moved = x.clone()
        moved[:, feature] += torch.rand(200, generator=seeded(3)).double()
        assert float((sign * (folded(moved) - folded(x))).min()) >= 0.0
    assert float(before[:, 2:].min()) < 0.0 < float(before[:, 2:].max())  # the others stay free
    with torch.no_grad():
        folded.direct[0].weight[0, 1] = 0.5
    with pytest.raises(InputError, match=r"`direct.0.weight` must be of each feature"):
        folded.check_convex()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConvexEnsemble((6,), (), 2), "`hidden` must be at least one width"),
        (lambda: ConvexEnsemble((6,), (4,), 0), "`members` must be an integer"),
        (lambda: ConvexMLP((6,), (4,), signs=(1, 0)), "`signs` must be empty, or -1, 0 or 1 for each of 6"),
        (lambda: ConvexEnsemble((2,), (4,), 2, signs=(1, 2)), "`signs` must be empty, or -1, 0 or 1 for each of 2"),
        (lambda: ConvexMLP((6,), (0,)), "`hidden` must be an integer"),
        (lambda: ConvexMLP((6,), (2.5,)), "`hidden` must be an integer"),
        (lambda: ConvexConvNet((6,)), "`input_shape` must be"),
        (lambda: ConvexConvNet((1, 6, 6), kernel=2), "`kernel` must be odd"),
        (lambda: ConvexConvNet((1, 6, 6), depth=0), "`depth` must be an integer"),
        (lambda: ConvexConvNet((1, 6, 6), stride=2, pool_size=4), "`pool_size` must be at most 3"),
        (lambda: ConvexConvNet((1, 6, 6), pool="sum"), "`pool` must be one of"),
        (lambda: WeightOptions(nonnegativity="abs"), "`nonnegativity` must be one of"),
        (lambda: WeightOptions(initialisation="xavier"), "`initialisation` must be one of"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(InputError, match=message):
        build()
