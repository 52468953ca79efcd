"""Readers of the publishers' file formats: IDX, CIFAR-10 binary, folders of PNG."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asymcert.datasets.files import MOST_BYTES, damaged, open_gzip
from asymcert.errors import DataError

Bytes = NDArray[np.uint8]
CIFAR_SHAPE = (3, 32, 32)
CIFAR_RECORD = 1 + math.prod(CIFAR_SHAPE)


def read_idx(path: Path, ndim: int, sha256: str | None = None) -> Bytes:
    """Unsigned bytes from a gzipped IDX file.

    Parameters
    ----------
    path
        File ending in ``.gz``.
    ndim
        Number of dimensions: 3 for images (n, H, W), 1 for labels (n,).
    sha256
        Checksum of the unpacked content; not checked if None.

    Raises
    ------
    DataError
        Not a gzip file, a wrong magic number or size, or a wrong checksum.
    """
    with open_gzip(path) as stream:
        header = stream.read(4 + 4 * ndim)
        shape = _idx_shape(path, header, ndim)
        size = math.prod(shape)
        content = stream.read(size + 1)  # the one more tells whether the file ends here
    if len(content) != size:
        raise damaged(path, f"shape {shape} needs {size} bytes, got {'more' if len(content) > size else len(content)}")
    digest = hashlib.sha256(header)
    digest.update(content)
    if sha256 is not None and digest.hexdigest() != sha256:
        raise damaged(path, "the unpacked content does not have the publisher's SHA-256")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _idx_shape(path: Path, header: bytes, ndim: int) -> tuple[int, ...]:
    magic = int.from_bytes(header[:4], "big")
    if len(header) < 4 + 4 * ndim or magic != 0x0800 + ndim:
        raise damaged(path, f"magic number must be {0x0800 + ndim} (IDX bytes of {ndim} dimensions), got {magic}")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4", offset=4))
    if not 0 < math.prod(shape) <= MOST_BYTES:
        raise damaged(path, f"shape {shape} must hold from 1 to {MOST_BYTES} bytes")
    return shape


def read_cifar(path: Path, classes: Sequence[int]) -> tuple[Bytes, Bytes]:
    """Images (n, 3, 32, 32) and labels (n,) of some classes from a file in CIFAR-10's binary version.

    Raises
    ------
    DataError
        Unreadable, not a whole number of records, or a label above 9.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise damaged(path, f"cannot be read: {error}") from error
    if not content or len(content) % CIFAR_RECORD:
        raise damaged(path, f"size must be a multiple of {CIFAR_RECORD} bytes above 0, got {len(content)}")
    records = np.frombuffer(content, np.uint8).reshape(-1, CIFAR_RECORD)
    labels = records[:, 0]
    if labels.max() > 9:
        raise damaged(path, f"labels must be at most 9, got {labels.max()}")
    wanted = np.isin(labels, classes)
    return records[wanted, 1:].reshape(-1, *CIFAR_SHAPE), labels[wanted]


def list_families(folder: Path) -> dict[str, list[Path]]:
    """PNG files by family, from a tree ``folder/<family>/*.png``; sorted by name, empty families left out."""
    found = {
        family.name: sorted(p for p in family.iterdir() if p.suffix.lower() == ".png" and p.is_file())
        for family in sorted(folder.iterdir())
        if family.is_dir()
    }
    return {family: paths for family, paths in found.items() if paths}


def read_png(path: Path, size: int) -> Bytes:
    """Greyscale image of shape (size, size), cropped to its centre, or padded with zeros around it.

    Raises
    ------
    DataError
        Not a readable PNG file, not 8-bit greyscale, of several frames, or of more than about 9 x 10^7 pixels.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=["PNG"]) as image:
                _check_png(path, image.mode, getattr(image, "n_frames", 1))
                pixels = np.asarray(image)
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise damaged(path, f"not a readable PNG image: {error}") from error
    result = np.zeros((size, size), np.uint8)
    (source_y, target_y), (source_x, target_x) = (_centred(length, size) for length in pixels.shape)
    result[target_y, target_x] = pixels[source_y, source_x]
    return result


def _check_png(path: Path, mode: str, frames: int) -> None:
    if mode != "L":
        raise DataError(f"{path}: must be 8-bit greyscale (mode L), got mode {mode}. Convert it first.")
    if frames != 1:
        raise DataError(f"{path}: must be one image, got an animation of {frames}. Save its frames apart.")


def _centred(length: int, size: int) -> tuple[slice, slice]:
    """Slices of the source and of the target that put the centre of one onto that of the other."""
    if length >= size:
        start = (length - size) // 2
        return slice(start, start + size), slice(None)
    start = (size - length) // 2
    return slice(None), slice(start, start + length)
