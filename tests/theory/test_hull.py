"""Distances to convex hulls: against independent programmes, and the proofs of both sides on their own."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asymcert.errors import InputError
from asymcert.theory.hull import hull_distances
from asymcert.theory.proximal import project_to_simplex
from reference.programme_distance import programme_distance

NORMS = [1.0, 2.0, math.inf]
SOLVERS = 1e-7  # accuracy of the programmes, relative


def cloud(seed: int, count: int, features: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, features, generator=generator, dtype=torch.float64) + shift


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("count", "features", "shift"), [(4, 9, 0.0), (30, 5, 1.0), (12, 12, 0.3)])
def test_bounds_enclose_the_programme(norm, count, features, shift):
    points, generators = cloud(1, 8, features, shift), cloud(2, count, features)
    found = hull_distances(points, generators, norm, tolerance=2e-3, iterations=2000)
    exact = torch.tensor([programme_distance(point, generators, norm) for point in points], dtype=torch.float64)
    assert (found.gap <= 2e-3).all()
    assert (found.lower <= exact * (1 + SOLVERS) + SOLVERS).all()
    assert (found.upper >= exact * (1 - SOLVERS) - SOLVERS).all()
    assert (exact > 0.1).any()  # else only zeros would be compared


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", NORMS)
def test_bounds_hold_after_one_iteration(norm, precision):
    points, generators = cloud(3, 8, 6, 0.5), cloud(4, 15, 6)
    found = hull_distances(points, generators, norm, iterations=1, precision=precision)
    for lower, upper, point in zip(found.lower, found.upper, points, strict=True):
        exact = programme_distance(point, generators, norm)
        assert lower <= exact * (1 + SOLVERS) + SOLVERS
        assert upper >= exact * (1 - SOLVERS)


@pytest.mark.parametrize("norm", NORMS)
def test_proofs_can_be_checked(norm):
    points, generators = cloud(5, 6, 7, 0.8), cloud(6, 11, 7)
    found = hull_distances(points, generators, norm, iterations=100, keep_weights=True)
    dual = {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}[norm]
    assert torch.allclose(torch.linalg.vector_norm(found.directions, dual, dim=1), torch.ones(6).double())
    support = (found.directions @ generators.T).amax(1)
    assert ((found.directions * points).sum(1) - support >= found.lower).all()
    assert found.weights is not None
    assert (found.weights >= 0).all()
    assert torch.allclose(found.weights.sum(1), torch.ones(6).double())
    reached = torch.linalg.vector_norm(points - found.weights @ generators, norm, dim=1)
    assert (reached <= found.upper).all()


@given(st.integers(0, 10**6), st.sampled_from(NORMS))
def test_points_of_the_hull_are_never_proven_outside(seed, norm):
    generators = cloud(seed, 6, 4)
    weights = torch.rand(5, 6, generator=torch.Generator().manual_seed(seed)).double()
    inside = torch.cat([(weights / weights.sum(1, keepdim=True)) @ generators, generators])
    found = hull_distances(inside, generators, norm, iterations=40)
    # The mixtures themselves are rounded, so that they may lie a few 1e-16 outside.
    assert (found.lower <= 1e-14).all()
    assert (found.upper >= found.lower).all()


def test_one_generator_is_a_point():
    points, generator = cloud(7, 4, 3), cloud(8, 1, 3)
    for norm in NORMS:
        found = hull_distances(points, generator, norm, tolerance=1e-9)
        exact = torch.linalg.vector_norm(points - generator, norm, dim=1)
        assert (found.lower <= exact).all()
        assert (exact <= found.upper).all()
        assert (found.gap <= 1e-9).all()


def test_chunks_change_nothing(monkeypatch):
    points, generators = cloud(9, 7, 5, 0.5), cloud(10, 9, 5)
    whole = hull_distances(points, generators, keep_weights=True)
    monkeypatch.setattr("asymcert.theory.hull.BYTES", 8 * 6 * 9 * 2)  # two points a chunk
    parts = hull_distances(points, generators, keep_weights=True)
    assert torch.allclose(whole.lower, parts.lower, atol=1e-9)
    assert torch.allclose(whole.upper, parts.upper, atol=1e-9)
    assert whole.weights is not None
    assert parts.weights is not None
    assert parts.weights.shape == whole.weights.shape == (7, 9)


@given(st.integers(0, 10**6), st.integers(1, 9))
def test_projection_to_the_simplex_is_the_nearest_point(seed, width):
    values = 3.0 * cloud(seed, 4, width)
    projected = project_to_simplex(values)
    assert (projected >= 0).all()
    assert torch.allclose(projected.sum(1), torch.ones(4).double())
    # Optimality: the direction to any vertex makes no acute angle with the way back.
    way = values - projected
    assert (way.amax(1) - (way * projected).sum(1) <= 1e-9).all()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"norm": 3.0}, "norm"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"relative": 1.5}, "relative"),
        ({"iterations": 0}, "iterations"),
        ({"precision": torch.float16}, "precision"),
        ({"generators": torch.zeros(3, 5)}, "generators"),
        ({"points": torch.full((2, 4), math.nan)}, "points"),
        ({"points": torch.zeros(4)}, "points"),
    ],
)
def test_mistakes_are_named(change, name):
    arguments = {"points": torch.ones(2, 4), "generators": torch.zeros(3, 4), **change}
    with pytest.raises(InputError, match=f"`{name}`"):
        hull_distances(**arguments)
