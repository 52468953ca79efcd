"""Master problems of the exact method: the least change that a set of cuts does not rule out.

A cut says ``value + slope . z``, z being the change in scaled coordinates ``cost * delta``, in which sizes are plain
norms. The master asks for the least ``||z||_p`` inside ``low <= z <= high`` with every cut at most ``-depth``, and
answers with that point and the multipliers of the cuts. A positive depth puts the point inside the region where the
cuts say that the verdict is undone, not on its edge. Linear programmes go to HiGHS, the quadratic one to Clarabel;
nothing that a solver says is trusted by whoever calls it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from asymcert._checks import refuse

ACCURACY = 1e-9  # of the solvers, relative to a margin of 1 and a radius of about 1
NEWTON_STEPS = 50  # towards the l_inf radius; ten are rare

Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Answer:
    """A master's solution, as the solver gave it.

    Parameters
    ----------
    point
        (d,), the least change; where no change satisfies all cuts, the one that violates them least.
    weights
        (K,), nonnegative with sum 1: multipliers of the cuts.
    feasible
        Whether any admissible change brings all cuts to the depth that was asked for.
    """

    point: Vector
    weights: Vector
    feasible: bool


class Master(ABC):
    """Least ``||z||_p`` with every cut at most ``-depth``, ``low <= z <= high``, both (d,); infinite entries are free.

    The caller scales: the value of the first cut should be 1, and the radius of the order of 1.
    """

    def __init__(self, low: Vector, high: Vector):
        self.low, self.high = low, high
        self.values: list[float] = []
        self.slopes: list[Vector] = []

    def add(self, value: float, slope: Vector) -> None:
        """Add the cut ``value + slope . z``."""
        self.values.append(value)
        self.slopes.append(slope)

    @abstractmethod
    def solve(self, depth: float) -> Answer | None:
        """Solve for the present cuts; None if the solver fails."""

    def least_violation(self) -> Answer | None:
        """The admissible change with the least greatest cut, whatever its size; for cuts that exclude each other."""
        programme = _LevelProgramme(self.low, self.high)
        for value, slope in zip(self.values, self.slopes, strict=True):
            programme.add(value, slope)
        found = programme.solve(math.inf)
        return None if found is None else Answer(found[0], found[2], feasible=False)


class MasterL1(Master):
    """A linear programme with one row for each cut: the increase and the decrease of a coordinate are its variables."""

    def __init__(self, low: Vector, high: Vector):
        super().__init__(low, high)
        self._up, self._down = np.flatnonzero(high > 0), np.flatnonzero(low < 0)
        room = np.concatenate(([0.0], high[self._up], -low[self._down]))  # the first variable is the depth
        self._programme = _Programme((room > 0).astype(np.float64), np.zeros(len(room)), room)

    def add(self, value: float, slope: Vector) -> None:
        """Add a row to the programme; the next solution starts from the last basis."""
        super().add(value, slope)
        self._programme.add_row(-value, np.concatenate(([1.0], slope[self._up], -slope[self._down])))

    def solve(self, depth: float) -> Answer | None:
        """Dual simplex steps from the last basis."""
        self._programme.bound(np.array([depth]), np.array([depth]))
        status, change, multipliers = self._programme.run()
        if status == "infeasible":
            return self.least_violation()
        if status != "optimal":
            return None
        point, ups = np.zeros_like(self.low), 1 + len(self._up)
        point[self._up] += change[1:ups]
        point[self._down] -= change[ups:]
        return Answer(point, _on_simplex(multipliers), feasible=True)


class MasterLinf(Master):
    """Newton's method on the radius t, with a small linear programme at each step.

    ``V(t) = min { max_k cut_k(z) : ||z||_inf <= t, low <= z <= high }`` is convex and falls; where it is ``-depth`` is
    sought. A programme for V(t) has one row for each cut, where one with t as a variable would have two more for every
    coordinate. Its multipliers average the cuts to a plane that touches V at t, and where the plane reaches the depth,
    which is known in closed form, is the next t: never too far, and right after finitely many steps.
    """

    def __init__(self, low: Vector, high: Vector):
        super().__init__(low, high)
        self._programme = _LevelProgramme(low, high)
        self._radius, self._depth = 0.0, math.nan  # where the cuts so far reach a depth, or less

    def add(self, value: float, slope: Vector) -> None:
        """Add a row to the programme; the radius can only grow."""
        super().add(value, slope)
        self._programme.add(value, slope)
        self._reach(value + self._depth, slope)

    def solve(self, depth: float) -> Answer | None:
        """Newton steps from the last radius, each from the last basis."""
        values, slopes = np.array(self.values), np.array(self.slopes)
        if depth != self._depth:
            self._radius, self._depth = 0.0, depth
            for value, slope in zip(values, slopes, strict=True):
                self._reach(value + depth, slope)
        answer = None
        for _ in range(NEWTON_STEPS):
            if math.isinf(self._radius):
                return self.least_violation()
            found = self._programme.solve(self._radius)
            if found is None:
                return answer
            point, level, weights = found
            answer, before = Answer(point, weights, feasible=True), self._radius
            self._reach(float(weights @ values) + depth, weights @ slopes)
            if level + depth <= ACCURACY or self._radius <= before * (1.0 + ACCURACY):
                break
        return answer

    def _reach(self, amount: float, slope: Vector) -> None:
        if not math.isnan(amount):
            self._radius = max(self._radius, plane_radius_linf(amount, slope, self.low, self.high))


class MasterL2(Master):
    """A quadratic programme for Clarabel, an interior point method: solved anew for every set of cuts."""

    def __init__(self, low: Vector, high: Vector):
        super().__init__(low, high)
        from scipy import sparse

        self._clarabel, self._sparse = load_solver("clarabel"), sparse
        above, below = np.flatnonzero(np.isfinite(high)), np.flatnonzero(np.isfinite(low))
        columns = np.concatenate((above, below))
        signs = np.concatenate((np.ones(len(above)), -np.ones(len(below))))
        self._sides = sparse.csr_array((signs, (np.arange(len(columns)), columns)), (len(columns), len(low)))
        self._room = np.concatenate((high[above], -low[below]))
        self._quadratic = sparse.eye_array(len(low), format="csc")

    def solve(self, depth: float) -> Answer | None:
        """Interior point steps from the solver's own start."""
        sparse, status = self._sparse, self._clarabel.SolverStatus
        rows = sparse.vstack((sparse.csr_array(np.array(self.slopes)), self._sides), format="csc")
        bounds = np.concatenate((-np.array(self.values) - depth, self._room))
        cones = [self._clarabel.NonnegativeConeT(len(bounds))]
        linear = np.zeros_like(self.low)
        found = self._clarabel.DefaultSolver(self._quadratic, linear, rows, bounds, cones, self._settings()).solve()
        if found.status in (status.PrimalInfeasible, status.AlmostPrimalInfeasible):
            return self.least_violation()
        if found.status not in (status.Solved, status.AlmostSolved):
            return None
        point = np.clip(np.array(found.x), self.low, self.high)
        return Answer(point, _on_simplex(np.array(found.z)[: len(self.values)]), feasible=True)

    def _settings(self) -> Any:
        settings = self._clarabel.DefaultSettings()
        settings.verbose = False
        settings.max_threads = 1
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = ACCURACY
        return settings


