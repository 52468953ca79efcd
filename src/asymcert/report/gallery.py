"""The least and most robust images, as pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from asymcert.report.series import threat_text
from asymcert.runs.rows import SERIES

LARGEST_SIDE = 160  # pixels of an image in a report


@dataclass(frozen=True, eq=False)
class Strip:
    """Images of one group of one curve, the most extreme first."""

    threat: str
    method: str
    norm: float
    group: str
    radii: list[float]
    indices: list[int]
    images: list[NDArray[np.uint8]]  # each (H, W) or (H, W, 3)

    @property
    def adversary(self) -> str:
        """The threat model's name with the norm as a symbol."""
        return threat_text(self.threat, self.norm)


def strips(gallery: pl.DataFrame) -> Iterator[Strip]:
    """Strips of a gallery table, from the choice among most samples; by norm, least robust first."""
    newest = gallery.filter(pl.col("samples") == pl.col("samples").max().over(list(SERIES)))
    newest = newest.unique(subset=[*SERIES, "group", "rank"], maintain_order=True)
    newest = newest.sort("norm", "threat", "method", "model_digest", "group", "rank")
    for part in newest.partition_by([*SERIES, "group"], maintain_order=True):
        first = part.row(0, named=True)
        images = [_to_image(line["pixels"], line["shape"]) for line in part.iter_rows(named=True)]
        named = {name: first[name] for name in ("threat", "method", "norm", "group")}
        yield Strip(**named, radii=part["radius"].to_list(), indices=part["index"].to_list(), images=images)


def data_uri(image: NDArray[np.uint8]) -> str:
    """An image as a PNG in a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _to_image(pixels: list[float], shape: list[int]) -> NDArray[np.uint8]:
    """Values of a (C, H, W) sample in [0, 1], or stretched to it, as bytes; other than 3 channels show the first."""
    values = np.asarray(pixels, dtype=np.float64).reshape(shape)
    if values.min() < 0 or values.max() > 1:
        values = (values - values.min()) / (values.max() - values.min())
    image = np.round(255 * (values.transpose(1, 2, 0) if shape[0] == 3 else values[0])).astype(np.uint8)
    if max(image.shape[:2]) <= LARGEST_SIDE:
        return image
    small = Image.fromarray(image)
    small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return np.asarray(small)
