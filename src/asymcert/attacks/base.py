"""What an attack is, and the one place where its result is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from asymcert._checks import check_inputs, refuse
from asymcert.attacks.exact_size import at_most, rounding_slack
from asymcert.attacks.problem import scaled_interval
from asymcert.attacks.projection import project
from asymcert.models.base import BinaryClassifier
from asymcert.threats.limits import Limits
from asymcert.threats.model import ThreatModel

LARGEST = 1e15  # change of one feature: greater ones overflow in single precision, and prove nothing
ROUNDS = 8  # of shrinking a change whose size was rounded above the budget


@dataclass(frozen=True, eq=False)
class AttackResult:
    """Admissible changes of a batch, and what the classifier says about them.

    Parameters
    ----------
    adversarial
        Float64 (n, *input_shape): the changed inputs, inside the box and exact in the model's floating-point type.
    delta
        Float64 (n, *input_shape): `adversarial` minus the input.
    size
        Float64 (n,): ``threat.size(delta)``, at most the budget.
    margin
        Float64 (n,): ``model.margin_at_most`` at `adversarial`, the margin where it is known.
    success
        Bool (n,): the input was sensitive and `adversarial` is not.
    """

    adversarial: Tensor
    delta: Tensor
    size: Tensor
    margin: Tensor
    success: Tensor

    def __len__(self) -> int:
        return len(self.size)


class Attack(ABC):
    """Searches for changes that undo a sensitive verdict.

    A subclass only proposes changes; `run` never believes them but passes them through `score`.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Kind and settings: what tells attacks apart in result rows."""

    @property
    def at_edge(self) -> bool:
        """Whether an audit gives it all of a certified radius, not a little less: for attacks on rounding."""
        return False

    @property
    def counts(self) -> bool:
        """Whether it is for adversaries who are measured in columns that they change (norm 0), and only for them."""
        return False

    @abstractmethod
    def search(
        self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, size: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Propose changes for one chunk, float64 (n, *input_shape) -> the same shape.

        `size` is (n,), inf where only the box limits the change; `generator` lives on the CPU.
        """

    @final
    def run(
        self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, size: Tensor, generator: torch.Generator
    ) -> AttackResult:
        """Attack a batch of any size, in chunks of bounded memory, whatever modes are set outside.

        Parameters
        ----------
        model
            The classifier that is run.
        x
            (n, *input_shape), inside the box of `threat`.
        threat
            The adversary.
        size
            (n,): the largest change of each sample, in the units of ``threat.size``; inf leaves only the box.
        generator
            Source of random starts, on the CPU.

        Raises
        ------
        InputError
            The input does not fit the model or its box, a size is NaN, negative or of the wrong shape, the model was
            built in inference mode, or the attack is for another kind of norm.
        """
        if self.counts != (threat.norm == 0):
            wanted = "0, as columns are counted" if self.counts else "from 1 on"
            raise refuse("threat", f"of norm {wanted} for attack {self.name!r}", f"norm {threat.norm:g}")
        if threat.edits is not None:
            raise refuse("threat", f"without edits of words for attack {self.name!r}", "one with them", "Attack texts.")
        results, done = [], 0
        with in_evaluation_mode(model), model.undisturbed():
            x = check_inputs(x, model.input_shape)
            size = check_sizes(size, len(x)).to(model.device)
            for chunk in model.chunks(x):
                inputs, budget = chunk.double(), size[done : done + len(chunk)]
                delta = self.search(model, inputs, threat, budget, generator)
                results.append(score(model, inputs, delta, threat, budget))
                done += len(chunk)
        return AttackResult(*(torch.cat(parts) for parts in zip(*(_parts(r) for r in results), strict=True)))


def score(model: BinaryClassifier, x: Tensor, delta: Tensor, threat: ThreatModel, size: Tensor) -> AttackResult:
    """Make changes admissible, whatever they were, and ask the classifier again about what certificates are about.

    Each change is projected onto the admissible set, the changed input is rounded to the model's type and clamped
    into the box, and the change is measured anew from that input; it shrinks until its size, with the rounding of
    the norm added, is within the budget. A proposal that undoes the verdict as it stands, and is within the budget
    in exact arithmetic, is left as it is.

    Parameters
    ----------
    model
        The classifier that is run.
    x
        (n, *input_shape), inside the box of `threat`; rounded to the model's type before anything else.
    delta
        Proposed changes, of the shape of `x`; NaN counts as no change.
    threat
        The adversary.
    size
        (n,): the budget of each sample.

    Raises
    ------
    InputError
        The input does not fit the model, lies outside its own box, or a size is NaN, negative or of the wrong shape.
    """
    with model.undisturbed(), torch.no_grad():
        return _judged(model, check_inputs(x, model.input_shape), delta, threat, size)


def _judged(model: BinaryClassifier, x: Tensor, delta: Tensor, threat: ThreatModel, size: Tensor) -> AttackResult:
    """What `score` returns for checked inputs."""
    x = x.to(model.device, model.dtype).double()  # the input that the classifier sees
    delta = delta.to(x)
    size = check_sizes(size, len(x)).to(x)
    delta = torch.nan_to_num(delta).clamp(-LARGEST, LARGEST)
    point = (_counted if threat.norm == 0 else _projected)(x, delta, threat, size, model.dtype)
    sensitive = (model.margin_at_most(x) > 0).to(x.device)
    proposed = (x + delta).to(model.dtype).double()
    kept = _undoes(model, x, proposed, threat, size, sensitive)
    point = torch.where(_columns(kept, x), proposed, point)
    margin = model.margin_at_most(point).to(x)
    success = sensitive & ~(margin > 0)  # a NaN margin is not a sensitive verdict
    return AttackResult(point, point - x, threat.size(point - x), margin, success)


