"""Distances to a convex hull by a linear or a quadratic programme: slow, for small sets, and independent of `hull`.

The l1 and l_inf distances are linear programmes (HiGHS, in SciPy), the l2 distance a quadratic one (Clarabel, of the
extra ``exact``). What a solver returns is taken as it is: for comparison, not as a proof.
"""

from __future__ import annotations

import importlib
import math
from types import ModuleType
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.optimize import linprog
from torch import Tensor

from asymcert._checks import refuse
from asymcert.errors import DependencyError

Vector = np.ndarray[Any, np.dtype[np.float64]]
ACCURACY = 1e-10  # of the quadratic programme


def programme_distance(point: Tensor, generators: Tensor, norm: float = 2.0) -> float:
    """Distance of one point to the convex hull of the generators.

    Parameters
    ----------
    point, generators
        (...) and (m, ...), flattened to d features.
    norm
        1, 2 or inf.

    Raises
    ------
    InputError
        Another norm.
    DependencyError
        l2 without Clarabel.
    RuntimeError
        The solver failed.
    """
    x = np.asarray(point.detach().flatten().to(torch.float64))
    rows = np.asarray(generators.detach().flatten(1).to(torch.float64))
    if norm == 2:
        return _quadratic(x, rows)
    if norm not in (1.0, math.inf):
        raise refuse("norm", "1, 2 or inf", norm)
    return _linear(x, rows, norm)


def _linear(x: Vector, generators: Vector, norm: float) -> float:
    """``min sum(t)`` or ``min t`` with ``|x - w A| <= t``, w on the simplex; the variables are w and t."""
    m, d = generators.shape
    sizes = d if norm == 1 else 1
    spread = -np.eye(d) if norm == 1 else -np.ones((d, 1))
    bounds = np.block([[generators.T, spread], [-generators.T, spread]])
    cost = np.concatenate((np.zeros(m), np.ones(sizes)))
    total = np.concatenate((np.ones(m), np.zeros(sizes)))[None]
    found = linprog(cost, bounds, np.concatenate((x, -x)), total, [1.0], method="highs")
    if not found.success:
        raise RuntimeError(f"HiGHS failed: {found.message}")
    return float(found.fun)


def _quadratic(x: Vector, generators: Vector) -> float:
    """``min ||z||^2 / 2`` with ``z = x - w A``, w on the simplex; the variables are w and z."""
    solver = _clarabel()
    m, d = generators.shape
    quadratic = sparse.diags(np.concatenate((np.zeros(m), np.ones(d)))).tocsc()
    total = np.concatenate((np.ones(m), np.zeros(d)))[None]
    nonnegative = np.hstack((-np.eye(m), np.zeros((m, d))))
    rows = sparse.csc_matrix(np.vstack((np.hstack((generators.T, np.eye(d))), total, nonnegative)))
    bounds = np.concatenate((x, [1.0], np.zeros(m)))
    settings = solver.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = ACCURACY
    cones = [solver.ZeroConeT(d + 1), solver.NonnegativeConeT(m)]
    found = solver.DefaultSolver(quadratic, np.zeros(m + d), rows, bounds, cones, settings).solve()
    if found.status != solver.SolverStatus.Solved:
        raise RuntimeError(f"Clarabel failed: {found.status}")
    return float(np.linalg.norm(np.asarray(found.x)[m:]))


def _clarabel() -> ModuleType:
    try:
        return importlib.import_module("clarabel")
    except ImportError as error:
        raise DependencyError('The l2 programme needs clarabel: pip install "asymcert[exact]"') from error
