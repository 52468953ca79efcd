"""Attacks that change few columns by any amount: a beam search, and all pairs.

They ask for margins only. What a column is, what changing it costs and which values it can have, says the threat model.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from asymcert._checks import check_count
from asymcert.attacks.base import Attack
from asymcert.models.base import BinaryClassifier
from asymcert.threats.columns import ColumnGroups
from asymcert.threats.limits import Limits
from asymcert.threats.model import ThreatModel

FAR = 1e3  # a value of an input that nothing limits is this multiple of its own size away


@dataclass(frozen=True)
class Moves:
    """M changes of one sample: of one input to another value, or of a category, whose 1 moves to another input.

    Parameters
    ----------
    inputs
        Int64 (M, 2): the inputs that change; the same twice where it is one.
    change
        Float64 (M, 2): by how much; 0 in the second place where it is one.
    """

    inputs: Tensor
    change: Tensor

    @classmethod
    def of(
        cls,
        x: Tensor,
        low: Tensor,
        high: Tensor,
        bends: Tensor,
        columns: ColumnGroups,
        values: int,
        limits: Limits | None = None,
    ) -> Self:
        """Moves of a sample (d,) within `low` and `high` (d,), to at most so many values of each input.

        Values are the ends of what is allowed, and some of `bends` (k, d) between; or all that the limits list.
        """
        numbers = _some_values(x, low, high, bends, values)
        numbers[:, columns.members.flatten()] = math.nan
        if limits is not None:
            numbers = _listed(numbers, x, limits)
        value, place = numbers.isfinite().nonzero(as_tuple=True)
        change = numbers[value, place] - x[place]
        ones, others = _categories(x, low, high, columns)
        inputs = torch.cat((torch.stack((place, place), 1), torch.stack((ones, others), 1)))
        switch = x.new_tensor([-1.0, 1.0]).expand(len(ones), 2)
        return cls(inputs, torch.cat((torch.stack((change, torch.zeros_like(change)), 1), switch)))

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, chosen: Tensor) -> Moves:
        return Moves(self.inputs[chosen], self.change[chosen])

    def added(self, delta: Tensor) -> Tensor:
        """Every change (b, d) with every move on top, of inputs that it leaves alone: (b, M, d); others are NaN."""
        moved = (delta[:, self.inputs] != 0).any(2)
        start = delta[:, None].masked_fill(moved[..., None], math.nan)
        inputs = self.inputs.expand(len(delta), *self.inputs.shape)
        return start.scatter_add(2, inputs, self.change.expand_as(inputs))


class ColumnAttack(Attack):
    """What attacks on few columns share: one sample at a time, many changed copies of it at once."""

    @property
    def counts(self) -> bool:
        """True."""
        return True

    def search(
        self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, size: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Best change found for each sample: (n, *input_shape), float64."""
        columns = threat.columns(model.input_shape).to(x.device)
        low, high = threat.interval(x)
        bends = model.bends().to(x).flatten(1)
        parts = zip(x.flatten(1), low.flatten(1), high.flatten(1), size.tolist(), strict=True)
        found = [
            self._attack(
                Trial(model, own, columns, budget),
                Moves.of(own, least, most, bends, columns, self._values(len(own)), threat.limits),
            )
            for own, least, most, budget in parts
        ]
        return torch.stack(found).view_as(x) if found else torch.zeros_like(x)

    @abstractmethod
    def _values(self, inputs: int) -> int:
        """Values that are tried of each of so many inputs."""

    @abstractmethod
    def _attack(self, trial: Trial, moves: Moves) -> Tensor:
        """The change (d,) of a sample."""


class Trial:
    """One sample, what is tried on it, and the best change so far.

    Parameters
    ----------
    model
        The classifier that is run.
    x
        (d,), float64.
    columns
        What counts as one column.
    budget
        Greatest size of a change.
    """

    def __init__(self, model: BinaryClassifier, x: Tensor, columns: ColumnGroups, budget: float):
        self.model, self.x, self.columns, self.budget = model, x, columns, budget
        self.best = torch.zeros_like(x)
        self.start = self.least = float(self.margin(self.best[None]))

    @property
    def over(self) -> bool:
        """Whether the verdict is undone."""
        return not self.least > 0

    def margin(self, delta: Tensor) -> Tensor:
        """Margins of the changed sample: (m, d) -> float64 (m,)."""
        points = (self.x + delta).to(self.model.dtype)
        return self.model.margin(points.view(-1, *self.model.input_shape)).double()

    def gains(self, delta: Tensor) -> Tensor:
        """Fall of the margin for one unit of price by changes (m, d), minus infinity for those not to be had: (m,).

        Keeps the best change.
        """
        price = self.columns.size(delta)
        fits = (price <= self.budget) & (price > 0) & delta.isfinite().all(1)
        gain = torch.full_like(price, -math.inf)
        if bool(fits.any()):
            margin = self.margin(delta[fits])
            gain[fits] = (self.start - margin) / price[fits]
            if float(margin.min()) < self.least:
                self.least, self.best = float(margin.min()), delta[fits][margin.argmin()]
        return gain


