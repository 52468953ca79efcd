"""The complete certificate of ReLU networks: linear bounds, finished by branch and bound."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import check_count, check_number, option
from asymcert.attacks import ProjectedGradient
from asymcert.certify.base import Certificate
from asymcert.certify.relu.branching import Flip, Outcome, Search, smallest_flip
from asymcert.certify.relu.linear_bounds import Crown, ReluCertifier, Samples, crown_radius
from asymcert.certify.relu.relu_bounds import Network
from asymcert.certify.relu.slopes import tightened
from asymcert.models.relu import ReluClassifier
from asymcert.threats.model import ThreatModel

LEAST, GREATEST = 1e-9, 1e9  # radii beyond which nothing is searched for
GROWTH = 1.5  # of the budget while attacks find nothing
GROWTHS = 24
SHARE = 0.25  # of the time left, that one radius may take
CROWN_ASCENTS = Crown().ascents
ATTACK = ProjectedGradient(steps=30, restarts=1)
ATTACK_ROUNDS = 6  # of shrinking a flip that was found


@dataclass(frozen=True)
class BranchAndBound(ReluCertifier):
    """The radius up to a relative gap of `tolerance`, by splitting ReLUs until linear bounds or a flip decide.

    Starts from the radius of `Crown` and from flips that attacks find, and bisects between them; a radius that takes
    too long is left for a smaller one. What time runs out on keeps the radius proven so far, and the gap shows in the
    certificate's `upper`. A part of the input set with some ReLUs fixed is bounded with a multiplier for each of them;
    with all of them fixed the network is linear there, and the bound exact in the limit of the ascent.

    Parameters
    ----------
    sound, steps
        As in `Crown`; `steps` are of the radius it starts from.
    ascents
        Gradient steps of slopes and multipliers at each part.
    tolerance
        Relative gap between the radius and a known flip at which to stop.
    time_limit
        Seconds for each sample.

    Sound when `IntervalBounds` is.

    Source: Bunel et al., JMLR 2020 (branch and bound); Wang et al., NeurIPS 2021, Theorem 3.1 (multipliers of splits).
    """

    method: ClassVar[str] = "branch-and-bound"

    ascents: int = option(10, "crown, branch-and-bound: gradient steps of the slopes.")
    tolerance: float = option(1e-3, "exact, branch-and-bound: relative gap to stop at.")
    time_limit: float = option(10.0, "exact, branch-and-bound: seconds for each sample.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("ascents", self.ascents)
        check_number("tolerance", self.tolerance, 0.0, open_low=True)
        check_number("time_limit", self.time_limit, 0.0)

    def _radius(self, samples: Samples, margin: Tensor) -> Tensor:
        return crown_radius(samples, margin, self.steps, CROWN_ASCENTS)

    def _certificate(
        self, model: ReluClassifier, network: Network, x: Tensor, margin: Tensor, threat: ThreatModel
    ) -> Certificate:
        start = super()._certificate(model, network, x, margin, threat)
        radius, inputs = start.radius.clone(), x.to(model.device, torch.float64)
        upper, adversarial = torch.zeros_like(margin).masked_fill(margin > 0, math.inf), inputs.clone()
        found = first_flips(model, inputs, threat, margin, radius)
        for index in (margin > 0).nonzero()[:, 0].tolist():
            lower, flip = self._refined(
                model, network, inputs[index : index + 1], threat, float(radius[index]), found[index]
            )
            radius[index] = lower
            if flip is not None:
                upper[index], adversarial[index] = flip.size, flip.point
        return Certificate(
            radius, margin, start.slope, threat, self.method, self.sound, upper=upper, adversarial=adversarial
        )

    def _refined(
        self, model: ReluClassifier, network: Network, x: Tensor, threat: ThreatModel, low: float, flip: Flip | None
    ) -> tuple[float, Flip | None]:
        """Radius and smallest known flip of one sample, from those known so far."""
        deadline = time.monotonic() + self.time_limit
        samples = Samples.of(network, x, threat)
        search = Search(model, samples.network, threat, samples.reach, x, self.ascents)
        undecided = math.inf  # the least radius that a search gave up on
        while not self._close(low, flip) and time.monotonic() < deadline:
            middle = _between(low, flip, undecided, self.tolerance)
            radius = torch.tensor([middle], dtype=torch.float64, device=x.device)
            enclosure = tightened(samples.network, samples.reach, samples.intervals(radius), radius)
            now = time.monotonic()
            outcome, found = search.run(radius, enclosure, now + (deadline - now) * SHARE)
            if outcome is Outcome.OPEN:
                undecided = middle
                if undecided <= low * (1.0 + self.tolerance):
                    break
            elif outcome is Outcome.HELD:
                low = middle
            elif found is not None and (flip is None or found.size < flip.size):
                flip = found
        if flip is not None and not self.sound:
            low = min(low, flip.size)  # without sound bounds rounding may contradict a flip; with them that is a fault
        return low, flip

    def _close(self, low: float, flip: Flip | None) -> bool:
        high = math.inf if flip is None else flip.size
        return math.isinf(low) or low >= high * (1.0 - self.tolerance) or high < LEAST or low > GREATEST


def _between(low: float, flip: Flip | None, undecided: float, tolerance: float) -> float:
    """The next radius to decide: the middle, but near a flip as near as the tolerance lets it be."""
    high = undecided if flip is None else min(flip.size, undecided)
    if math.isinf(high):
        return max(2.0 * low, LEAST)
    return min((low + high) / 2.0, high * (1.0 - tolerance / 2.0))


def first_flips(
    model: ReluClassifier, x: Tensor, threat: ThreatModel, margin: Tensor, radius: Tensor
) -> list[Flip | None]:
    """A flip of each sample that attacks find, at growing budgets and then at smaller ones again."""
    flips: list[Flip | None] = [None] * len(x)
    generator = torch.Generator().manual_seed(0)
    rows = ((margin > 0) & radius.isfinite()).nonzero()[:, 0]
    start = radius.clamp(min=LEAST)
    for turn in range(GROWTHS):
        rows = torch.tensor([index for index in rows.tolist() if flips[index] is None], dtype=torch.long)
        _attack(model, x, threat, rows, start * GROWTH ** (turn + 1), flips, generator)
    found = torch.tensor([index for index, flip in enumerate(flips) if flip is not None], dtype=torch.long)
    failed = radius.clone()
    for _ in range(ATTACK_ROUNDS):
        sizes = _sizes(flips, radius)
        budget = (sizes + failed) / 2.0
        _attack(model, x, threat, found, budget, flips, generator)
        after = _sizes(flips, radius)
        failed = torch.where(after < sizes, failed, budget)
    return flips


def _sizes(flips: list[Flip | None], like: Tensor) -> Tensor:
    """Sizes (n,) of flips, inf where none is known."""
    return torch.tensor([math.inf if flip is None else flip.size for flip in flips], dtype=like.dtype).to(like)


def _attack(
    model: ReluClassifier,
    x: Tensor,
    threat: ThreatModel,
    rows: Tensor,
    budget: Tensor,
    flips: list[Flip | None],
    generator: torch.Generator,
) -> None:
    """Attack some rows and note the flips that are smaller than those known."""
    if not len(rows):
        return
    result = ATTACK.run(model, x[rows], threat, budget[rows], generator)
    for place, index in enumerate(rows.tolist()):
        if bool(result.success[place]):
            sample = x[index : index + 1]
            flip = smallest_flip(model, sample, result.adversarial[place][None] - sample, threat, budget[index][None])
            known = flips[index]
            if flip is not None and (known is None or flip.size < known.size):
                flips[index] = flip
