"""Learned maps: constants that no pair of inputs exceeds, the same map folded, files, certificates that hold."""

import copy
import math
from fractions import Fraction

import pytest
import torch
from torch.nn import functional

from asymcert import datasets, train
from asymcert.attacks import ProjectedGradient
from asymcert.certify import certify
from asymcert.certify.rounding import Rounding
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.features import Centre, Chain, FeatureMap, LayeredMap, check_lipschitz, orthogonal, sll
from asymcert.features.declared import stretch
from asymcert.features.layers import Dense, Downsample, Flatten, GradientStep, MaxMin, Shift
from asymcert.features.spectral import squared_norm_bound
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.files import reloaded
from contracts.models import seeded
from contracts.rational import RationalModel, fractions

IMAGE = (3, 8, 8)
KINDS = {
    "sll": lambda: sll((6,), 10, 3),
    "orthogonal": lambda: orthogonal((6,), 8, 3),
    "sll on images": lambda: sll(IMAGE, 6, 3, convolutional=True),
    "orthogonal on images": lambda: orthogonal(IMAGE, 6, 3, convolutional=True),
}
NORMS = (1.0, 1.5, 2.0, 3.0, math.inf)


@torch.no_grad()
def trained(kind, seed=0):
    """A map of weights far from the start."""
    torch.manual_seed(seed)
    feature_map = KINDS[kind]()
    for weight in feature_map.parameters():
        weight.add_(torch.randn_like(weight) * (0.5 if weight.ndim < 2 else weight.std()))
    return feature_map


def samples(feature_map, count=16, seed=1):
    return torch.rand(count, *feature_map.input_shape, generator=seeded(seed)).double()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_pair_of_inputs_exceeds_the_constant(kind, norm):
    feature_map = trained(kind).fold()
    found = stretch(feature_map, samples(feature_map), norm, steps=60)
    assert found <= feature_map.lipschitz(norm)
    check_lipschitz(feature_map, samples(feature_map), (norm,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_the_l2_constant_is_that_of_the_weights_in_use_and_near_1(kind, dtype):
    feature_map = trained(kind).fold().to(dtype)
    assert 1.0 <= feature_map.constant() < (1 + 1e-5 if dtype == torch.float32 else 1 + 1e-7)
    with torch.no_grad():
        for weight in feature_map.parameters():
            weight.mul_(2.0)
    assert feature_map.constant() > 1.5
    check_lipschitz(feature_map, samples(feature_map), (2.0,))


def test_the_constant_is_nearly_attained():
    feature_map = trained("orthogonal").fold()
    assert stretch(feature_map, samples(feature_map, 200), 2.0, steps=60) > 0.999
    step = GradientStep(torch.eye(4) * 2.0, torch.ones(4))  # I - 4 I where all units are active
    doubled = LayeredMap([step], (4,))
    assert doubled.constant() == pytest.approx(3.0)
    assert stretch(doubled, samples(doubled), 2.0) == pytest.approx(3.0)


class Understated(LayeredMap):
    """A map that promises less than its weights keep."""

    def constant(self) -> float:
        return super().constant() * (1.0 - 1e-6)


def test_a_map_that_understates_its_constant_is_found():
    feature_map = Understated([Dense(torch.eye(6), torch.zeros(6))], (6,))
    with pytest.raises(InputError, match=r"`feature_map` must be of Lipschitz constant 0.999999.*grow by 1\. "):
        check_lipschitz(feature_map, samples(feature_map), (2.0,))


@pytest.mark.parametrize("shape", [(7, 5), (5, 7)])
def test_the_bound_of_a_matrix_is_its_norm_where_signs_are_equal(shape):
    weight = torch.rand(shape, generator=seeded(0)).double()
    square = float(torch.linalg.matrix_norm(weight, 2) ** 2)
    assert square <= squared_norm_bound(weight) <= square * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (3, 2, 5, 5)])