MASTERS: dict[float, type[Master]] = {1.0: MasterL1, 2.0: MasterL2, math.inf: MasterLinf}


def plane_radius_linf(value: float, slope: Vector, low: Vector, high: Vector) -> float:
    """Least t at which ``value + slope . z`` can reach 0 with ``||z||_inf <= t`` inside the box; inf if it cannot."""
    steepness = np.abs(slope)
    room = np.where(slope > 0, -low, high)
    order = np.argsort(room)
    room, steepness = room[order], steepness[order]
    with np.errstate(invalid="ignore"):  # 0 * inf: a free coordinate that the plane does not depend on
        used = np.nan_to_num(steepness * room, posinf=math.inf)
        before = np.concatenate(([0.0], np.cumsum(used)[:-1]))  # fall of the coordinates with less room
        rest = np.cumsum(steepness[::-1])[::-1]  # slope of those with as much or more
        fall = before + np.nan_to_num(rest * room, posinf=math.inf)
    last = int(np.searchsorted(fall, value))
    if last == len(fall):
        return math.inf
    return max(0.0, float((value - before[last]) / rest[last])) if rest[last] > 0 else float(room[last])


def load_solver(name: str, method: str = "exact", extra: str = "exact") -> ModuleType:
    """Import an optional solver of a method, which an extra of this package installs.

    Raises
    ------
    InputError
        It is not installed.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        remedy = f"Install it with pip install 'asymcert[{extra}]', or use another method."
        raise refuse("method", "one whose solver is installed", f"{method!r} without {name}", remedy) from None


class _LevelProgramme:
    """``min s`` with ``cut_k(z) <= s`` for all k and z in the box cut by ``||z||_inf <= t``."""

    def __init__(self, low: Vector, high: Vector):
        self._low, self._high = low, high
        cost = np.zeros(len(low) + 1)
        cost[-1] = 1.0
        self._programme = _Programme(cost, np.append(low, -math.inf), np.append(high, math.inf))

    def add(self, value: float, slope: Vector) -> None:
        self._programme.add_row(-value, np.append(slope, -1.0))

    def solve(self, size: float) -> tuple[Vector, float, Vector] | None:
        """Point (d,), value and weights (K,) of the solution; None if there is none."""
        self._programme.bound(np.maximum(self._low, -size), np.minimum(self._high, size))
        status, values, multipliers = self._programme.run()
        return (values[:-1], float(values[-1]), _on_simplex(multipliers)) if status == "optimal" else None


class _Programme:
    """A linear programme in HiGHS that grows by rows, ``rows @ z <= bounds``, keeping its basis."""

    def __init__(self, cost: Vector, low: Vector, high: Vector):
        self._highs = load_solver("highspy")
        self._model = self._highs.Highs()
        options = {
            "output_flag": False,
            "presolve": "off",  # it would throw the basis away
            "solver": "simplex",
            "parallel": "off",  # a number of threads would have to agree with other users of HiGHS in this process
            "primal_feasibility_tolerance": ACCURACY,
            "dual_feasibility_tolerance": ACCURACY,
        }
        for name, value in options.items():
            self._model.setOptionValue(name, value)
        self._columns = np.arange(len(cost), dtype=np.int32)
        none, nothing = np.zeros(len(cost), dtype=np.int32), np.zeros(0, dtype=np.int32)
        self._model.addCols(len(cost), cost, low, high, 0, none, nothing, np.zeros(0))

    def add_row(self, bound: float, row: Vector) -> None:
        self._model.addRow(-math.inf, bound, len(row), self._columns, row)

    def bound(self, low: Vector, high: Vector) -> None:
        """Change the bounds of the first columns."""
        self._model.changeColsBounds(len(low), self._columns[: len(low)], low, high)

    def run(self) -> tuple[str, Vector, Vector]:
        """``optimal``, ``infeasible`` or ``failed``; values of the columns; multipliers of the rows."""
        self._model.run()
        status, known = self._model.getModelStatus(), self._highs.HighsModelStatus
        solution = self._model.getSolution()
        names = {known.kOptimal: "optimal", known.kInfeasible: "infeasible"}
        return names.get(status, "failed"), np.array(solution.col_value), -np.array(solution.row_dual)


def _on_simplex(multipliers: Vector) -> Vector:
    """Multipliers without negative entries, divided by their sum; all on the first cut if none is positive."""
    weights = np.maximum(np.nan_to_num(multipliers), 0.0)
    if not 0 < weights.sum() < math.inf:
        weights = np.eye(1, len(weights))[0]
    return weights / weights.sum()
