"""Orthogonal layers, their deployed classifier and its certificate."""

import math

import pytest
import torch
from torch import nn

from asymcert.certify.lipschitz_margin import LipschitzMargin, deployed_error, lipschitz_bound
from asymcert.datasets import BinaryData, Split
from asymcert.errors import InputError
from asymcert.features.layers import Dense, MaxMin
from asymcert.features.spectral import spectral_bound
from asymcert.features.trained_layers import CayleyLinear, cayley
from asymcert.models.cayley import CayleyConv, cayley_network, cayley_resnet
from asymcert.models.lipschitz import Blend, LipschitzClassifier, SpectralConv
from asymcert.threats.model import ThreatModel
from asymcert.training.cayley import CayleyRecipe, train_cayley
from asymcert.training.relu import ReluRecipe, attack, train_relu
from contracts.baselines import BaselineContract
from contracts.files import reloaded


def perceptron(seed=0):
    torch.manual_seed(seed)
    return LipschitzClassifier.fold(cayley_network((6,), (10, 4)), input_shape=(6,))


def resnet(seed=0):
    torch.manual_seed(seed)
    return LipschitzClassifier.fold(cayley_resnet((1, 12, 12), width=2), input_shape=(1, 12, 12))


class TestLipschitzMargin(BaselineContract):
    @pytest.fixture
    def certifier(self):
        return LipschitzMargin()

    def model(self, seed):
        return perceptron(seed)


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (1, 4), (2, 3, 6, 4)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_transform_gives_orthonormal_rows_or_columns(shape, dtype):
    matrix = cayley(torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0)))
    assert matrix.shape == shape
    gram = matrix @ matrix.mH if shape[-2] < shape[-1] else matrix.mH @ matrix
    assert torch.linalg.matrix_norm(gram - torch.eye(min(shape[-2:]), dtype=dtype)).max() < 1e-12


@pytest.mark.parametrize("channels", [(3, 3), (2, 5), (5, 2)])
@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
def test_convolutions_are_circular_and_keep_distances(channels, size):
    inputs, outputs = channels
    if size[1] % 2 and size[0] % 2:
        size = (4, 8)
    torch.manual_seed(0)
    layer = CayleyConv(inputs, outputs, size).double()
    x = torch.randn(3, inputs, *size, dtype=torch.float64)
    y = (layer(x) - layer.bias[:, None, None]).detach()
    if outputs >= inputs:
        assert math.isclose(float(y.norm()), float(x.norm()), rel_tol=1e-12)
    else:
        assert float(y.norm()) <= float(x.norm()) * (1 + 1e-12)
    rolled = (layer(x.roll((1, 2), (2, 3))) - layer.bias[:, None, None]).detach()
    torch.testing.assert_close(rolled, y.roll((1, 2), (2, 3)))
    jacobian = torch.autograd.functional.jacobian(lambda v: layer(v[None])[0].flatten(), x[0])
    values = torch.linalg.svdvals(jacobian.reshape(-1, x[0].numel()))
    torch.testing.assert_close(values, torch.ones_like(values))


def test_maxmin_sorts_pairs():
    x = torch.tensor([[1.0, 5.0, 3.0, 2.0]])
    assert MaxMin()(x).tolist() == [[3.0, 5.0, 1.0, 2.0]]


def test_spectral_bounds_are_above_and_near_where_orthogonal():
    generator = torch.Generator().manual_seed(0)
    for shape in ((4, 4), (3, 7), (7, 3), (1, 5)):
        free = torch.randn(5, *shape, dtype=torch.float64, generator=generator)
        greatest = float(torch.linalg.svdvals(free).max())
        assert spectral_bound(free) >= greatest
        assert 1.0 <= spectral_bound(cayley(free)) < 1.0 + 1e-7


@pytest.mark.parametrize("build", [perceptron, resnet])
def test_margins_fall_no_faster_than_the_bound(build):
    model = build()
    generator = torch.Generator().manual_seed(1)
    bound = lipschitz_bound(model.network)
    assert bound < math.sqrt(2.0) * (1 + 1e-6)
    x = torch.rand(8, *model.input_shape, dtype=torch.float64, generator=generator, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x).sum(), x)
    steepest = gradient.flatten(1).norm(dim=1)
    assert (steepest <= bound).all()
    if build is perceptron:
        assert steepest.max() > 0.3
    y = x.detach() + 0.1 * torch.randn(x.shape, dtype=torch.float64, generator=generator)
    change = (model.margin(x.detach()) - model.margin(y)).abs()
    assert (change <= bound * (x.detach() - y).flatten(1).norm(dim=1)).all()


