"""The master problems of the exact method, by themselves."""

import math

import highspy
import numpy as np
import pytest

from asymcert._floats import NORMS
from asymcert.certify.masters import MASTERS, plane_radius_linf


@pytest.mark.parametrize("norm", NORMS)
def test_masters_are_solved(norm):
    """Cuts ``1 - z_0`` and ``1 - z_1`` in three coordinates: the least change is (1, 1, 0)."""
    master = MASTERS[norm](np.full(3, -2.0), np.array([5.0, np.inf, np.inf]))
    master.add(1.0, np.array([-1.0, 0.0, 0.0]))
    master.add(1.0, np.array([0.0, -1.0, 0.0]))
    answer = master.solve(0.0)
    assert answer.feasible
    np.testing.assert_allclose(answer.point[:2], 1.0, rtol=1e-6)
    assert answer.weights.sum() == pytest.approx(1.0)
    if norm != math.inf:  # where either cut alone proves as much as both
        np.testing.assert_allclose(answer.weights, 0.5, rtol=1e-6)
    np.testing.assert_allclose(master.solve(0.5).point[:2], 1.5, rtol=1e-6)
    master.add(1.0, np.array([1.0, 1.0, 0.0]))  # with the others, this leaves nothing
    answer = master.solve(0.0)
    assert not answer.feasible
    np.testing.assert_allclose(answer.weights, 1 / 3, rtol=1e-6)


@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_other_users_of_the_solver_do_not_matter(norm):
    """HiGHS refuses to run with another number of threads than the first user in a process asked for."""
    highspy.Highs.resetGlobalScheduler(True)
    try:
        other = highspy.Highs()
        for option, value in (("output_flag", False), ("threads", 2)):
            other.setOptionValue(option, value)
        other.run()
        master = MASTERS[norm](np.full(2, -1.0), np.ones(2))
        master.add(1.0, np.array([2.0, 2.0]))
        assert np.abs(master.solve(0.0).point).sum() > 0.4
    finally:
        highspy.Highs.resetGlobalScheduler(True)


@pytest.mark.parametrize("seed", range(20))
def test_plane_radius_reaches_the_amount(seed):
    rng = np.random.default_rng(seed)
    slope, low, high = rng.normal(size=5), -rng.uniform(0, 2, 5), rng.uniform(0, 2, 5)
    high[rng.uniform(size=5) < 0.2] = np.inf

    def fall(size):
        return np.abs(slope) @ np.minimum(np.where(slope > 0, -low, high), size)

    amount = rng.uniform(0, 3)
    radius = plane_radius_linf(amount, slope, low, high)
    if math.isinf(radius):
        assert fall(1e9) < amount
    else:
        assert fall(radius) == pytest.approx(amount, rel=1e-9)
