"""Whether what an attack returns is a change that the adversary can make, by means independent of the package."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from asymcert.attacks import AttackResult
from asymcert.threats.model import ThreatModel
from contracts.certifier import COST

NORMS = (1.0, 1.3, 2.0, 3.0, math.inf)
THREATS = [
    *(ThreatModel(norm=p) for p in NORMS),
    *(ThreatModel(norm=p, lower=0, upper=1) for p in NORMS),
    *(ThreatModel(norm=p, lower=-0.1, cost=COST) for p in NORMS),
    ThreatModel(norm=1, upper=1.1, mutable=torch.tensor([True, False, True, True, False, True])),
    ThreatModel(norm=2, lower=0, upper=1, cost=COST, direction=torch.tensor([1, -1, 0, 1, -1, 0])),
]


def check_admissible(result: AttackResult, x: Tensor, threat: ThreatModel, size: Tensor) -> None:
    """Independent of the code under test: rational numbers, and the box as the user gave it."""
    point, delta = result.adversarial.double().numpy(), result.adversarial.double().numpy() - x.double().numpy()
    np.testing.assert_array_equal(result.delta, delta)
    cost = np.broadcast_to(1.0 if threat.cost is None else threat.cost.numpy(), delta.shape)  # pyright: ignore
    norms = np.linalg.norm((cost * delta).reshape(len(x), -1), ord=threat.norm, axis=1)
    np.testing.assert_allclose(result.size, norms, rtol=1e-12)
    for index in range(len(x)):
        if threat.norm in (1, 2, 3, math.inf) and size[index] < math.inf:
            assert _within(x[index].double(), result.adversarial[index], cost[index], float(size[index]), threat.norm)
        else:
            assert norms[index] <= size[index]
    if threat.lower is not None:
        assert (point >= threat.lower.numpy()).all()  # pyright: ignore
    if threat.upper is not None:
        assert (point <= threat.upper.numpy()).all()  # pyright: ignore
    if threat.mutable is not None:
        assert (delta[:, ~threat.mutable.numpy()] == 0).all()
    if threat.direction is not None:
        assert (delta * threat.direction.numpy() >= 0).all()


def _within(x: Tensor, point: Tensor, cost: np.ndarray, size: float, norm: float) -> bool:
    pairs = zip(x.flatten().tolist(), point.flatten().tolist(), cost.flatten().tolist(), strict=True)
    parts = [Fraction(c) * abs(Fraction(after) - Fraction(before)) for before, after, c in pairs]
    if math.isinf(norm):
        return max(parts) <= Fraction(size)
    return sum(part ** int(norm) for part in parts) <= Fraction(size) ** int(norm)
