"""What the score loses by the worst change of a few columns, for training."""

from __future__ import annotations

import torch
from torch import Tensor

from asymcert.features import Ramps


class ColumnFalls:
    """Greatest fall of tangent planes by any change of at most `count` columns of encoded inputs.

    A plane's part in one input is a sum of ramps, so it is least at one of their ends: where the first so many ramps
    are 1 and the others 0. The falls by all inputs of a column are added, which for a
    category, whose inputs take turns, is more than an adversary gets.

    Parameters
    ----------
    ramps
        The encoding; ramps of one input lie side by side, in ascending order.
    columns
        Int64 (d,): the column of each input.
    count
        How many columns change.
    """

    def __init__(self, ramps: Ramps, columns: Tensor, count: int):
        source = ramps.source.long().cpu()
        lengths = source.unique_consecutive(return_counts=True)[1]
        within = torch.arange(len(source)) - (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        self.features = len(source)
        self.block = torch.arange(len(lengths)).repeat_interleave(lengths)  # of each ramp, the place of its input
        self.within = within  # of each ramp, its number among those of its input
        self.padded = torch.full((len(lengths), int(lengths.max())), self.features)
        self.padded[self.block, within] = torch.arange(self.features)
        own = columns[source.unique_consecutive()].unique(return_inverse=True)[1]
        self.column, self.columns = own, int(own.max()) + 1
        self.count = min(count, self.columns)

    @torch.no_grad()
    def directions(self, slope: Tensor, features: Tensor) -> Tensor:
        """The worst change with its sign turned: planes of `slope` at `features`, (n, F), fall by ``slope . it``."""
        zero = slope.new_zeros(len(slope), 1)
        sums = torch.cat((slope, zero), 1)[:, self.padded.to(slope.device)].cumsum(2)
        least, rising = sums.min(2)
        rising = torch.where(least < 0, rising, -1)  # the last ramp that is 1 where the plane is least
        to = (self.within.to(slope.device) <= rising[:, self.block.to(slope.device)]).to(features)
        direction = features - to
        fall = slope.new_zeros(len(slope), self.columns)
        ramp_columns = self.column[self.block].to(slope.device)
        fall.index_add_(1, ramp_columns, slope * direction)
        chosen = torch.zeros_like(fall).scatter_(1, fall.topk(self.count, 1).indices, 1.0)
        return direction * chosen[:, ramp_columns]
