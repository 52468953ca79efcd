"""The least change that undoes a verdict, as one convex programme of the whole network, solved by scipy."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse
from scipy.optimize import linprog, minimize
from torch import Tensor

from asymcert.convex import ConvexMLP
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel


class Programme:
    """Epigraph of an MLP around one input: ``z_1 >= C_0 v + b_0``, ``z_{l+1} >= A_l z_l + C_l v + b_l``, ``z >= 0``.

    With ``A_l >= 0`` some z with a last row of at most 0 exists iff the margin is at most 0. Variables are the increase
    and the decrease of each coordinate, in units of cost, and the z.

    Parameters
    ----------
    model
        A folded ConvexMLP behind an affine map of single coordinates.
    x
        One sample of any shape.
    """

    def __init__(self, model: FeatureConvexClassifier, x: Tensor, threat: ThreatModel):
        assert isinstance(model.score, ConvexMLP)
        self.d = x.numel()
        cost = threat.cost_for(tuple(x.shape)).flatten().numpy()
        low, high = (end.flatten().numpy() for end in threat.interval(x[None].double()))
        self.room = np.concatenate((high * cost, -low * cost))
        self.rows, self.bounds = self._network(model, x, cost)

    def least(self, norm: float) -> float:
        """Least ``||cost * delta||_p`` for p = 1 or inf; inf where there is no such change."""
        inner = self.rows.shape[1] - 2 * self.d
        rows, bounds = self.rows, self.bounds
        cost = np.concatenate((np.ones(2 * self.d), np.zeros(inner)))
        limits = [*((0, room) for room in self.room), *[(0, None)] * inner]
        if math.isinf(norm):  # one more variable, which no change exceeds
            size = sparse.hstack((sparse.eye(self.d), sparse.eye(self.d), sparse.csr_matrix((self.d, inner))))
            rows = sparse.vstack((sparse.hstack((rows, np.zeros((rows.shape[0], 1)))), _with_column(size, -1.0)))
            bounds = np.concatenate((bounds, np.zeros(self.d)))
            cost, limits = np.append(np.zeros(len(cost)), 1.0), [*limits, (0, None)]
        solved = linprog(
            cost, rows, bounds, bounds=limits, method="highs", options={"primal_feasibility_tolerance": 1e-9}
        )
        assert solved.status in (0, 2), solved.message
        return float(solved.fun) if solved.status == 0 else math.inf

    def least_euclidean(self, start: np.ndarray) -> float:
        """Least ``||cost * delta||_2`` by sequential quadratic programming, from a feasible change (d,) times cost."""
        rows, d = self.rows.toarray(), self.d
        moves = np.concatenate((np.maximum(start, 0), np.maximum(-start, 0)))
        solved = minimize(
            lambda v: 0.5 * float(v[: 2 * d] @ v[: 2 * d]),
            np.concatenate((moves, np.full(rows.shape[1] - 2 * d, 10.0))),
            jac=lambda v: np.concatenate((v[: 2 * d], np.zeros(len(v) - 2 * d))),
            bounds=[*((0, room) for room in self.room), *[(0, None)] * (rows.shape[1] - 2 * d)],
            constraints={"type": "ineq", "fun": lambda v: self.bounds - rows @ v, "jac": lambda v: -rows},
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 500},
        )
        assert solved.success, solved.message
        return float(np.linalg.norm(solved.x[:d] - solved.x[d : 2 * d]))

    def _network(
        self, model: FeatureConvexClassifier, x: Tensor, cost: np.ndarray
    ) -> tuple[sparse.csr_matrix, np.ndarray]:
        """Rows and bounds of ``rows @ variables <= bounds``."""
        score = model.score
        v = model.feature_map(x[None].double()).flatten().numpy()
        step = model.feature_map(x[None].double() + 1.0).flatten().numpy() - v  # slopes of an affine map
        widths = [*score.hidden_widths, 1]
        blocks, bounds = [], []
        for level, layer in enumerate([score.first, *score.hidden]):
            free = layer.weight if level == 0 else score.direct[level - 1].weight if score.passthrough else None
            free = np.zeros((widths[level], self.d)) if free is None else free.numpy()
            constant = layer.bias.numpy() + free @ v - (model.threshold if level == len(widths) - 1 else 0.0)
            moved = free * step / cost
            inner = [sparse.csr_matrix((widths[level], width)) for width in widths[:-1]]
            if level > 0:
                inner[level - 1] = sparse.csr_matrix(layer.weight.numpy())
            if level < len(widths) - 1:
                inner[level] = -sparse.eye(widths[level], format="csr")
            blocks.append(sparse.hstack((moved, -moved, *inner)))
            bounds.append(-constant)
        return sparse.csr_matrix(sparse.vstack(blocks)), np.concatenate(bounds)


def _with_column(rows: sparse.spmatrix, value: float) -> sparse.spmatrix:
    return sparse.hstack((rows, np.full((rows.shape[0], 1), value)))
