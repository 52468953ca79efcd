"""One batch under attack, in the coordinates in which the size of a change is a plain norm."""

from __future__ import annotations

import torch
from torch import Tensor

from asymcert.attacks.projection import least_linear, project
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel

UNBOUNDED = 1e3  # an unlimited change is searched up to this multiple of the input's own size


class Problem:
    """A classifier, inputs, an adversary and budgets, in scaled coordinates ``z = cost * delta``, flattened to (n, d).

    Parameters
    ----------
    model
        The classifier that is run.
    x
        (n, *input_shape), float64, inside the box of `threat`.
    threat
        The adversary.
    size
        (n,): budgets, inf where only the box limits the change.
    """

    def __init__(self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, size: Tensor):
        self.model, self.x, self.norm = model, x, threat.norm
        self.cost, self.low, self.high = scaled_interval(x, threat)
        corner = torch.linalg.vector_norm(torch.maximum(-self.low, self.high), ord=self.norm, dim=1)
        unbounded = UNBOUNDED * threat.size(x).clamp(min=1.0)
        radius = torch.minimum(size, corner)  # no change within the box is larger than to its far corner
        self.radius = torch.where(radius.isinf(), unbounded, radius)

    def change(self, z: Tensor) -> Tensor:
        """Unscaled change, (n, *input_shape)."""
        return (z / self.cost).view_as(self.x)

    @torch.no_grad()
    def margin(self, z: Tensor) -> Tensor:
        """Margins of the changed inputs, (n,)."""
        return self.model((self.x + self.change(z)).to(self.model.dtype)).double()

    def evaluate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Margins (n,) and their gradients by `z`, (n, d)."""
        point = (self.x + self.change(z)).to(self.model.dtype).requires_grad_(True)
        with torch.enable_grad():
            margin = self.model(point)
            (gradient,) = torch.autograd.grad(margin.sum(), point)
        return margin.detach().double(), gradient.double().flatten(1) / self.cost

    def project(self, z: Tensor) -> Tensor:
        """Move rows (n, d) into ball and box."""
        return project(z, self.radius, self.low, self.high, self.norm)

    def shrink(self, z: Tensor) -> Tensor:
        """Clip rows (n, d) to the box, then shorten those outside the ball: cheaper than `project`, farther off."""
        z = torch.clamp(z, self.low, self.high)
        if self.norm == float("inf"):
            return torch.clamp(z, -self.radius[:, None], self.radius[:, None])
        size = torch.linalg.vector_norm(z, ord=self.norm, dim=1)
        return z * (self.radius / torch.where(size > 0, size, 1.0)).clamp(max=1.0)[:, None]

    def tangent_worst(self, gradient: Tensor) -> Tensor:
        """The change within the budget that a linear margin with this gradient (n, d) minds most, (n, d)."""
        return least_linear(gradient, self.radius, self.low, self.high, self.norm)

    def random_start(self, generator: torch.Generator) -> Tensor:
        """A random direction, a random share of the radius."""
        n, d = self.low.shape
        direction = torch.randn(n, d, generator=generator, dtype=torch.float64)
        direction = direction / torch.linalg.vector_norm(direction, ord=self.norm, dim=1, keepdim=True)
        share = torch.rand(n, 1, generator=generator, dtype=torch.float64)
        return self.project((share * direction).to(self.low) * self.radius[:, None])


def scaled_interval(x: Tensor, threat: ThreatModel) -> tuple[Tensor, Tensor, Tensor]:
    """Costs (1, d), least and greatest change in scaled coordinates ``cost * delta``, each (n, d).

    Raises
    ------
    InputError
        An input lies outside its own box.
    """
    low, high = threat.interval(x)
    cost = threat.cost_for(tuple(x.shape[1:])).to(x).reshape(1, -1)
    return cost, low.flatten(1) * cost, high.flatten(1) * cost
