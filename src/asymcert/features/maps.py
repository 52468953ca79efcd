"""The feature maps of the package."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from asymcert._checks import check_finite, check_norm, check_number, refuse
from asymcert.features.base import CoordinatewiseMap, FeatureMap


class Identity(CoordinatewiseMap):
    """The features are the input: an input-convex classifier."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """The values themselves."""
        return values

    def lipschitz(self, norm: float) -> float:
        """1 in every norm."""
        check_norm(norm)
        return 1.0

    def options(self) -> dict[str, Any]:
        """None."""
        return {}


class Centre(CoordinatewiseMap):
    """``x - mean``: moves the data's centre to the origin.

    Parameters
    ----------
    mean
        Broadcasts against one sample, such as (C, 1, 1) for images or (d,) for tables.
    """

    mean: Tensor

    def __init__(self, mean: Tensor):
        super().__init__()
        check_finite("mean", mean)
        self.register_buffer("mean", mean.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, *shape)."""
        return x - self.mean

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """One for each value."""
        return values + self.mean

    def lipschitz(self, norm: float) -> float:
        """1 in every norm."""
        check_norm(norm)
        return 1.0

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Same as the input's.

        Raises
        ------
        InputError
            The mean does not broadcast to a sample of that shape.
        """
        try:
            self.mean.expand(input_shape)
        except RuntimeError:
            raise refuse("mean", f"broadcastable to {input_shape}", f"shape {tuple(self.mean.shape)}") from None
        return input_shape

    def options(self) -> dict[str, Any]:
        """None besides the mean."""
        return {}


class CentreAbsolute(Centre):
    """``(x - mean, |x - mean|)``, joined along the first axis of a sample.

    Lipschitz constant ``2^(1/p)``: 2 in l1, sqrt 2 in l2, 1 in l_inf, since both halves can move by the
    full change of the input.

    Source: Pfrommer, Anderson, Piet, Sojoudi, NeurIPS 2023, section 4.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, ...) -> (n, 2c, ...)."""
        centred = x - self.mean
        return torch.cat((centred, centred.abs()), dim=1)

    def lipschitz(self, norm: float) -> float:
        """``2^(1/p)``, rounded up."""
        norm = check_norm(norm)
        return 1.0 if math.isinf(norm) else _up(2.0 ** (1.0 / norm))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Twice as many channels; refuses what `Centre` refuses."""
        super().output_shape(input_shape)
        return (2 * input_shape[0], *input_shape[1:])

    def knots(self, input_shape: tuple[int, ...]) -> Tensor:
        """The mean, where the absolute value bends."""
        return self.mean.double().expand(input_shape).unsqueeze(0)

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """One from the first half, two from the second."""
        centred, absolute = values.chunk(2, dim=1)
        return self.mean + torch.cat((centred, absolute, -absolute))


class Standardise(CoordinatewiseMap):
    """``x / deviation`` by one positive scalar; Lipschitz constant ``1 / deviation`` in every norm."""

    def __init__(self, deviation: float):
        super().__init__()
        check_number("deviation", deviation, 0.0, open_low=True)
        if math.isinf(deviation):
            raise refuse("deviation", "finite", deviation)
        self.deviation = float(deviation)

    def forward(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, *shape)."""
        return x / self.deviation

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """One for each value."""
        return values * self.deviation

    def lipschitz(self, norm: float) -> float:
        """``1 / deviation``, rounded up."""
        check_norm(norm)
        return _up(1.0 / self.deviation)

    def options(self) -> dict[str, Any]:
        """The deviation."""
        return {"deviation": self.deviation}


class Chain(CoordinatewiseMap):
    """Maps applied one after another, the first one first; Lipschitz constants multiply."""

    def __init__(self, *maps: FeatureMap):
        super().__init__()
        if not maps:
            raise refuse("maps", "at least one feature map", "none", "Use Identity().")
        self.maps = nn.ModuleList(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Apply every map in turn."""
        for feature_map in self.maps:
            x = feature_map(x)
        return x

    @property
    def coordinatewise(self) -> bool:
        """Whether all members are."""
        return all(feature_map.coordinatewise for feature_map in self._members())

    def lipschitz(self, norm: float) -> float:
        """Product of the maps' constants, rounded up."""
        product = 1.0
        for feature_map in self._members():
            constant = feature_map.lipschitz(norm)
            norm = feature_map.feature_norm(norm)
            product = product if constant == 1.0 else _up(product * constant)
        return product

    def feature_norm(self, norm: float) -> float:
        """Carried through every map."""
        for feature_map in self._members():
            norm = feature_map.feature_norm(norm)
        return norm

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape after the last map."""
        for feature_map in self._members():
            input_shape = feature_map.output_shape(input_shape)
        return input_shape

    def feature_cost(self, cost: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """Costs carried through every map."""
        for feature_map in self._members():
            cost = feature_map.feature_cost(cost, input_shape)
            input_shape = feature_map.output_shape(input_shape)
        return cost

    def knots(self, input_shape: tuple[int, ...]) -> Tensor:
        """Knots of every map, carried back to the input."""
        return self._carry_back(None, input_shape).sort(dim=0).values

    def preimages(self, values: Tensor, input_shape: tuple[int, ...]) -> Tensor:
        """Carried back through every map (with knots among them, which do no harm)."""
        return self._carry_back(values, input_shape)

    def magnitude(self, size: Tensor) -> Tensor:
        """Bounds carried through every map."""
        for feature_map in self._members():
            size = feature_map.magnitude(size)
        return size

    def options(self) -> dict[str, Any]:
        """None: the members carry their own."""
        return {}

    def _members(self) -> Iterator[FeatureMap]:
        for feature_map in self.maps:
            assert isinstance(feature_map, FeatureMap)
            yield feature_map

    def _carry_back(self, values: Tensor | None, input_shape: tuple[int, ...]) -> Tensor:
        """Knots of all maps and preimages of `values` (k, *output_shape): (j, *input_shape)."""
        shapes = [input_shape]
        for feature_map in self._members():
            shapes.append(feature_map.output_shape(shapes[-1]))
        found = torch.empty(0, *shapes[-1], dtype=torch.float64) if values is None else values
        for feature_map, shape in reversed(list(zip(self._members(), shapes, strict=False))):
            assert isinstance(feature_map, CoordinatewiseMap)
            knots = feature_map.knots(shape)
            found = torch.cat((knots, feature_map.preimages(found.to(knots), shape)))
        return found


def _up(value: float) -> float:
    """Upper bound on a value that was computed with an error of at most one unit in the last place."""
    return math.nextafter(math.nextafter(value, math.inf), math.inf)
