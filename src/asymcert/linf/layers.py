"""Layers whose units are distances: each is 1-Lipschitz in l_inf, whatever its weights."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from asymcert._checks import check_count, check_norm, check_number, refuse
from asymcert.features.base import widened
from asymcert.linf.kernels import box_distances, lp_distance, sorted_distance

COPIED = -10.0  # initial weight of the input that a unit begins as a copy of
MOMENTUM = 0.1
SORTED = 10  # greatest differences that a sorted unit adds up, as published
MOST_LEFT_OUT = 0.9
TOGETHER = 32  # samples that leave out the same inputs in training, as published


@functools.cache
def sorted_shares(rho: float, count: int) -> tuple[float, ...]:
    """``(1 - rho) rho^k / (1 - rho^count)`` for k from 0, rounded down in float32, so that the sum is at most 1."""
    exact = (1.0 - rho) * rho ** np.arange(count, dtype=np.float64) / (1.0 - rho**count) * (1.0 - 2.0**-48)
    single = exact.astype(np.float32)
    return tuple(np.where(single > exact, np.nextafter(single, np.float32(0)), single).astype(np.float64).tolist())


def linf_distance(x: Tensor, w: Tensor, p: float | Tensor = math.inf) -> Tensor:
    """Distances of samples to the units' weights: (..., d) and (m, d) -> (..., m).

    See `asymcert.linf.kernels.lp_distance` for gradients and errors; finite `p` is the smooth relaxation that training
    starts with.

    Examples
    --------
    >>> linf_distance(torch.tensor([0.0, 4.0]), torch.tensor([[1.0, 1.0]]))
    tensor([3.])
    """
    flat = lp_distance(x.reshape(-1, x.shape[-1]), w, p)
    return flat.reshape(*x.shape[:-1], len(w))


class DistanceLayer(nn.Module, ABC):
    """Units ``||x - w||_p`` plus an optional bias, over one row of inputs for each sample, position and group.

    With `rho` above 0 a unit at p = inf is ``sum_k shares_k s_k`` over the greatest of the differences ``|x_i - w_i|``,
    sorted, each share being `rho` times the one before and their sum 1: about the mean of ``||x - w||_inf`` over random
    choices of inputs, each left out with probability `rho`. That is what training takes instead: one choice at a time.

    Parameters
    ----------
    row
        Length d of a row: inputs that one unit sees.
    units
        Number of units, a multiple of `groups`.
    groups
        Parts that inputs and units are divided into; a unit sees its own part only.
    bias
        Whether each unit adds a trained number.
    rho
        In [0, 0.9].
    channels, centre
        Channels of a row, and a place in each. Where a group has at least as many units, each begins as a copy of the
        input there.
    """

    def __init__(self, row: int, units: int, groups: int, bias: bool, rho: float, channels: int, centre: int = 0):
        super().__init__()
        check_number("rho", rho, 0.0, MOST_LEFT_OUT)
        self.groups, self.rho = groups, float(rho)
        self.p = math.inf
        self.weight = nn.Parameter(torch.empty(units, row).normal_())
        self.bias = nn.Parameter(torch.zeros(units)) if bias else None
        if units // groups >= channels and not self.weight.is_meta:  # there it has no values
            copied = torch.arange(units // groups) % channels * (row // channels) + centre
            with torch.no_grad():
                self.weight[torch.arange(units), copied.repeat(groups)] = COPIED

    @property
    def p(self) -> float:
        """Exponent in [1, inf] of the distance; only at inf is the layer 1-Lipschitz in l_inf."""
        return math.inf if self._power is None else float(self._power)

    @p.setter
    def p(self, value: float) -> None:
        value = check_norm(value)
        self._power = None if math.isinf(value) else torch.tensor(value, dtype=torch.float64)

    def forward(self, x: Tensor, draws: torch.Generator | None = None) -> Tensor:
        """Distances at the layer's current p: (n, *shape) -> (n, *output shape); with `draws`, of sampled inputs."""
        pairs = zip(self._rows(x), self._weights(), strict=True)
        if draws is not None and self.rho:
            parts = [self._sampled(rows, w, draws) for rows, w in pairs]
        else:
            parts = [self._distance(rows, w) for rows, w in pairs]
        return self._shaped(self._biased(torch.cat(parts, -1)), x)

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the units at p = inf over boxes with corners `low` and `high`, each (n, *shape).

        Exact for every single unit, up to the rounding of one subtraction and of the bias.
        """
        shares = self._shares(low)
        bounds = [
            box_distances(lo.reshape(-1, lo.shape[-1]), hi.reshape(-1, hi.shape[-1]), w, shares)
            for lo, hi, w in zip(self._rows(low), self._rows(high), self._weights(), strict=True)
        ]
        front = self._rows(low)[0].shape[:-1]
        ends = (torch.cat(parts, -1).reshape(*front, len(self.weight)) for parts in zip(*bounds, strict=True))
        least, most = (self._shaped(self._biased(end), low) for end in ends)
        return least, most

    def enclosure(self, low: Tensor, high: Tensor, unit: float, least: float) -> tuple[Tensor, Tensor]:
        """`interval`, widened by the layer's roundings: what passes in a type of roundoff `unit` lies inside."""
        low, high = self.interval(low, high)
        bias = 0.0 if self.bias is None else 2.0 * self.bias.abs().reshape(-1, *[1] * (low.ndim - 2))
        return widened(low, high, unit * self.roundings / 2.0, least * self.greatest, bias)

    @property
    def greatest(self) -> int:
        """Differences that a unit adds up."""
        return min(SORTED, self.weight.shape[1]) if self.rho else 1

    @property
    def roundings(self) -> int:
        """Bound on those of a unit: of the subtraction, where it adds a bias, and of products and sums if sorted.

        A maximum is exact, and so is sorting; no term is negative, so that errors are relative ones. One rounding more
        than there are covers what is of second order.
        """
        return self.greatest + 4 if self.rho else 2

    def shifted(self, mean: Tensor, scale: float = 1.0) -> None:
        """Make the layer at x what it was at ``(x - mean) / scale``, times `scale`; `mean` is per input channel."""
        with torch.no_grad():
            self.weight.mul_(scale).add_(self._per_weight(mean.to(self.weight)))
            if self.bias is not None:
                self.bias.mul_(scale)

    def _distance(self, rows: Tensor, w: Tensor) -> Tensor:
        shares = self._shares(rows)
        if shares is None or self._power is not None:
            return linf_distance(rows, w, math.inf if self._power is None else self._power)
        return sorted_distance(rows.reshape(-1, rows.shape[-1]), w, shares).reshape(*rows.shape[:-1], len(w))

    def _sampled(self, rows: Tensor, w: Tensor, draws: torch.Generator) -> Tensor:
        """Distances by inputs that are left out with probability `rho`, but never all: drawn for some samples at once.

        Source: Zhang, Jiang, He, Wang, NeurIPS 2022, section 4.
        """
        power, parts = math.inf if self._power is None else self._power, []
        for part in rows.split(TOGETHER):
            drawn = torch.rand(w.shape[1], generator=draws, device=draws.device).to(w.device)
            kept = (drawn >= min(self.rho, float(drawn.max()))).nonzero().squeeze(1)
            parts.append(linf_distance(part.index_select(-1, kept), w.index_select(1, kept), power))
        return torch.cat(parts)

    def _shares(self, x: Tensor) -> Tensor | None:
        """Of the sorted distance in the type and on the device of `x`, if it is sorted."""
        if not self.rho:
            return None
        return torch.tensor(sorted_shares(self.rho, self.greatest), dtype=x.dtype, device=x.device)

    def _weights(self) -> tuple[Tensor, ...]:
        return self.weight.chunk(self.groups)

    def _biased(self, distance: Tensor) -> Tensor:
        return distance if self.bias is None else distance + self.bias

    @abstractmethod
    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one sample's distances for one sample of `input_shape`."""

    @abstractmethod
    def _rows(self, x: Tensor) -> tuple[Tensor, ...]:
        """The rows that each group's units see: (n, *shape) -> for each group (n, ..., row)."""

    @abstractmethod
    def _shaped(self, distance: Tensor, x: Tensor) -> Tensor:
        """Distances (n, ..., units) in the shape of the layer's output for input `x`."""

    @abstractmethod
    def _per_weight(self, mean: Tensor) -> Tensor:
        """One number per input channel as one per weight (units, row)."""


