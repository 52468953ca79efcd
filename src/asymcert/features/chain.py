"""Feature maps one after another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from asymcert._checks import refuse
from asymcert._floats import above
from asymcert.features.base import CoordinatewiseMap, FeatureMap


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
            product = product if constant == 1.0 else above(product * constant)
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

    def sources(self, input_shape: tuple[int, ...]) -> Tensor:
        """Carried through every map."""
        found = torch.arange(math.prod(input_shape))
        for feature_map in self._members():
            assert isinstance(feature_map, CoordinatewiseMap)
            own = feature_map.sources(input_shape)
            found, input_shape = found.to(own.device)[own], feature_map.output_shape(input_shape)
        return found

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

    def magnitude_of_exact(self, size: Tensor) -> Tensor:
        """Only the first map's inputs are exact."""
        first, *rest = self._members()
        size = first.magnitude_of_exact(size)
        for feature_map in rest:
            size = feature_map.magnitude(size)
        return size

    @property
    def operations(self) -> int:
        """Those of every map."""
        return sum(feature_map.operations for feature_map in self._members())

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
            found = torch.cat((knots, feature_map.preimages(found.to(knots), shape))) if len(found) else knots
        return found