@pytest.mark.parametrize("build", [perceptron, resnet])
def test_the_deployed_error_covers_single_precision(build):
    model, single = build(), build().float()
    exact = build().float().double()
    x = torch.rand(16, *model.input_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    size = x.flatten(1).norm(dim=1)
    error, difference = deployed_error(single, size), (single.margin(x).double() - exact.margin(x)).abs()
    assert (difference <= error).all()
    assert (difference > 0).any()
    assert (deployed_error(model, size) < 1e-10).all()
    assert (error < 0.05).all()


def test_one_dense_layer_s_radius_is_exact():
    row = Dense(torch.tensor([[3.0, -4.0]]), torch.tensor([1.0]))
    model = LipschitzClassifier(nn.Sequential(nn.Flatten(), row), input_shape=(2,))
    x = torch.tensor([[1.0, 0.5]], dtype=torch.float64)  # margin 2, steepness 5
    for norm, expected in ((1.0, 0.4), (2.0, 0.4), (math.inf, 0.4 / math.sqrt(2.0))):
        radius = float(LipschitzMargin().certify(model, x, [ThreatModel(norm=norm)])[0].radius)
        assert expected * (1 - 1e-6) < radius < expected


def test_a_matrix_that_is_not_orthogonal_counts_in_full():
    model = perceptron()
    x = torch.rand(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    before = LipschitzMargin().certify(model, x, [ThreatModel()])[0]
    model.network[1].weight.mul_(3.0)
    model.network[-1].weight.div_(3.0)
    model.network[1].bias.mul_(3.0)
    after = LipschitzMargin().certify(model, x, [ThreatModel()])[0]
    assert (after.slope >= before.slope * (1 - 1e-9)).all()


@pytest.mark.parametrize("build", [perceptron, resnet])
def test_saved_models_come_back(build, tmp_path):
    model = build()
    x = torch.rand(4, *model.input_shape, dtype=torch.float64)
    assert isinstance(reloaded(model, x, tmp_path), LipschitzClassifier)


def test_refusals():
    with pytest.raises(InputError, match="made of"):
        LipschitzClassifier(nn.Sequential(nn.Linear(2, 1)), input_shape=(2,))
    with pytest.raises(InputError, match="two classes"):
        LipschitzClassifier.fold(nn.Sequential(CayleyLinear(2, 3)), input_shape=(2,))
    with pytest.raises(InputError, match="fit inputs"):
        LipschitzClassifier(nn.Sequential(Dense(torch.ones(1, 3), torch.ones(1))), input_shape=(2,))
    with pytest.raises(InputError, match="even"):
        cayley_network((4,), (3,))
    with pytest.raises(InputError, match=r"\(C, H, H\)"):
        cayley_resnet((4,))
    with pytest.raises(InputError, match="even"):
        CayleyRecipe(widths=(3,))


def chain(first, second, threshold):
    """A score ``second * first * x``, by two layers of one unit."""
    layers = [Dense(torch.tensor([[value]], dtype=torch.float64), torch.zeros(1)) for value in (first, second)]
    return LipschitzClassifier(nn.Sequential(*layers), threshold, input_shape=(1,))


@pytest.mark.parametrize(("first", "second"), [(1e30, -1e-30), (1e-30, -1e30)])
def test_numbers_that_overflow_on_the_way_leave_no_radius(first, second):
    """The score is -x, but in single precision x = 5e8 overflows between the layers, or x = 1e39 as an input does."""
    x, single = torch.zeros(1, 1, dtype=torch.float64), chain(first, second, -1e9 if first > 1 else -1e39).float()
    change = 5e8 if first > 1 else 5e38
    assert bool(single.predict(x))
    assert not bool(single.predict(x + change))
    assert float(LipschitzMargin(sound=False).certify(single, x, [ThreatModel()])[0].radius) > change
    assert float(LipschitzMargin().certify(single, x, [ThreatModel()])[0].radius) <= change
    assert float(LipschitzMargin().certify(chain(first, second, -1e9), x, [ThreatModel()])[0].radius) > 9e8


@pytest.mark.parametrize("weight", [2.7e-162, 1e-161, 1e-200, 5e-324])
def test_squares_that_underflow_count_in_bounds(weight):
    model = chain(weight, 1e162, -1.0)
    assert spectral_bound(torch.tensor([[weight]], dtype=torch.float64)) >= weight
    assert lipschitz_bound(model.network) >= weight * 1e162
    assert lipschitz_bound(chain(weight, weight, -1.0).network) > 0


def test_layers_that_broadcasting_would_stretch_are_refused():
    """Unequal halves, blocks of another shape and images of another size run, but make distances grow."""
    none = torch.zeros(1)
    with pytest.raises(InputError, match="even number of channels before MaxMin, got 3"):
        LipschitzClassifier(nn.Sequential(MaxMin(), Dense(torch.ones(1, 4), none)), input_shape=(3,))
    inner, share = nn.Sequential(Dense(torch.ones(1, 3), none)), torch.tensor([1.0, 0.0])
    with pytest.raises(InputError, match=r"keep the shape \(3,\), got \(1,\)"):
        LipschitzClassifier(nn.Sequential(Blend(inner, share), Dense(torch.ones(1, 3), none)), input_shape=(3,))
    one = torch.ones(1, 1, 1, 1)
    flat = SpectralConv(one, 0.0 * one, none), nn.Flatten(), Dense(torch.ones(1, 16), none)
    with pytest.raises(InputError, match=r"convolutions for 4 x 4 pixels, got frequencies \(1, 1\)"):
        LipschitzClassifier(nn.Sequential(*flat), input_shape=(1, 4, 4))
    rows = Dense(torch.ones(1, 1), none), nn.Flatten(), Dense(torch.ones(1, 4), none)
    with pytest.raises(InputError, match=r"flat before Dense, got samples of shape \(4, 1\)"):
        LipschitzClassifier(nn.Sequential(*rows), input_shape=(4, 1))
    with pytest.raises(InputError, match=r"`bias` must be of shape \(3,\), got \(1,\)"):
        Dense(torch.ones(3, 2), none)
    with pytest.raises(InputError, match=r"`bias` must be of shape \(2,\), got \(1,\)"):
        SpectralConv(torch.ones(4, 3, 2, 1), torch.ones(4, 3, 2, 1), none)


def two_blobs(n=96, shape=(1, 8, 8)):
    generator = torch.Generator().manual_seed(0)

    def split(count):
        y = torch.arange(count) % 2 == 0
        x = 0.5 + 0.05 * torch.randn(count, *shape, generator=generator)
        return Split((x + torch.where(y, 0.15, -0.15).reshape(-1, 1, 1, 1)).clamp(0, 1), y)

    return BinaryData("blobs", split(n), split(n), split(n), "high", "low")


SHORT = {"epochs": 12, "batch_size": 16, "learning_rate": 1e-2}
SHORTEST = SHORT | {"epochs": 4}
TRAININGS = {
    "perceptron": lambda data, **o: train_cayley(data, recipe=CayleyRecipe(widths=(8, 4), **SHORT), **o),
    "resnet-9": lambda data, **o: train_cayley(data, recipe=CayleyRecipe(network="resnet-9", width=2, **SHORTEST), **o),
    "relu": lambda data, **o: train_relu(data, recipe=ReluRecipe(epsilon=0.05, attack_steps=3, **SHORT), **o),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_training_separates_what_is_separable_the_same_way_each_time(name):
    data, records = two_blobs(), []
    model = TRAININGS[name](data, on_epoch=records.append)
    assert len(records) == (SHORTEST if name == "resnet-9" else SHORT)["epochs"]
    assert torch.equal(model.predict(data.test.x), data.test.y)
    assert TRAININGS[name](data).digest == model.digest
    assert TRAININGS[name](data, seed=1).digest != model.digest


def test_the_attack_of_training_stays_inside_and_raises_the_loss():
    torch.manual_seed(0)
    network, x = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), two_blobs().train.x
    labels = torch.ones(len(x), dtype=torch.long)
    moved = attack(network, x, labels, 0.1, 5, torch.Generator().manual_seed(0))
    assert (moved - x).abs().max() <= 0.1 + 1e-6
    assert (moved >= 0).all()
    assert (moved <= 1).all()
    loss = nn.functional.cross_entropy
    assert loss(network(moved), labels) > loss(network(x), labels) + 0.05
