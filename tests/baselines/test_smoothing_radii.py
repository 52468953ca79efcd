"""Noise by its distribution, radii of smoothing against worst cases, and radii in other norms against vectors."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from asymcert.certify.norms import converted, radius_against
from asymcert.certify.smoothing import smoothed_radius
from asymcert.models.noise import NOISES, draw, noise_scale
from asymcert.threats.model import ThreatModel

NORMS = (1.0, 1.5, 2.0, math.inf)


# Noise


DISTRIBUTIONS = {"gaussian": stats.norm, "laplacian": stats.laplace, "uniform": stats.uniform(-1, 2)}


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_its_distribution_and_standard_deviation(kind):
    values = draw(kind, 0.7, (400, 500), torch.Generator().manual_seed(1)).double().flatten()
    assert float(values.std()) == pytest.approx(0.7, rel=0.01)
    assert abs(float(values.mean())) < 0.01
    scaled = values[:20_000].numpy() / noise_scale(kind, 0.7)
    assert stats.kstest(scaled, DISTRIBUTIONS[kind].cdf).pvalue > 0.01
    assert DISTRIBUTIONS[kind].std() * noise_scale(kind, 0.7) == pytest.approx(0.7)


# Radii against the worst classifier of a given score (Neyman and Pearson): on a grid of cells, the one that is
# sensitive where the ratio of the two noise densities is least.


def worst_case(kind, sigma, change, p, cells):
    """Least score that any classifier with score `p` at 0 can have at `change`, to the grid's accuracy."""
    scale, here, there = noise_scale(kind, sigma), np.ones(1), np.ones(1)
    for step in change:
        edges = np.unique(np.concatenate((np.linspace(-12 * scale, 12 * scale + step, cells), [0.0, step])))
        edges = np.unique(np.concatenate((edges, [-scale, scale, step - scale, step + scale])))
        edges[0], edges[-1] = -np.inf, np.inf
        own = np.diff(DISTRIBUTIONS[kind].cdf(edges / scale))
        moved = np.diff(DISTRIBUTIONS[kind].cdf((edges - step) / scale))
        here, there = np.outer(here, own).ravel(), np.outer(there, moved).ravel()
    seen = here > 0
    here, there = here[seen], there[seen]
    order = np.argsort(there / here)
    filled = np.cumsum(here[order])
    share = np.clip((p - (filled - here[order])) / here[order], 0.0, 1.0)
    return float((share * there[order]).sum())


CHANGES = {
    1.0: [(1.0, 0.0), (0.5, 0.5)],
    2.0: [(1.0, 0.0), (0.6, 0.8)],
    math.inf: [(1.0, 1.0), (1.0, 0.3)],
}
# Where the radius is the best possible in two dimensions, for the first of these changes.
TIGHT = {("gaussian", 1.0), ("gaussian", 2.0), ("gaussian", math.inf), ("laplacian", 1.0)}
TIGHT |= {("uniform", 1.0), ("uniform", math.inf)}


@pytest.mark.parametrize(
    ("p", "share"), [(0.6, 0.5), (0.9, 0.5), (0.99, 0.5), (0.3, 0.1), (0.9, 0.1), (0.99, 0.03), (0.97, 0.8)]
)
@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("kind", NOISES)
def test_radii_hold_for_the_worst_classifier_and_mostly_no_further(kind, norm, p, share):
    excess = torch.tensor([p - share], dtype=torch.float64)
    radius = float(smoothed_radius(kind, 0.8, excess, ThreatModel(norm=norm), (2,), share))
    assert radius > 0
    for change in CHANGES[norm]:
        inside = [0.999 * radius * part for part in change]
        assert worst_case(kind, 0.8, inside, p, 400) >= share, change
    if (kind, norm) in TIGHT:
        outside = [1.02 * radius * part for part in CHANGES[norm][0]]
        assert worst_case(kind, 0.8, outside, p, 400) < share


def test_the_worst_case_is_that_of_a_half_space():
    expected = stats.norm.cdf(stats.norm.ppf(0.9) - 0.7 / 0.8)
    assert worst_case("gaussian", 0.8, [0.7], 0.9, 4000) == pytest.approx(expected, abs=1e-5)


def test_the_uniform_radius_in_linf_is_better_than_the_converted_one():
    excess = torch.tensor([0.3], dtype=torch.float64)
    direct = smoothed_radius("uniform", 1.0, excess, ThreatModel(norm=math.inf), (50,))
    one = smoothed_radius("uniform", 1.0, excess, ThreatModel(norm=1), (50,))
    assert float(direct) > 1.1 * float(converted(one, 1.0, math.inf, 50))


def test_the_laplacian_radius_is_the_greater_of_the_two_published_ones():
    p = torch.linspace(0.5, 0.9999, 500, dtype=torch.float64)
    radius = smoothed_radius("laplacian", math.sqrt(2.0), p - 0.5, ThreatModel(norm=1), (3,))
    assert bool((radius >= 0.5 * torch.log(p / (1 - p)) - 1e-12).all())
    assert bool((radius >= 2 * p - 1 - 1e-12).all())


@pytest.mark.parametrize("kind", NOISES)
def test_no_excess_is_no_radius(kind):
    nothing = torch.zeros(3, dtype=torch.float64)
    for norm in NORMS:
        assert torch.equal(smoothed_radius(kind, 0.5, nothing, ThreatModel(norm=norm), (4,)), nothing)


# Other norms


@pytest.mark.parametrize(("own", "norm"), list(itertools.product(NORMS, NORMS)))
def test_converted_balls_lie_inside_and_touch(own, norm):
    d, radius = 5, torch.tensor([0.7], dtype=torch.float64)
    found = float(converted(radius, own, norm, d))
    sparse, dense = torch.eye(d, dtype=torch.float64)[:1], torch.ones(1, d, dtype=torch.float64)
    random = torch.randn(500, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    vectors = torch.cat((sparse, dense, random))
    reach = torch.linalg.vector_norm(vectors, ord=own, dim=1) / torch.linalg.vector_norm(vectors, ord=norm, dim=1)
    assert float((reach * found).max()) <= 0.7 * (1 + 4e-16)  # two roundings of the norms
    assert float((reach * found).max()) == pytest.approx(0.7)


def test_costs_count_by_the_cheapest_feature():
    radius, cost = torch.tensor([0.7], dtype=torch.float64), torch.tensor([0.5, 4.0], dtype=torch.float64)
    found = radius_against(radius, 2.0, ThreatModel(norm=2, cost=cost), (2,))
    assert 0.35 * (1 - 1e-14) < float(found) < 0.35
    assert torch.equal(radius_against(radius, 2.0, ThreatModel(norm=2, lower=0), (2,)), radius)
