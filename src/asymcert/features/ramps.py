"""Piecewise-linear encoding of a table's columns: a convex score of it bends as each column needs."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asymcert._checks import check_count, check_finite, check_norm, refuse
from asymcert._floats import up
from asymcert.errors import InputError
from asymcert.features.base import CoordinatewiseMap, FeatureMap

FINEST = 2.0**-20  # of a column's range: edges closer than that are one, so that slopes stay moderate
MOST_ROWS = 2**16  # that quantiles are taken from, evenly spaced

Values = NDArray[np.float64]


class Ramps(CoordinatewiseMap):
    """``clip((x_j - low) / width, 0, 1)`` for every ramp of every input j: flat, then rising, then flat.

    The ramps of one input lie side by side, so their weighted sum is any piecewise linear function of it that is flat
    beyond the first and last edge. Changes beyond them change nothing, so even an unlimited adversary has a limit.

    Parameters
    ----------
    source
        Int64 (F,): the input of each ramp.
    low, high
        (F,), finite: where each ramp begins and ends, rounded to single precision.
    inputs
        Number d of inputs.

    Raises
    ------
    InputError
        A ramp that does not rise, or whose ends are so unlike that their difference is not exact, or no such input.

    Source: Gorishniy, Rubachev, Babenko, NeurIPS 2022, section 3.2, with quantiles as edges.
    """

    source: Tensor
    low: Tensor
    width: Tensor

    def __init__(self, source: Tensor, low: Tensor, high: Tensor, inputs: int):
        super().__init__()
        for name, ends in (("low", low), ("high", high)):
            if ends.shape != source.shape:
                raise refuse(name, f"of shape {tuple(source.shape)}, as `source`", f"shape {tuple(ends.shape)}")
        low, high = low.detach().float().double(), high.detach().float().double()
        self._keep(source.detach().double(), low, high - low, inputs)
        self._check_ramps()
        if not bool((self.low + self.width == high).all()):
            raise _inexact()

    def _keep(self, source: Tensor, low: Tensor, width: Tensor, inputs: int) -> None:
        check_count("inputs", inputs)
        self.inputs = inputs
        self.register_buffer("source", source)  # floating, as all tensors of a model file are
        self.register_buffer("low", low)
        self.register_buffer("width", width)

    def _check_ramps(self) -> None:
        if not len(self.source) or not bool(torch.isin(self.source, torch.arange(self.inputs).to(self.source)).all()):
            raise refuse("source", f"a whole number below {self.inputs} for each ramp", "others, or none")
        check_finite("low", self.low)
        check_finite("high", self.low + self.width)
        low, width = self.low.double(), self.width.double()
        if not bool(((width > 0) & (low + width - width == low) & (low + width - low == width)).all()):
            raise _inexact()

    @classmethod
    def fit(cls, x: Tensor, edges: int = 16) -> Self:
        """Ramps between quantiles of training inputs.

        An input with at most `edges` distinct values has an edge at each of them; where most values are equal, the
        quantiles of the others are edges too. Constant inputs have no ramp.

        Parameters
        ----------
        x
            (n, d), finite.
        edges
            Of each input; up to twice as many where most values are equal.

        Raises
        ------
        InputError
            Inputs of another shape, fewer than two edges, or all inputs constant.
        """
        check_count("edges", edges, 2)
        if x.ndim != 2 or not len(x):
            raise refuse(
                "x", "of shape (n, d) with n of at least 1", f"shape {tuple(x.shape)}", "Ramps are for tables."
            )
        check_finite("x", x)
        x = x.detach().cpu()
        some = x[:: -(-len(x) // MOST_ROWS)].double().T.contiguous().numpy()
        ends = torch.stack(torch.aminmax(x, dim=0), 1).double().numpy()
        columns = [column_edges(np.concatenate(parts), edges) for parts in zip(ends, some, strict=True)]
        counts = [len(column) - 1 for column in columns]
        if not any(counts):
            raise refuse("x", "of inputs that are not all constant", "constant inputs")
        low, high = (np.concatenate([column[part] for column in columns]) for part in (np.s_[:-1], np.s_[1:]))
        source = torch.arange(len(columns)).repeat_interleave(torch.tensor(counts))
        return cls(source, torch.from_numpy(low), torch.from_numpy(high), len(columns))

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) -> (n, F)."""
        return (x.index_select(1, self.source.long()) - self.low).div_(self.width).clamp_(0.0, 1.0)

    def lipschitz(self, norm: float) -> float:
        """The steepest slope of any input's ramps together, in every norm, rounded up: they move one after another."""
        check_norm(norm)
        slopes = self.slopes((self.inputs,))
        together = torch.zeros(len(slopes), self.inputs, dtype=slopes.dtype, device=slopes.device)
        return float(together.index_add_(1, self.source.long(), slopes).max()) * up(len(self.source) + 8)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(F,).

        Raises
        ------
        InputError
            The ramps are for another number of inputs, or a file's are none.
        """
        self._check_ramps()
        if tuple(input_shape) != (self.inputs,):
            raise refuse("input_shape", f"({self.inputs},), as the ramps are for", tuple(input_shape))
        return tuple(self.low.shape)

    def sources(self, input_shape: tuple[int, ...]) -> Tensor:
        """The input of each ramp."""
        return self.source.long()

    def feature_cost(self, cost: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """Each ramp's own input's cost."""
        return cost.expand(input_shape)[self.source.long().to(cost.device)]

    def knots(self, input_shape: tuple[int, ...]) -> Tensor:
        """All ends of each input's ramps; where others have more, any beyond."""
        low, source = self.low.double(), self.source.double()
        ends = torch.stack((torch.cat((source, source)), torch.cat((low, low + self.width.double())))).unique(dim=1)
        own, counts = ends[0].long(), torch.bincount(ends[0].long(), minlength=self.inputs)
        rank = torch.arange(len(own), device=own.device) - (counts.cumsum(0) - counts)[own]
        last = ends[1].new_zeros(self.inputs).scatter_reduce_(0, own, ends[1], "amax", include_self=False)
        beyond = torch.arange(int(counts.max()), device=own.device)[:, None] - (counts - 1)
        knots = last + beyond * last.abs().clamp(min=1.0)
        knots[rank, own] = ends[1]
        return knots

    def magnitude(self, size: Tensor) -> Tensor:
        """That of exact inputs, and what an input's own rounding is multiplied by."""
        return 1.0 + size[:, self.source.long()] / self.width

    def magnitude_of_exact(self, size: Tensor) -> Tensor:
        """1 at any size: what is beyond a ramp is cut off, and ``x - low`` has one rounding, relative to itself."""
        return 1.0 + 0.0 * size[:, self.source.long()]

    def options(self) -> dict[str, Any]:
        """The number of inputs."""
        return {"inputs": self.inputs}

    @classmethod
    def restored(cls, options: dict[str, Any], tensors: dict[str, Tensor]) -> FeatureMap:
        """As stored; `output_shape` checks the ramps once their values are there."""
        ramps = cls.__new__(cls)
        super(Ramps, ramps).__init__()
        ramps._keep(**tensors, **options)
        return ramps


def _inexact() -> InputError:
    return refuse("high", "above `low` by a difference that is exact", "other ends", "Merge edges that are too close.")


def column_edges(values: Values, count: int) -> Values:
    """Ascending edges of one column's ramps, about `count`, from values (n,).

    All are multiples of one power of two such that their differences are exact in single precision too.
    """
    distinct, counts = np.unique(values, return_counts=True)
    edges = distinct
    if len(distinct) > count:
        edges = _quantiles(values, count)
        if 2 * counts.max() > len(values):
            edges = np.concatenate((edges, _quantiles(values[values != distinct[counts.argmax()]], count)))
    step = 2.0 ** (np.frexp(np.abs(distinct[[0, -1]]).max())[1] - 24)
    edges = np.unique(np.round(edges / step)) * step
    kept = [edges[0]]
    for edge in edges[1:]:
        if edge - kept[-1] >= FINEST * (edges[-1] - edges[0]):
            kept.append(edge)
    return np.array(kept)


def _quantiles(values: Values, count: int) -> Values:
    return np.quantile(values, np.linspace(0.0, 1.0, count), method="nearest")
