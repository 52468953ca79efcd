"""Classifiers that are smoothed by splitting noise, over a finite set and without chance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from asymcert._checks import check_count, check_number, refuse
from asymcert._floats import full_precision
from asymcert.datasets.scaling import TableScaling
from asymcert.models.base import CHUNK_VALUES, described
from asymcert.models.module_network import ModuleNetwork
from asymcert.models.networks import BaseNetwork
from asymcert.models.noisy import LARGEST_BATCH
from asymcert.models.smoothed import deployed, rebuilt, shape_of
from asymcert.models.voting import VotingClassifier, exceeded

LEVELS = 255  # steps between 0 and 1 of an 8-bit image
MOST_SPLITS = 2**20  # half-integers up to here, and their quotients' ceilings, are exact in float32
ROUNDOFF = 2.0**-52


class SplitClassifier(VotingClassifier):
    """Says *sensitive* when the base network does so for most splits of the input, counted exactly.

    A feature's range [0, 1] is cut at points ``s, s + T, s - T, ...`` (in levels of 1/255), and the base sees the
    middle of the interval that the feature lies in. All features' cuts are shifted together by each of
    c = 0 ... T - 1, so ``s_i = (offset_i + c) mod T + 1/2``; the offsets are fixed. One level more or less in a feature
    moves it across a cut for one c only: k, how many of the T splits are voted sensitive, changes by at most as many as
    there are levels in an l1 change. So ``k / T`` is ``1 / (2 lambda)``-Lipschitz in l1 among inputs at whole levels,
    where ``2 lambda = T / 255``.

    An input x elsewhere is counted at the nearest levels Q(x), and its margin is
    ``k / T - 1/2 + ||x - Q(x)||_1 / (2 lambda)``, or with another share in place of 1/2, see `with_share`. At whole
    levels that is the published classifier. In between it leans to the sensitive side just enough for the published
    radius to hold against all real changes, not only against those that end at whole levels: counting at the nearest
    levels alone would let half a level of change count for one.

    Parameters
    ----------
    base
        The network, run in eval mode and in float32 unless the classifier is converted; trained on split inputs.
    splits
        T, from `splits_for`.
    offsets
        Whole numbers in [0, T), of the input's shape, held in float32. By default drawn from `seed`.
    threshold
        Of the base's log-odds; finite. Balanced on validation data by training, by `split_medians`.
    seed
        Of the offsets.
    sensitive, other, scaling, info
        As in `BinaryClassifier`.

    Raises
    ------
    InputError
        A number out of range, or weights that are not finite.

    Source: Levine and Feizi, ICML 2021, Theorem 2 and Corollary 1 (the shared shift); the margin between levels is this
    package's.
    """

    offsets: Tensor

    def __init__(
        self,
        base: BaseNetwork | ModuleNetwork,
        splits: int,
        offsets: Tensor | None = None,
        threshold: float = 0.0,
        *,
        seed: int = 0,
        sensitive: str = "sensitive",
        other: str = "other",
        scaling: TableScaling | None = None,
        info: dict[str, Any] | None = None,
    ):
        super().__init__(shape_of(base), threshold, sensitive=sensitive, other=other, scaling=scaling, info=info)
        check_count("splits", splits)
        if splits > MOST_SPLITS:
            raise refuse("splits", f"at most {MOST_SPLITS}", splits, "Use a smaller sigma.")
        if offsets is None:
            draws = torch.Generator().manual_seed(seed)
            offsets = torch.randint(splits, self.input_shape, generator=draws)
        if tuple(offsets.shape) != self.input_shape or not bool(torch.isin(offsets, torch.arange(splits)).all()):
            raise refuse("offsets", f"whole numbers in [0, {splits}) of shape {self.input_shape}", "others")
        self.splits, self.base = splits, deployed(base)
        self.register_buffer("offsets", offsets.float())
        self.batch = max(1, min(LARGEST_BATCH, CHUNK_VALUES // self.base.activations))

    def train(self, mode: bool = True) -> Self:
        """Nothing is trained here: the base stays in eval mode."""
        return super().train(False)

    @property
    def dtype(self) -> torch.dtype:
        """Inputs are taken in float64, so that none is rounded before its levels are counted."""
        return torch.float64

    @property
    def activations(self) -> int:
        """Values that one sample's pass keeps: its splits pass through the base in batches."""
        return self.base.activations * self.batch

    @property
    def halves(self) -> int:
        """What twice the votes must exceed: ``2 share T``, or the odd number that asks for as many votes."""
        needed = Fraction(self.share) * self.splits
        return 2 * math.floor(needed) + (needed.denominator > 1)

    @property
    def width(self) -> float:
        """The width of the noise, ``2 lambda = T / 255``, in units of the input."""
        return self.splits / LEVELS

    def forward(self, x: Tensor) -> Tensor:
        """Margins of one batch: (n, *input_shape) -> (n,); differentiable by `x` between levels only."""
        return self.margin_of(self.votes(x), self.distance(x))

    def margin_of(self, votes: Tensor, distance: Tensor) -> Tensor:
        """Margins from votes int64 (n,) and distances to whole levels float64 (n,)."""
        return (2 * votes - self.halves).double() / (2.0 * self.splits) + distance / self.width

    def distance(self, x: Tensor) -> Tensor:
        """``||x - Q(x)||_1`` of one batch, rounded up: float64 (n, *input_shape) -> (n,)."""
        off = (x - self.levels(x).detach() / LEVELS).abs().flatten(1)
        return (off.sum(1) + off.shape[1] * ROUNDOFF) * (1.0 + (off.shape[1] + 8) * ROUNDOFF)

    def levels(self, x: Tensor) -> Tensor:
        """Q(x) in levels: the nearest whole number in [0, 255] to each feature, of the shape of `x`."""
        return (x * LEVELS).round().clamp(0, LEVELS)

    @torch.no_grad()
    def votes(self, x: Tensor) -> Tensor:
        """How many splits of each sample of one batch the base calls sensitive: (n, *input_shape) -> int64 (n,).

        Split c of every sample passes at the same place of a batch of the same size, so that its vote depends on
        nothing but the split input.
        """
        counts = [self._once(partial(self._count, row, self._shifts()), row) for row in self.levels(x)]
        return torch.tensor(counts, dtype=torch.int64, device=x.device)

    def shares(self, x: Tensor, count: int) -> Tensor:
        """As in `VotingClassifier`, among all splits or about `count` evenly spaced ones."""
        shifts = self._shifts(count)
        counts = [self._count(row, shifts) for chunk in self.chunks(x) for row in self.levels(chunk)]
        return torch.tensor(counts, dtype=torch.float64, device="cpu") / len(shifts)

    def scores(self, x: Tensor) -> Tensor:
        """`split_medians`, by no threshold's rounding."""
        return self.with_threshold(0.0).split_medians(x)

    @torch.no_grad()
    def split_medians(self, x: Tensor, count: int = 101) -> Tensor:
        """What the base's log-odds exceed for more than half of the splits: (n, *input_shape) -> float64 (n,), CPU.

        Or for more than another share; of all splits, or of about `count` evenly spaced ones. A sample at whole levels
        is sensitive if and only if this, over all splits, exceeds the threshold, exact ties of an even number of splits
        aside, so what balances these medians balances the verdicts.
        """
        shifts = self._shifts(count)
        fewer = self.halves * len(shifts) // (2 * self.splits)
        found = [
            exceeded(torch.cat(list(self._margins(row, shifts))).double(), fewer)
            for chunk in self.chunks(x)
            for row in self.levels(chunk)
        ]
        return torch.stack(found).cpu() + self.threshold if found else torch.empty(0, dtype=torch.float64)

    def split(self, levels: Tensor, shifts: Tensor) -> Tensor:
        """What the base sees: levels (*input_shape), or one row per shift; shifts c (m,) -> (m, *input_shape)."""
        levels, shifts = levels.to(self.offsets.dtype), shifts.to(self.offsets.dtype)
        start = self.offsets + shifts.reshape(-1, *(1 for _ in self.input_shape))
        start = torch.where(start >= self.splits, start - self.splits, start) + 0.5
        upper = start + self.splits * torch.ceil((levels - start) / self.splits)
        return (upper.clamp(max=LEVELS) + (upper - self.splits).clamp(min=0)) / (2 * LEVELS)

    def _shifts(self, count: int | None = None) -> Tensor:
        """All shifts, or about `count` evenly spaced ones."""
        step = 1 if count is None else max(1, self.splits // count)
        return torch.arange(0, self.splits, step, device=self.offsets.device)

    @torch.no_grad()
    def _count(self, levels: Tensor, shifts: Tensor) -> int:
        """How many splits of one sample the base calls sensitive."""
        return int(torch.stack([(margins > 0).sum() for margins in self._margins(levels, shifts)]).sum())

    def _margins(self, levels: Tensor, shifts: Tensor) -> Iterator[Tensor]:
        """Base margins of one sample's splits, in batches of at most `self.batch`."""
        for part in shifts.split(self.batch):
            with full_precision(self.device):
                margins = self.base(self.split(levels, part)) - self.threshold
            yield margins

    def parts(self) -> dict[str, Any]:
        """The base's options, the number of splits, and the share."""
        return {"base": self.base.options(), "splits": self.splits} | self._share_part()

    @classmethod
    def from_contents(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Self:
        """As in `BinaryClassifier.from_contents`."""
        base = rebuilt(metadata["base"], tensors)
        return cls(base, metadata["splits"], tensors["offsets"], **described(metadata))._shared_as(metadata)


def splits_for(sigma: float) -> int:
    """The number of splits T of noise whose standard deviation is `sigma`, in units of the input.

    Uniform cuts in a width of 2 lambda correspond to uniform noise on [-lambda, lambda], whose standard deviation is
    ``lambda / sqrt 3``; ``2 lambda`` is rounded to whole levels. Source: Levine and Feizi, ICML 2021, section 5.
    """
    check_number("sigma", sigma, 0.0, open_low=True)
    return max(1, round(2.0 * math.sqrt(3.0) * sigma * LEVELS))