def admissible(x: Tensor, point: Tensor, threat: ThreatModel, size: Tensor) -> Tensor:
    """Whether the adversary can turn `x` into `point`, both float64 (n, *input_shape), in exact arithmetic: bool (n,).

    Box, immutable features and directions are comparisons of numbers; for the size see `at_most`.
    """
    low, high = threat.interval(x)
    fits = (point == x) | ((point > x) & (high > 0)) | ((point < x) & (low < 0))
    if threat.limits is not None:
        fits &= (point - x >= low) & (point - x <= high) & _columns(threat.limits.allows(*_flat(x, point)), x)
    if isinstance(threat.lower, Tensor):
        fits &= point >= threat.lower.to(x)
    if isinstance(threat.upper, Tensor):
        fits &= point <= threat.upper.to(x)
    possible = (fits & point.isfinite()).flatten(1).all(1)
    if threat.exclusive is not None:
        possible &= threat.columns(tuple(x.shape[1:])).to(x.device).settled(point.flatten(1))
    possible[possible.clone()] = at_most(x[possible], point[possible], threat, size[possible])
    return possible


def _flat(*values: Tensor) -> list[Tensor]:
    """Samples (n, *input_shape) as (n, d)."""
    return [value.flatten(1) for value in values]


def check_sizes(size: Tensor, n: int) -> Tensor:
    """Return the budgets in float64; refuse NaN, negative ones and another shape than (n,)."""
    size = torch.as_tensor(size, dtype=torch.float64)
    if tuple(size.shape) != (n,):
        raise refuse("size", f"of shape ({n},), one budget for each sample", f"shape {tuple(size.shape)}")
    if not bool((size >= 0).all()):
        raise refuse("size", "nonnegative", "NaN or negative entries")
    return size


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch every part of the model to evaluation, and each one back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _undoes(
    model: BinaryClassifier, x: Tensor, point: Tensor, threat: ThreatModel, size: Tensor, sensitive: Tensor
) -> Tensor:
    """Whether a proposed input undoes a sensitive verdict and is admissible exactly as it is: bool (n,)."""
    finite = point.isfinite().flatten(1).all(1)
    flipped = sensitive & finite & ~(model.margin(torch.where(_columns(finite, x), point, x)) > 0)
    flipped[flipped.clone()] = admissible(x[flipped], point[flipped], threat, size[flipped])
    return flipped


def _counted(x: Tensor, delta: Tensor, threat: ThreatModel, size: Tensor, dtype: torch.dtype) -> Tensor:
    """Changed inputs, exact in `dtype`; `x` itself where the change is not admissible, or of too many columns."""
    low, high = threat.interval(x)
    point = _inside(x, x + delta.clamp(low, high), threat, dtype)
    return torch.where(_columns(admissible(x, point, threat, size), x), point, x)


def _projected(x: Tensor, delta: Tensor, threat: ThreatModel, size: Tensor, dtype: torch.dtype) -> Tensor:
    """Changed inputs, exact in `dtype`, near the projection of the change onto the admissible set."""
    cost, low, high = scaled_interval(x, threat)
    z = project(delta.flatten(1) * cost, size, low, high, threat.norm)
    return _settle(x, (z / cost).view_as(x), threat, size, dtype)


def _settle(x: Tensor, delta: Tensor, threat: ThreatModel, size: Tensor, dtype: torch.dtype) -> Tensor:
    """Changed inputs, exact in `dtype` and inside the box, whose change really is within the budget."""
    slack = rounding_slack(x)
    point = _inside(x, x + delta, threat, dtype)
    for _ in range(ROUNDS):
        measured = threat.size(point - x) * (1.0 + slack)
        excess = measured > size
        if not bool(excess.any()):
            break
        shrink = torch.where(excess, size / measured * (1.0 - 2.0 * slack), 1.0)
        delta = (point - x) * shrink.view(-1, *[1] * (x.ndim - 1))
        point = torch.where(_columns(excess, x), _inside(x, _towards(x, delta, dtype), threat, dtype), point)
    return torch.where(_columns(at_most(x, point, threat, size), x), point, x)


def _towards(x: Tensor, delta: Tensor, dtype: torch.dtype) -> Tensor:
    """``x + delta`` rounded to `dtype` towards `x`: rounding to nearest could exceed the budget again and again."""
    point = (x + delta).to(dtype)
    farther = (point.double() - x).abs() > delta.abs()
    return torch.where(farther, torch.nextafter(point, x.to(dtype)), point).double()


def _inside(x: Tensor, point: Tensor, threat: ThreatModel, dtype: torch.dtype) -> Tensor:
    """`point` rounded to `dtype` and clamped into the box; what rounding carries out of it goes back to `x`."""
    point = point.to(dtype).double()
    for bound, outside in ((threat.lower, torch.lt), (threat.upper, torch.gt)):
        if isinstance(bound, Tensor):
            bound = bound.to(x).expand_as(x)
            point = torch.where(outside(point, bound), bound.to(dtype).double(), point)
            point = torch.where(outside(point, bound), x, point)
    return point if threat.limits is None else _limited(x, point, threat, threat.limits)


def _limited(x: Tensor, point: Tensor, threat: ThreatModel, limits: Limits) -> Tensor:
    """Points no farther from `x` that keep to the limits: `x` itself where columns would not stay between others."""
    low, high = threat.interval(x)
    point = limits.settled(*_flat(x, torch.where((point - x < low) | (point - x > high), x, point))).view_as(x)
    return torch.where(_columns(limits.allows(*_flat(x, point)), x), point, x)


def _columns(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))


def _parts(result: AttackResult) -> tuple[Tensor, ...]:
    return result.adversarial, result.delta, result.size, result.margin, result.success
