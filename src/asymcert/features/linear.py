"""The linear maps that a chain begins with: what comes after them may take their output coordinate by coordinate."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor
from torch.nn import functional

from asymcert._checks import check_count, refuse
from asymcert.features.base import FeatureMap
from asymcert.features.chain import Chain
from asymcert.features.maps import Identity

LEVELS = 10  # at most: blocks of a million pixels


class LinearMap(FeatureMap):
    """A linear map of images by blocks of pixels, through which an adversary can be followed.

    Parameters
    ----------
    levels
        How many times blocks double.
    height, width
        Of the images.
    """

    def __init__(self, levels: int, height: int, width: int):
        super().__init__()
        for name, value in (("levels", levels), ("height", height), ("width", width)):
            check_count(name, value)
        if levels > LEVELS:
            raise refuse("levels", f"at most {LEVELS}", levels)
        self.levels, self.height, self.width = levels, height, width

    @abstractmethod
    def inverse(self, z: Tensor) -> Tensor:
        """The image of least l2 length that the map makes z of: (n, *output_shape) -> (n, c, height, width)."""

    @abstractmethod
    def output_cost(self, cost: Tensor, norm: float) -> Tensor:
        """What a change of each output by 1 costs at least, rounded down: (c, height, width) -> float64 output_shape.

        With c the result and r = feature_norm(p), ``||c * (phi(x) - phi(y))||_r <= ||cost * (x - y)||_p``, p = `norm`.
        """

    def options(self) -> dict[str, Any]:
        """Constructor arguments that are no tensors."""
        return {"levels": self.levels, "height": self.height, "width": self.width}

    def padded(self, x: Tensor, high: int, wide: int) -> Tensor:
        """Images with zeros at the lower and right edge until their sides are multiples of two numbers."""
        return functional.pad(x, (0, -self.width % wide, 0, -self.height % high))


def split_linear(feature_map: FeatureMap) -> tuple[tuple[LinearMap, ...], FeatureMap]:
    """The linear maps that a map begins with, if it does, and the map of what they give."""
    maps: list[FeatureMap] = list(feature_map.maps) if isinstance(feature_map, Chain) else [feature_map]  # pyright: ignore
    count = next((index for index, member in enumerate(maps) if not isinstance(member, LinearMap)), len(maps))
    if not count:
        return (), feature_map
    return tuple(maps[:count]), Chain(*maps[count:]) if maps[count:] else Identity()  # pyright: ignore


def shape_after(maps: tuple[LinearMap, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of one sample after linear maps."""
    for part in maps:
        shape = part.output_shape(shape)
    return shape
