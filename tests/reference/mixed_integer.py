"""The least change that undoes a ReLU network's verdict as a mixed-integer programme: a reference for certificates.

Solved by HiGHS in floating point with tolerances. Its answers are no certificates; they say how near those come.

Source: Tjeng, Xiao, Tedrake, ICLR 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asymcert._checks import check_number, refuse
from asymcert.certify.masters import load_solver
from asymcert.certify.relu.linear_bounds import Samples
from asymcert.certify.relu.relu_bounds import Enclosure, Network
from asymcert.certify.relu.slopes import tightened
from asymcert.models.relu import ReluClassifier
from asymcert.threats.model import ThreatModel

FEASIBILITY = 1e-9  # of the solver
ROOM = 1e-6  # relative, by which bounds of values are widened


@dataclass(frozen=True, eq=False)
class LeastChange:
    """What the programme found for one sample.

    Parameters
    ----------
    lower
        The solver's lower bound of the least size; `cap` where no change up to it undoes the verdict.
    size
        Size of the change that it found, inf if none.
    point
        (*input_shape), float64: the changed input, or the input itself.
    """

    lower: float
    size: float
    point: Tensor


def least_change(
    model: ReluClassifier, x: Tensor, threat: ThreatModel, cap: float, time_limit: float = 60.0
) -> LeastChange:
    """The least admissible change, of size at most `cap`, that brings the margin of a sensitive sample to 0.

    Parameters
    ----------
    model
        The classifier, taken in real arithmetic.
    x
        One sample (1, *input_shape).
    threat
        In l1 or l_inf, with any other part.
    cap
        Greatest size, finite: the smaller, the faster; a known flip's is best.
    time_limit
        In seconds.

    Raises
    ------
    InputError
        Another norm, a cap that is not positive and finite, or the solver is not installed.
    """
    if threat.norm not in (1.0, math.inf):
        raise refuse("threat", "in l1 or l_inf for a linear programme", f"p = {threat.norm:g}")
    check_number("cap", cap, 0.0, 1e15, open_low=True)
    network = Network.of(model, sound=False)
    samples = Samples.of(network, x.to(model.device, torch.float64), threat)
    radius = torch.tensor([cap], dtype=torch.float64, device=model.device)
    enclosure = tightened(network, samples.reach, samples.intervals(radius), radius)
    programme = _programme(network, samples, enclosure, cap)
    solver = programme.solver(load_solver("highspy"), time_limit)
    solver.run()
    info, values = solver.getInfo(), np.array(solver.getSolution().col_value)
    if not info.primal_solution_status or not len(values):
        infeasible = solver.modelStatusToString(solver.getModelStatus()) == "Infeasible"
        return LeastChange(cap if infeasible else 0.0, math.inf, x[0].double())
    change = torch.from_numpy(values[: x[0].numel()]) / samples.reach.cost[0].cpu()
    point = x[0].double().cpu() + change.view(x.shape[1:])
    size = float(info.objective_function_value)
    return LeastChange(float(info.mip_dual_bound) if any(programme.whole) else size, size, point)


class _Programme:
    """Columns and rows as they come."""

    def __init__(self) -> None:
        self.low: list[float] = []
        self.high: list[float] = []
        self.cost: list[float] = []
        self.whole: list[bool] = []
        self.rows: list[tuple[float, float, list[int], list[float]]] = []

    def columns(self, low: Any, high: Any, cost: float = 0.0, whole: bool = False) -> list[int]:
        """Add variables between bounds; returns their positions."""
        first = len(self.low)
        self.low += [float(value) for value in low]
        self.high += [float(value) for value in high]
        new = len(self.low) - first
        self.cost += [cost] * new
        self.whole += [whole] * new
        return list(range(first, first + new))

    def row(self, low: float, high: float, terms: dict[int, float]) -> None:
        """Add ``low <= sum of terms <= high``."""
        self.rows.append((low, high, list(terms), [float(value) for value in terms.values()]))

    def solver(self, highspy: Any, time_limit: float) -> Any:
        """HiGHS with this programme, not yet run."""
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.low), len(self.rows)
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = (np.array(part) for part in (self.cost, self.low, self.high))
        lp.row_lower_, lp.row_upper_ = (np.array([row[side] for row in self.rows]) for side in (0, 1))
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.cumsum([0, *(len(row[2]) for row in self.rows)])
        lp.a_matrix_.index_ = np.array([index for row in self.rows for index in row[2]])
        lp.a_matrix_.value_ = np.array([value for row in self.rows for value in row[3]])
        kinds = highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger
        lp.integrality_ = [kinds[whole] for whole in self.whole]
        solver = highspy.Highs()
        options = {"output_flag": False, "parallel": "off", "time_limit": time_limit, "mip_rel_gap": 1e-6}
        options |= {"mip_feasibility_tolerance": FEASIBILITY, "primal_feasibility_tolerance": FEASIBILITY}
        for name, value in options.items():
            solver.setOptionValue(name, value)
        solver.passModel(lp)
        return solver


def _programme(network: Network, samples: Samples, enclosure: Enclosure, cap: float) -> _Programme:
    programme, reach = _Programme(), samples.reach
    low, high = reach.low[0].clamp(min=-cap).tolist(), reach.high[0].clamp(max=cap).tolist()
    changes = programme.columns(low, high)
    sizes = _sizes(programme, changes, reach.norm, cap)
    assert sizes
    weight, bias = network.layers[0]
    inputs, matrix, offset = changes, (weight / reach.cost).tolist(), (weight @ reach.x[0] + bias).tolist()
    for index, (least, most) in enumerate(zip(enclosure.low, enclosure.high, strict=True)):
        before = _affine(programme, inputs, matrix, offset, least[0].tolist(), most[0].tolist())
        inputs = [_relu(programme, column) for column in before]
        matrix, offset = network.layers[index + 1][0].tolist(), network.layers[index + 1][1].tolist()
    programme.row(-math.inf, -offset[0], dict(zip(inputs, matrix[0], strict=True)))
    return programme


def _sizes(programme: _Programme, changes: list[int], norm: float, cap: float) -> list[int]:
    """Variables whose sum is the size, the objective."""
    count = 1 if math.isinf(norm) else len(changes)
    sizes = programme.columns([0.0] * count, [cap] * count, cost=1.0)
    for place, change in enumerate(changes):
        size = sizes[0 if math.isinf(norm) else place]
        programme.row(0.0, math.inf, {size: 1.0, change: -1.0})
        programme.row(0.0, math.inf, {size: 1.0, change: 1.0})
    return sizes


def _affine(
    programme: _Programme,
    inputs: list[int],
    matrix: list[list[float]],
    offset: list[float],
    low: list[float],
    high: list[float],
) -> list[int]:
    """Variables of an affine layer's values."""
    room = [ROOM * (1.0 + abs(a) + abs(b)) for a, b in zip(low, high, strict=True)]
    least = [a - r for a, r in zip(low, room, strict=True)]
    most = [b + r for b, r in zip(high, room, strict=True)]
    columns = programme.columns(least, most)
    for column, row, constant in zip(columns, matrix, offset, strict=True):
        programme.row(-constant, -constant, {**dict(zip(inputs, row, strict=True)), column: -1.0})
    return columns


def _relu(programme: _Programme, before: int) -> int:
    """The variable after a ReLU: with a whole one, 1 for on, where it can be on either side."""
    low, high = programme.low[before], programme.high[before]
    if low >= 0:
        return before
    (after,) = programme.columns([0.0], [max(high, 0.0)])
    if high <= 0:
        return after
    (on,) = programme.columns([0.0], [1.0], whole=True)
    programme.row(0.0, math.inf, {after: 1.0, before: -1.0})
    programme.row(-math.inf, -low, {after: 1.0, before: -1.0, on: -low})
    programme.row(-math.inf, 0.0, {after: 1.0, on: -high})
    return after