class DistanceLinear(DistanceLayer):
    """Every unit sees all inputs of its group: (n, in_features) -> (n, out_features).

    Weights start as a standard normal. Where a group has at least as many units as inputs, unit i's weight for
    input ``i mod inputs`` starts at -10: all inputs being of order 1, the unit begins as that input plus 10.

    Source: Zhang, Cai, Lu, He, Wang, ICML 2021, sections 4 and 5; sorted, Zhang, Jiang, He, Wang, NeurIPS 2022.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = False, groups: int = 1, rho: float = 0.0):
        _check_groups(in_features, out_features, groups)
        super().__init__(in_features // groups, out_features, groups, bias, rho, in_features // groups)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """One number for each unit."""
        return (len(self.weight),)

    def _rows(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.chunk(self.groups, -1)

    def _shaped(self, distance: Tensor, x: Tensor) -> Tensor:
        return distance

    def _per_weight(self, mean: Tensor) -> Tensor:
        rows = mean.reshape(self.groups, self.weight.shape[1])
        return rows.repeat_interleave(len(self.weight) // self.groups, 0)


class DistanceConv2d(DistanceLayer):
    """Distances over the patches of an image: (n, in_channels, h, w) -> (n, out_channels, h', w').

    Padding repeats the edge. Zeros would be 1-Lipschitz as well, but would not let a mean shift fold into the weights.
    A layer with at least as many output as input channels, within a group, begins as a copy of its patches' centres.

    Parameters
    ----------
    in_channels, out_channels
        Multiples of `groups`.
    kernel, stride, padding
        In pixels, the same in both directions.
    bias, groups, rho
        As in `DistanceLayer`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = False,
        groups: int = 1,
        rho: float = 0.0,
    ):
        _check_groups(in_channels, out_channels, groups)
        check_count("kernel", kernel)
        check_count("stride", stride)
        check_count("padding", padding, 0)
        channels, centre = in_channels // groups, (kernel // 2) * (kernel + 1)
        super().__init__(channels * kernel**2, out_channels, groups, bias, rho, channels, centre)
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(out_channels, h', w') for (in_channels, h, w)."""
        sides = (1 + (side + 2 * self.padding - self.kernel) // self.stride for side in input_shape[1:])
        return (len(self.weight), *sides)

    def _rows(self, x: Tensor) -> tuple[Tensor, ...]:
        padded = functional.pad(x, [self.padding] * 4, mode="replicate") if self.padding else x
        patches = functional.unfold(padded, self.kernel, stride=self.stride)  # (n, channels * area, positions)
        return patches.transpose(1, 2).chunk(self.groups, -1)

    def _shaped(self, distance: Tensor, x: Tensor) -> Tensor:
        return distance.transpose(1, 2).reshape(len(x), *self.output_shape(tuple(x.shape[1:])))

    def _per_weight(self, mean: Tensor) -> Tensor:
        rows = mean.reshape(self.groups, -1).repeat_interleave(self.kernel**2, 1)
        return rows.repeat_interleave(len(self.weight) // self.groups, 0)


class MeanShift(nn.Module):
    """Subtracts each unit's mean, without scaling: the batch's in training, a running one afterwards.

    In training the gradient flows through the batch mean. Images (n, channels, h, w) have one mean per channel. With a
    frozen mean the shift is 1-Lipschitz, and folds into the next layer's weights.

    Source: Zhang, Cai, Lu, He, Wang, ICML 2021, section 5 ("normalization").
    """

    running: Tensor

    def __init__(self, units: int):
        super().__init__()
        check_count("units", units)
        self.register_buffer("running", torch.zeros(units))

    def forward(self, x: Tensor) -> Tensor:
        """(n, units) or (n, units, h, w) -> the same shape."""
        mean = self.running
        if self.training:
            mean = self.batch_mean(x)
            self.running.lerp_(mean.detach().to(self.running), MOMENTUM)
        return x - mean.reshape(-1, *[1] * (x.ndim - 2))

    def batch_mean(self, x: Tensor) -> Tensor:
        """(n, units) or (n, units, h, w) -> (units,)."""
        return x.mean([0, *range(2, x.ndim)])


def _check_groups(inputs: int, units: int, groups: int) -> None:
    for name, value in (("inputs", inputs), ("units", units), ("groups", groups)):
        check_count(name, value)
    if inputs % groups or units % groups:
        raise refuse("groups", "a divisor of the numbers of inputs and units", f"{groups} for {inputs} and {units}")
