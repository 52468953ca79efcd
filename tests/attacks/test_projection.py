"""The projection and the linear minimiser against independent solvers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from asymcert.attacks.projection import least_linear, project
from contracts.models import seeded

NORMS = (1.0, 1.3, 2.0, 3.0, math.inf)


def problem(seed, n=16, d=5, free=False):
    generator = seeded(seed)
    z = 3 * torch.randn(n, d, generator=generator).double()
    low, high = -2 * torch.rand(2, n, d, generator=generator).double()
    high = -high
    low[:, 0] = 0.0  # a feature that may only increase
    if free:
        low, high = torch.full_like(low, -math.inf), torch.full_like(high, math.inf)
    return z, 3 * torch.rand(n, generator=generator).double(), low, high


def size(y, norm):
    return torch.linalg.vector_norm(y, ord=norm, dim=1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("free", [False, True])
def test_result_is_feasible_and_feasible_points_stay(norm, free):
    z, radius, low, high = problem(1, 64, free=free)
    y = project(z, radius, low, high, norm)
    assert bool((y >= low).all())
    assert bool((y <= high).all())
    assert bool((size(y, norm) <= radius * (1 + 1e-15)).all())
    torch.testing.assert_close(project(y, radius, low, high, norm), y, rtol=1e-12, atol=1e-12)
    inside = torch.clamp(z, low, high)
    assert torch.equal(project(inside, size(inside, norm) * 1.001, low, high, norm), inside)


@pytest.mark.parametrize("norm", NORMS)
def test_infinite_and_zero_radius(norm):
    z, radius, low, high = problem(2)
    assert torch.equal(project(z, torch.full_like(radius, math.inf), low, high, norm), torch.clamp(z, low, high))
    assert bool((project(z, torch.zeros_like(radius), low, high, norm) == 0).all())
    y = project(z * 1e200, radius, low, high, norm)
    assert bool(torch.isfinite(y).all())
    assert bool((size(y, norm) <= radius * (1 + 1e-15)).all())


def sorted_l1_projection(v, radius):
    """Duchi et al., ICML 2008: threshold from the sorted magnitudes."""
    if np.abs(v).sum() <= radius:
        return v
    u = np.sort(np.abs(v))[::-1]
    excess = np.cumsum(u) - radius
    last = np.nonzero(u * np.arange(1, len(u) + 1) > excess)[0][-1]
    return np.sign(v) * np.maximum(np.abs(v) - excess[last] / (last + 1), 0)


def test_l1_without_box_equals_the_sorted_method():
    z, radius, low, high = problem(3, 64, 20, free=True)
    y = project(z, radius, low, high, 1.0)
    expected = [sorted_l1_projection(v, r) for v, r in zip(z.numpy(), radius.numpy(), strict=True)]
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_l2_without_box_is_radial():
    z, radius, low, high = problem(4, 64, 20, free=True)
    expected = z * torch.clamp(radius / size(z, 2), max=1.0)[:, None]
    torch.testing.assert_close(project(z, radius, low, high, 2.0), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_nearest_point_equals_a_quadratic_programme(norm):
    z, radius, low, high = problem(5, 12, 4)
    y = project(z, radius, low, high, norm)
    for row in range(len(z)):
        nearest = quadratic_programme(*(part[row].numpy() for part in (z, radius, low, high)), norm)
        np.testing.assert_allclose(y[row], nearest, atol=2e-5)


def quadratic_programme(z, radius, low, high, norm):
    """Nearest point, split into positive and negative parts so that every constraint is smooth."""
    d = len(z)

    def distance(parts):
        return 0.5 * np.sum((parts[:d] - parts[d:] - z) ** 2)

    total = {1.0: lambda t: radius - t.sum(), 2.0: lambda t: radius**2 - np.sum((t[:d] - t[d:]) ** 2)}
    limit = radius if norm == math.inf else math.inf
    bounds = [(0, min(limit, top)) for top in (*high, *-low)]
    constraints = [{"type": "ineq", "fun": total[norm]}] if norm in total else []
    start = np.full(2 * d, 1e-3)
    found = minimize(distance, start, bounds=bounds, constraints=constraints, method="SLSQP", options={"ftol": 1e-14})
    return found.x[:d] - found.x[d:]


@given(seed=st.integers(0, 10_000), norm=st.sampled_from([1.0, 2.0, math.inf]))
def test_no_other_feasible_point_is_nearer(seed, norm):
    """A projection y of z satisfies (z - y) . (w - y) <= 0 for every point w of a convex set."""
    z, radius, low, high = problem(seed, 8, 3)
    y = project(z, radius, low, high, norm)
    w = project(problem(seed + 1, 8, 3)[0], radius, low, high, norm)
    assert bool((((z - y) * (w - y)).sum(1) <= 1e-9).all())


@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_linear_minimiser_equals_a_linear_programme(norm):
    z, radius, low, high = problem(6, 12, 4)
    y = least_linear(z, radius, low, high, norm)
    for row in range(len(z)):
        gradient, r, bottom, top = (part[row].numpy() for part in (z, radius, low, high))
        limit = r if norm == math.inf else math.inf
        bounds = [(0, min(limit, b)) for b in (*top, *-bottom)]
        rows = None if norm == math.inf else np.ones((1, 8))
        solved = linprog(np.concatenate((gradient, -gradient)), rows, None if rows is None else [r], bounds=bounds)
        assert float(gradient @ y[row].numpy()) == pytest.approx(solved.fun, abs=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_linear_minimiser_is_feasible_and_beats_every_other_point(norm):
    z, radius, low, high = problem(7, 32)
    y = least_linear(z, radius, low, high, norm)
    assert bool((y >= low).all())
    assert bool((y <= high).all())
    assert bool((size(y, norm) <= radius * (1 + 1e-12)).all())
    for seed in range(200):
        other = project(problem(seed, 32)[0], radius, low, high, norm)
        assert bool(((z * y).sum(1) <= (z * other).sum(1) + 1e-9).all())


@pytest.mark.parametrize("norm", NORMS)
def test_linear_minimiser_reaches_the_dual_norm_without_a_box(norm):
    z, radius, low, high = problem(8, 32, free=True)
    q = {1.0: math.inf, math.inf: 1.0}.get(norm) or norm / (norm - 1)
    reached = (z * least_linear(z, radius, low, high, norm)).sum(1)
    torch.testing.assert_close(-reached, radius * size(z, q), rtol=1e-10, atol=0)
    assert bool((least_linear(torch.zeros_like(z), radius, low, high, norm) == 0).all())
