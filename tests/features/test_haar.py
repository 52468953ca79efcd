"""Bands: an isometry with its inverse, Lipschitz constants that hold in every norm, magnitudes, files, refusals."""

import math
from fractions import Fraction

import pytest
import torch

from asymcert.errors import InputError, ModelFileError
from asymcert.features import Chain, Haar, Identity, LowPass, opponent_colours, shape_after, split_linear
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.training import TrainConfig
from asymcert.training.parts import build_map
from contracts.files import reloaded
from contracts.images import behind_bands
from contracts.models import seeded
from contracts.rational import banded, fractions

NORMS = (1.0, 1.5, 2.0, 3.0, math.inf)
SIZES = ((1, 4, 4), (2, 5, 7), (3, 3, 9), (4, 1, 2))  # levels, height, width


def bands(levels, height, width):
    return Haar(opponent_colours(3), levels, height, width)


def changes(haar, count=40):
    """Random changes, dense and of few pixels, and the rows of the transform, which are stretched most."""
    shape = (3, haar.height, haar.width)
    dense = torch.randn(count, *shape, generator=seeded(0), dtype=torch.float64)
    sparse = dense * (torch.rand(dense.shape, generator=seeded(1)) < 0.05)
    (size,) = haar.output_shape(shape)
    rows = haar.inverse(torch.eye(size, dtype=torch.float64)[:count])
    every = torch.cat((dense, sparse, dense.sign(), rows))
    return every[every.flatten(1).norm(dim=1) > 0.5]


@pytest.mark.parametrize("size", SIZES)
def test_lengths_and_products_are_kept_and_the_inverse_undoes_it(size):
    haar = bands(*size)
    x = torch.randn(6, 3, *size[1:], generator=seeded(2), dtype=torch.float64)
    w = haar(x)
    assert w.shape == (6, *haar.output_shape((3, *size[1:])))
    torch.testing.assert_close(w @ w.T, x.flatten(1) @ x.flatten(1).T, rtol=0, atol=1e-5)  # mixing: float32 numbers
    torch.testing.assert_close(haar.inverse(w), x, rtol=1e-6, atol=1e-6)
    z = torch.randn(w.shape, generator=seeded(3), dtype=torch.float64)  # the transpose, exactly
    torch.testing.assert_close((z * w).sum(), (haar.inverse(z) * x).sum(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", SIZES)
def test_lipschitz_constants_are_never_exceeded(size, norm):
    haar = bands(*size)
    change = changes(haar)
    start = torch.rand(change.shape, generator=seeded(4), dtype=torch.float64)
    moved = torch.linalg.vector_norm(haar(start + change) - haar(start), haar.feature_norm(norm), dim=1)
    ratio = moved / torch.linalg.vector_norm(change.flatten(1), norm, dim=1)
    assert float(ratio.max()) <= haar.lipschitz(norm) * (1 + 1e-14)
    if norm >= 2:  # attained by signs, or all changes
        assert float(ratio.max()) >= haar.lipschitz(norm) * (1 - 1e-5)


def test_the_stretch_of_a_mixing_is_above_its_greatest_singular_value():
    for seed in range(50):
        turn, _ = torch.linalg.qr(torch.randn(4, 4, generator=seeded(seed), dtype=torch.float64))
        haar = Haar(turn * (1 + 2e-6), 1, 2, 2)
        most = float(torch.linalg.svdvals(haar.mixing).max())
        assert most * (1 - 1e-15) <= haar.lipschitz(2) <= most * (1 + 1e-5)


def test_what_a_mixing_stretches_is_bounded_in_exact_arithmetic():
    haar = bands(1, 2, 2)
    mixing = fractions(haar.mixing)
    products = [[abs(sum(a * b for a, b in zip(row, other, strict=True))) for other in mixing] for row in mixing]
    assert max(map(sum, products)) <= Fraction(haar.lipschitz(2)) ** 2


def test_it_is_the_exact_transform():
    haar, x = bands(2, 4, 8), torch.randn(1, 3, 4, 8, generator=seeded(5), dtype=torch.float64)
    exact = torch.tensor([[float(value) for value in banded(haar, fractions(x.flatten()))]], dtype=torch.float64)
    torch.testing.assert_close(haar(x), exact, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", SIZES)
def test_magnitude_bounds_the_sums_of_absolute_terms(size):
    haar = bands(*size)
    x = torch.randn(4, 3, *size[1:], generator=seeded(6), dtype=torch.float64)
    flat = math.prod(x.shape[1:])
    rows = haar(torch.eye(flat, dtype=torch.float64).view(flat, *x.shape[1:])).abs()  # (inputs, coefficients)
    terms, claimed = x.abs().flatten(1) @ rows, haar.magnitude(x.abs())
    assert bool((terms <= claimed * (1 + 1e-13)).all())
    rounded = (haar.float()(x.float()).double() - haar.double()(x)).abs()
    assert bool((rounded <= haar.operations * 2.0**-24 * claimed).all())


def test_single_precision_has_the_same_mixing():
    haar = bands(1, 2, 2)
    stored = haar.mixing.clone()
    assert torch.equal(haar.float().double().mixing, stored)


def test_a_classifier_is_saved_and_loaded(tmp_path):
    model, x = behind_bands("centre-absolute", sums=1, levels=1)
    loaded = reloaded(model, x, tmp_path)
    assert [type(part) for part in loaded.feature_map.maps[:2]] == [LowPass, Haar]


def test_a_file_s_mixing_must_be_orthonormal(tmp_path):
    model, _ = behind_bands("centre-absolute")
    model.feature_map.maps[0].mixing.mul_(1.1)
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match="`mixing` must be of orthonormal rows"):
        FeatureConvexClassifier.load(tmp_path / "model.safetensors")


def test_linear_maps_that_come_first_are_split_off():
    haar = bands(1, 2, 2)
    maps, rest = split_linear(Chain(LowPass(1, 4, 4), haar, Identity()))
    assert maps[1] is haar
    assert isinstance(rest, Chain)
    assert shape_after(maps, (3, 4, 4)) == (12,)
    assert split_linear(Chain(Identity(), haar))[0] == ()


@pytest.mark.parametrize("wrong", [(0, 4, 4), (11, 4, 4), (1, 0, 4), (1, 4, -1), (1.5, 4, 4)])
def test_refusals(wrong):
    with pytest.raises(InputError, match=r"`(levels|height|width)` must be"):
        bands(*wrong)


@pytest.mark.parametrize("mixing", [torch.ones(2, 2), torch.eye(2) * 1.001, torch.full((2, 2), math.nan)])
def test_a_mixing_that_is_not_orthonormal_is_refused(mixing):
    with pytest.raises(InputError, match=r"`mixing` must be of orthonormal rows.*opponent_colours"):
        Haar(mixing, 1, 4, 4)


@pytest.mark.parametrize("mixing", [torch.ones(2), torch.eye(2)[:1], torch.empty(0, 0)])
def test_a_mixing_that_is_not_square_is_refused(mixing):
    with pytest.raises(InputError, match="`mixing` must be square"):
        Haar(mixing, 1, 4, 4)


@pytest.mark.parametrize("shape", [(48,), (1, 4, 4), (3, 4, 5)])
def test_samples_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match=r"`input_shape` must be \(3, 4, 4\).*Leave the bands out"):
        bands(1, 4, 4).output_shape(shape)


def test_tables_have_no_bands():
    with pytest.raises(InputError, match="for what is no image"):
        build_map(TrainConfig(bands=1), torch.rand(5, 3))