@dataclass(frozen=True)
class ColumnSearch(ColumnAttack):
    """Change one column after another, each time the one that lowers the margin most for its price: a beam search.

    Of every column several values are tried, at each step again; the inputs of a text are moved one after another. With
    ``beam=1`` it is greedy. Where the evaluations are used up and the budget is not, the columns that are left follow
    in the order of what each gains alone.

    Parameters
    ----------
    beam
        Changes that are kept at each step.
    values
        Values of each input: the ends of what the adversary may choose, and some between where the margin bends.
    evaluations
        Margins that are asked for, for each sample, about; at least one step is made.
    """

    beam: int = 3
    values: int = 8
    evaluations: int = 20_000

    def __post_init__(self) -> None:
        check_count("beam", self.beam)
        check_count("values", self.values, 2)
        check_count("evaluations", self.evaluations)

    @property
    def name(self) -> str:
        """``columns, beam of 3``, and what is not the default."""
        parts = [f"columns, beam of {self.beam}"]
        parts += [f"{each} {getattr(self, each)}" for each in ("values", "evaluations") if self._differs(each)]
        return ", ".join(parts)

    def _differs(self, name: str) -> bool:
        return getattr(self, name) != getattr(ColumnSearch, name)

    def _values(self, inputs: int) -> int:
        return self.values

    def _attack(self, trial: Trial, moves: Moves) -> Tensor:
        kept, alone = trial.best[None], None
        for _ in range(max(1, self.evaluations // max(1, self.beam * len(moves)))):
            tried = moves.added(kept).flatten(0, 1)
            gain = trial.gains(tried)
            alone = gain if alone is None else alone
            kept = tried[_distinct(gain, self.beam)]
            if trial.over or not len(kept):
                return trial.best
        self._complete(trial, moves, kept[:1], alone)
        return trial.best

    def _complete(self, trial: Trial, moves: Moves, change: Tensor, alone: Tensor | None) -> None:
        """Add the moves that are left, the best first."""
        assert alone is not None
        prefixes = [change[0]]
        for move in alone.argsort(descending=True).tolist():
            added = moves[torch.tensor([move], device=change.device)].added(prefixes[-1][None])[0, 0]
            if bool(added.isfinite().all()) and float(trial.columns.size(added[None])) <= trial.budget:
                prefixes.append(added)
        trial.gains(torch.stack(prefixes))


@dataclass(frozen=True)
class ColumnPairs(ColumnAttack):
    """Try every pair of columns, each at several values; exhaustive where these are all that matter.

    Parameters
    ----------
    evaluations
        Pairs of moves tried for each sample, about: where there are more, those of the moves that gain most alone.
    """

    evaluations: int = 5_000

    def __post_init__(self) -> None:
        check_count("evaluations", self.evaluations)

    @property
    def name(self) -> str:
        """``column pairs, 5000 evaluations``."""
        return f"column pairs, {self.evaluations} evaluations"

    def _values(self, inputs: int) -> int:
        return max(2, math.isqrt(2 * self.evaluations) // inputs)

    def _attack(self, trial: Trial, moves: Moves) -> Tensor:
        single = moves.added(trial.best[None])[0]
        best = trial.gains(single).topk(min(len(moves), math.isqrt(2 * self.evaluations))).indices
        first, second = torch.triu_indices(len(best), len(best), 1, device=best.device)
        if not trial.over and len(first):
            one, two = single[best[first]], single[best[second]]
            trial.gains((one + two).masked_fill((one != 0) & (two != 0), math.nan))
        return trial.best


def _distinct(gain: Tensor, count: int) -> Tensor:
    """Indices of the greatest gains, equal ones once: changes in another order are the same."""
    order = gain.argsort(descending=True, stable=True)
    ranked = gain[order]
    fresh = torch.cat((ranked[:1] > -math.inf, (ranked.diff() != 0) & (ranked[1:] > -math.inf)))
    return order[fresh][:count]


def _some_values(x: Tensor, low: Tensor, high: Tensor, bends: Tensor, most: int) -> Tensor:
    """Different values of each input other than its own, evenly among all, both ends included: (most, d), NaN for none.

    Arguments as in `Moves.of`.
    """
    beyond = FAR * torch.cat((x[None], bends)).abs().amax(0).clamp(min=1.0)
    least, greatest = x + torch.maximum(low, -beyond), x + torch.minimum(high, beyond)
    values = torch.cat((least[None], bends.clamp(least, greatest), greatest[None])).sort(0).values
    fresh = torch.cat((torch.ones_like(values[:1]), values.diff(dim=0))) > 0
    fresh &= values != x
    values = values.gather(0, (~fresh).long().argsort(dim=0, stable=True))  # the fresh ones first
    last = fresh.sum(0) - 1
    rank = (torch.linspace(0, 1, most).to(x)[:, None] * last).round().long()
    again = torch.cat((torch.zeros_like(rank[:1], dtype=torch.bool), rank.diff(dim=0) == 0))
    return values.gather(0, rank.clamp(min=0)).masked_fill(again | (last < 0), math.nan)


def _listed(numbers: Tensor, x: Tensor, limits: Limits) -> Tensor:
    """Values (m, d) of each input with those of the limits' lists in their stead where there is one."""
    lists = [[] if own is None else own.tolist() for own in limits.values or ()]
    extra = numbers.new_full((max(map(len, lists), default=0), numbers.shape[1]), math.nan)
    for place, own in enumerate(lists):
        if own and bool(numbers[:, place].isfinite().any()):
            numbers[:, place] = math.nan
            extra[: len(own), place] = torch.tensor(own).to(extra)
    return torch.cat((numbers, extra.masked_fill(extra == x, math.nan)))


def _categories(x: Tensor, low: Tensor, high: Tensor, columns: ColumnGroups) -> tuple[Tensor, Tensor]:
    """Inputs of categories that are 1, and the others that the 1 can move to: int64 (m,) each."""
    members = columns.members
    on = members.gather(1, (x[members] == 1).long().argmax(1, keepdim=True))
    others = (members != on) & (high[members] > 0) & (low[on] < 0)
    pairs = torch.stack((on.expand_as(members)[others], members[others]), 1).unique(dim=0)  # padding repeats some
    return pairs[:, 0], pairs[:, 1]
