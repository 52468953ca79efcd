"""The other side of an exact certificate: just beyond its upper bound the verdict must give way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert._checks import check_count
from asymcert.attacks import Attack, ProjectedGradient, score
from asymcert.certify.exact import Exact
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel

BEYOND = 1.001  # times the upper bound: the budget
EXACT = Exact.method  # whose rows are held to it


@dataclass(frozen=True)
class Beyond(Attack):
    """Undo verdicts with a little more than the upper bound that an exact certificate states.

    The verdicts that a short descent leaves standing meet a long one, and what is left of them the input that the
    certifier itself names, which `score` measures and asks about like any other. A verdict that none of them undoes
    refutes the bound.

    Parameters
    ----------
    steps
        Gradient steps of the long descent.
    """

    steps: int = 200

    def __post_init__(self) -> None:
        check_count("steps", self.steps)

    @property
    def name(self) -> str:
        """``a flip at 1.001 of upper``, and the steps where they are not the default."""
        steps = "" if self.steps == Beyond.steps else f", {self.steps} steps"
        return f"a flip at {BEYOND} of upper{steps}"

    def search(
        self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, size: Tensor, generator: torch.Generator
    ) -> Tensor:
        """First change found for each sample that undoes its verdict, else none: (n, *input_shape), float64."""
        found = torch.zeros_like(x)
        left = torch.ones(len(x), dtype=torch.bool, device=x.device)
        for attack in (ProjectedGradient(restarts=1), ProjectedGradient(self.steps, restarts=2), _Named()):
            rest = left.nonzero().flatten()
            if not len(rest):
                break
            change = attack.search(model, x[rest], threat, size[rest], generator)
            success = score(model, x[rest], change, threat, size[rest]).success
            found[rest[success]] = change[success]
            left[rest[success]] = False
        return found


class _Named(Attack):
    """The input that the certifier names, made anew."""

    @property
    def name(self) -> str:
        return "certificate.adversarial"

    def search(
        self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, size: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Changes (n, *input_shape), without regard to the budgets."""
        certificate = Exact().certify(model, x, [threat])[0]
        assert certificate.adversarial is not None
        return certificate.adversarial.to(x) - x
