"""Robust radii by means that share nothing with the package's certifiers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from asymcert.convex import ConvexMLP
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel


def exact_linear_radius(weight: Tensor, x: Tensor, threshold: float, cost: Tensor, norm: float) -> list[Fraction]:
    """Radii of ``weight . x > threshold`` in rational arithmetic, p = 1 or inf: margin over the dual norm."""
    slopes = [abs(Fraction(w)) / Fraction(c) for w, c in zip(weight.tolist(), cost.tolist(), strict=True)]
    steepest = max(slopes) if norm == 1 else sum(slopes, Fraction(0))
    assert norm in (1, math.inf)
    radii = []
    for row in x.tolist():
        margin = sum((Fraction(w) * Fraction(v) for w, v in zip(weight.tolist(), row, strict=True)), Fraction(0))
        radii.append(max(margin - Fraction(threshold), Fraction(0)) / steepest)
    return radii


def program_change(model: FeatureConvexClassifier, x: Tensor, threat: ThreatModel) -> np.ndarray | None:
    """Least admissible change that undoes the verdict on one sample, by a linear programme of the whole network.

    The epigraph of a ReLU network with nonnegative hidden weights is the polyhedron ``z_l >= 0``, ``z_l >= affine``,
    so the least change is one linear programme for p = 1 and inf. None where the programme has no solution.

    Parameters
    ----------
    model
        An MLP behind a map whose features are the input itself, or the input moved.
    x
        (d,), sensitive.
    """
    d = len(x)
    assert isinstance(model.score, ConvexMLP)
    network, network_bound = _network_rows(model, x, 2 * d)  # variables: change, size per coordinate, z_1, ..., norm
    size = _size_rows(threat, d, network.shape[1])
    low, high = (bound[0].numpy() for bound in threat.interval(x[None]))
    solved = linprog(
        np.eye(network.shape[1])[-1],
        np.vstack((network, size)),
        np.concatenate((network_bound, np.zeros(len(size)))),
        bounds=[*zip(low, high, strict=True), *[(0, None)] * (network.shape[1] - d)],
        method="highs",
    )
    return solved.x[:d] if solved.status == 0 else None


def _network_rows(model: FeatureConvexClassifier, x: Tensor, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows R and bounds r such that ``R @ variables <= r`` says that layers fit and the margin is at most 0."""
    score, v = model.score, model.feature_map(x[None])[0].numpy()
    assert isinstance(score, ConvexMLP)
    ends = [start, *(start + np.cumsum(score.hidden_widths))]  # of the layers' variables
    layers, rows, bounds = [score.first, *score.hidden], [], []
    for level, layer in enumerate(layers):
        free = layer.weight if level == 0 else score.direct[level - 1].weight if score.passthrough else None
        constant, block = layer.bias.numpy().copy(), np.zeros((len(layer.bias), ends[-1] + 1))
        if free is not None:
            block[:, : len(x)] = free.numpy()
            constant += free.numpy() @ v
        if level > 0:
            block[:, ends[level - 1] : ends[level]] = layer.weight.numpy()
        if level < len(layers) - 1:
            block[:, ends[level] : ends[level + 1]] -= np.eye(len(constant))
        else:
            constant -= model.threshold
        rows.append(block)
        bounds.append(-constant)
    return np.vstack(rows), np.concatenate(bounds)


def _size_rows(threat: ThreatModel, d: int, variables: int) -> np.ndarray:
    """Rows R with ``R @ variables <= 0``: ``|cost * change| <= size`` and ``||size||_p <= norm``, p = 1 or inf."""
    cost = np.diag(threat.cost_for((d,)).numpy())
    above, below = np.zeros((d, variables)), np.zeros((d, variables))
    above[:, :d], below[:, :d] = cost, -cost
    above[:, d : 2 * d] = below[:, d : 2 * d] = -np.eye(d)
    norm = np.zeros((1 if threat.norm == 1 else d, variables))
    norm[:, d : 2 * d], norm[:, -1] = 1.0 if threat.norm == 1 else np.eye(d), -1.0
    return np.vstack((above, below, norm))


def flipping_size(model: FeatureConvexClassifier, x: Tensor, change: Tensor, threat: ThreatModel) -> float:
    """Size of the least tried multiple of `change` that undoes the verdict on sample `x`; inf if none does.

    The multiples run over 0.9 to 1.1, finely near 1, so a change found by a solver with a tolerance is made to flip.
    A flip is a fact: no sound radius is above the size that this returns.
    """
    near = 1.0 + np.concatenate(([0.0], np.logspace(-12, -1, 60), -np.logspace(-12, -1, 60)))
    multiples = torch.from_numpy(np.sort(near))
    changes = multiples.view(-1, *[1] * x.ndim) * change
    low, high = threat.interval(x[None])
    changes = torch.clamp(changes, low, high)
    flipped = ~(model.margin(x + changes) > 0)
    return float(threat.size(changes)[flipped].min()) if bool(flipped.any()) else math.inf


def grid_radius(
    model: FeatureConvexClassifier, x: Tensor, threat: ThreatModel, reach: float, steps: int = 120
) -> float:
    """Least size of a change that undoes the verdict on one sample of one or two features, by brute force.

    A polar grid of changes up to `reach` times the unit square; those outside the box are left out.
    """
    angle = torch.linspace(0, 2 * math.pi, 121, dtype=torch.float64)[:-1]
    directions = (
        torch.stack((angle.cos(), angle.sin()), 1) if x.shape == (2,) else torch.tensor([[1.0], [-1.0]]).double()
    )
    lengths = torch.linspace(0, reach, steps + 1, dtype=torch.float64)[1:]
    changes = (lengths[:, None, None] * directions).reshape(-1, len(x))
    low, high = threat.interval(x[None])
    changes = changes[((changes >= low) & (changes <= high)).all(1)]
    flipped = ~(model.margin(x + changes) > 0)
    return float(threat.size(changes)[flipped].min()) if bool(flipped.any()) else math.inf