def test_the_bound_of_a_convolution_is_near_its_norm_on_large_images(shape):
    weight, reach = torch.rand(shape, generator=seeded(0)).double(), shape[2] // 2
    x, bound = torch.rand(1, shape[1], 40, 40, generator=seeded(1)).double(), squared_norm_bound(weight)
    for _ in range(40):
        x = x / x.norm()
        x = functional.conv_transpose2d(functional.conv2d(x, weight, padding=reach), weight, padding=reach)
        assert x.norm() <= bound
    assert x.norm() > 0.95 * bound


@pytest.mark.parametrize("kind", KINDS)
def test_folded_it_is_the_same_map_of_the_declared_shape(kind):
    feature_map = trained(kind).double()
    x, folded = samples(feature_map), feature_map.fold()
    torch.testing.assert_close(folded(x), feature_map(x), rtol=0, atol=1e-12)
    assert folded(x).shape[1:] == folded.output_shape(feature_map.input_shape)
    assert not any(weight.requires_grad for weight in folded.parameters())


def classifier(kind, dtype=torch.float64, hidden=(8, 4)):
    torch.manual_seed(0)
    feature_map = trained(kind)
    x, shape = samples(feature_map, 40), feature_map.input_shape
    chain = Chain(Centre(x.mean(0)), feature_map)
    model = FeatureConvexClassifier(chain, ConvexMLP(chain.output_shape(shape), hidden), input_shape=shape)
    return model.with_threshold(float(model.margin(x).median())).to(dtype), x


@pytest.mark.parametrize("kind", KINDS)
def test_saved_it_is_the_same_classifier(kind, tmp_path):
    model, x = classifier(kind)
    reloaded(model, x, tmp_path)


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_attacks_fail_inside_the_closed_form(kind, norm):
    model, x = classifier(kind)
    threat = ThreatModel(norm, lower=0, upper=1)
    certificate = certify(model, x, threat)
    chosen = certificate.radius > 0
    assert int(chosen.sum()) >= 18
    result = ProjectedGradient(30, 2).run(model, x[chosen], threat, certificate.radius[chosen] * 0.999, seeded(0))
    assert not bool(result.success.any())


@pytest.mark.parametrize("kind", ["sll", "orthogonal"])
def test_single_precision_stays_within_the_bound_on_its_rounding(kind):
    single, x = classifier(kind, torch.float32)
    exact = copy.deepcopy(single).double()
    error = Rounding(exact, torch.float32).deployed_error(x, ThreatModel(2, lower=0, upper=1)).fixed
    difference = (single.margin(x).double() - exact.margin(x)).abs()
    assert bool((difference <= error).all())
    assert 0 < float(difference.max()) < float(error.max()) < 0.1
    assert bool((certify(single, x, ThreatModel(2, lower=0, upper=1)).radius > 0).any())


@pytest.mark.parametrize("method", ["tangent", "refined", "exact"])
def test_methods_that_follow_coordinates_refuse_it(method):
    model, x = classifier("sll")
    with pytest.raises(InputError, match="features mix inputs"):
        certify(model, x, ThreatModel(2), method)


def positive_semidefinite(matrix):
    """Whether a rational symmetric matrix is, by elimination."""
    rows = [list(row) for row in matrix]
    for index, row in enumerate(rows):
        if row[index] < 0 or (row[index] == 0 and any(row[index:])):
            return False
        for other in rows[index + 1 :] if row[index] else []:
            share = other[index] / row[index]
            other[:] = [a - share * b for a, b in zip(other, row, strict=True)]
    return True


def at_most(weight, bound):
    """Whether a matrix of floats has a norm of at most `bound`, decided exactly."""
    rows, square = fractions(weight), Fraction(bound) ** 2
    products = [[sum(a * b for a, b in zip(one, two, strict=True)) for two in rows] for one in rows]
    level = [[square * (i == j) - value for j, value in enumerate(row)] for i, row in enumerate(products)]
    return positive_semidefinite(level)


