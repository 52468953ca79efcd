"""The linear maps that a chain begins with: what comes after them may take their output coordinate by coordinate."""

from __future__ import annotations

from asymcert.features.base import FeatureMap
from asymcert.features.chain import Chain
from asymcert.features.haar import Haar
from asymcert.features.low_pass import LowPass
from asymcert.features.maps import Identity

Linear = LowPass | Haar


def split_linear(feature_map: FeatureMap) -> tuple[tuple[Linear, ...], FeatureMap]:
    """The low-pass and bands that a map begins with, if it does, and the map of what they give."""
    maps: list[FeatureMap] = list(feature_map.maps) if isinstance(feature_map, Chain) else [feature_map]  # pyright: ignore
    count = next((index for index, member in enumerate(maps) if not isinstance(member, Linear)), len(maps))
    if not count:
        return (), feature_map
    return tuple(maps[:count]), Chain(*maps[count:]) if maps[count:] else Identity()  # pyright: ignore


def shape_after(maps: tuple[Linear, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of one sample after linear maps."""
    for part in maps:
        shape = part.output_shape(shape)
    return shape