def test_exactly_the_constants_and_the_radius_hold():
    """In rational arithmetic: bounds on both layers' norms, and a radius that no input on a fine set inside breaks."""
    torch.manual_seed(0)
    feature_map = LayeredMap([*sll((3,), 4, 2).layers, *orthogonal((3,), 4, 1).layers], (3,))
    model = FeatureConvexClassifier(feature_map, ConvexMLP((4,), (3,)), input_shape=(3,))
    x = torch.rand(30, 3, generator=seeded(2)).double()
    model = model.with_threshold(float(model.margin(x).median()))
    squares = Fraction(1)
    for layer in model.feature_map.layers:
        if isinstance(layer, GradientStep):
            assert at_most(layer.weight, math.nextafter(math.sqrt(layer.constant() + 1.0), 2.0))
        if isinstance(layer, Dense):
            assert at_most(layer.weight, layer.constant())
            assert not at_most(layer.weight, 0.999999 * layer.constant())
        squares *= Fraction(layer.constant()) ** 2
    assert squares <= Fraction(model.feature_map.constant()) ** 2
    exact, certificate = RationalModel(model), certify(model, x, ThreatModel(2))
    for row, radius in zip(x[certificate.radius > 0], certificate.radius[certificate.radius > 0], strict=True):
        margin, gradient = exact.plane(fractions(row))
        slope = sum(value * value for value in gradient) * squares
        assert Fraction(float(radius)) ** 2 * slope <= margin**2
        assert Fraction(float(radius)) ** 2 * slope > margin**2 * Fraction(99, 100)
        change = row - torch.rand(3, generator=seeded(3)).double()
        moved = fractions(row + change * (0.999999 * radius / change.norm()))
        length = sum((a - b) ** 2 for a, b in zip(moved, fractions(row), strict=True))
        assert length <= Fraction(float(radius)) ** 2
        assert exact.margin(moved) > 0


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ([torch.nn.ReLU()], (4,), "`layers` must be made of Dense"),
        ([MaxMin()], (3,), "even number of channels"),
        ([Dense(torch.eye(3), torch.zeros(3))], (4,), "`network` must be given samples"),
        ([Flatten(), MaxMin()], (1, 3), "even number"),
        ([Downsample()], (1, 3, 4), "even sides"),
        ([Shift()], (4,), "images"),
    ],
)
def test_refuses_layers_that_do_not_fit(layers, shape, message):
    with pytest.raises(InputError, match=message):
        LayeredMap(layers, shape)


def test_refuses_other_inputs_and_kernels():
    with pytest.raises(InputError, match="`input_shape`"):
        trained("sll").output_shape((5,))
    with pytest.raises(InputError, match="one odd width"):
        GradientStep(torch.zeros(2, 2, 2, 2), torch.zeros(2))
    assert isinstance(trained("sll"), FeatureMap)


@pytest.mark.parametrize("layers", ["dense", "convolutional"])
@pytest.mark.parametrize("kind", ["sll", "orthogonal"])
def test_trained_with_the_score_it_certifies_what_it_was_trained_for(kind, layers):
    data = datasets.load("digits-3-8")
    fields = {"map_layers": layers, "map_width": 16, "map_depth": 2, "hidden": (8,), "target_l2": 0.3}
    model = train(data, feature_map=kind, epochs=8, validate_every=8, **fields)
    assert model.feature_map.lipschitz(2) < 1 + 1e-4
    assert float((model.predict(data.test.x) == data.test.y).double().mean()) > 0.8
    radius = certify(model, data.test.x[data.test.y], ThreatModel(2)).radius
    assert float((radius > 0.1).double().mean()) > 0.5
    with pytest.raises(InputError, match="`mirror` must be left out where the map is learned"):
        train(data, feature_map=kind, mirror=True)
