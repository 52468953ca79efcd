"""Your own images: a folder with one folder of them for each class."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from asymcert._checks import check_count, refuse, several
from asymcert.datasets.binary import BinaryData, Split
from asymcert.datasets.files import damaged
from asymcert.datasets.labels import Classes, classes_of
from asymcert.datasets.readers import Bytes
from asymcert.datasets.source import DataSource
from asymcert.datasets.splitting import mixed, three_way
from asymcert.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".tif": "TIFF",
}
LARGEST = 64  # pixels of a side, unless told otherwise
GREY = ("1", "L", "LA")


def is_image_folder(path: Path) -> bool:
    """Whether a folder holds folders with images."""
    return path.is_dir() and any(_images(folder) for folder in path.iterdir() if folder.is_dir())


def load_image_folder(
    path: str | Path,
    sensitive: object = None,
    *,
    harmless: Sequence[str] = (),
    image_size: int | None = None,
    seed: int = 0,
) -> BinaryData:
    """Load images from a folder with one folder for each class.

    Images are greyscale where all of them are, else RGB; transparency is left out. All become squares of one
    size: they are scaled whole, by area, so that proportions change where sides differ. Of the rows, 20 % are test,
    then 20 % of the rest validation; identical images go into one split.

    Parameters
    ----------
    path
        The folder.
    sensitive
        The class that is sensitive, by its folder's name, or a sequence of them; the others are the other class.
    harmless
        Classes that are not sensitive; without `sensitive` all others are.
    image_size
        Pixels of a side; by default the median side of all images, and at most 64.
    seed
        Of the splits.

    Returns
    -------
    BinaryData
        Inputs of shape (1, size, size) or (3, size, size), with `source` and `notes` set.

    Raises
    ------
    InputError
        A class that has no folder, or a size below 1.
    DataError
        No folder of images, fewer than two classes, a damaged image, or too few images to split.
    """
    path = Path(path)
    if image_size is not None:
        check_count("image_size", image_size)
    files = _files(path)
    chosen = several(sensitive)
    if not chosen and not harmless:
        folders = ", ".join(dict.fromkeys(file.parent.name for file in files))
        raise refuse("sensitive", f"one of the folders {folders}", "none", "Or name what is `harmless`.")
    classes = _classes(files, chosen, harmless)
    sides, grey = _survey(files)
    size = image_size or min(LARGEST, round(float(np.median(sides))))
    pixels = np.stack([_read(file, size, grey) for file in files])
    notes = [f"images: {len(files)}, {'greyscale' if grey else 'RGB'}", *_size_note(sides, size), *classes.notes]
    options = {"image_size": size, "harmless": list(harmless)}
    names = [str(name) for name in chosen]
    source = DataSource(str(path.absolute()), names[0] if len(names) == 1 else names or None, seed, options)
    return _split(path.name, pixels, classes, seed, source, notes)


def _files(path: Path) -> list[Path]:
    """Images of all folders of a folder, by name."""
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir()) if path.is_dir() else []
    files = [file for folder in folders for file in _images(folder)]
    if not files:
        raise DataError(f"{path}: no folder with a folder of images for each class. Check the path.")
    return files


def _classes(files: Sequence[Path], sensitive: Sequence[object], harmless: Sequence[str]) -> Classes:
    import polars as pl

    labels = pl.Series("folder", [file.parent.name for file in files])
    return classes_of([labels], sensitive, harmless, fold=False)


def _split(
    name: str, pixels: Bytes, classes: Classes, seed: int, source: DataSource, notes: Sequence[str]
) -> BinaryData:
    y = classes.y[0]
    _, same = np.unique(pixels.reshape(len(pixels), -1), axis=0, return_inverse=True)
    splits = []
    for rows in three_way(y, same, seed, name):
        chosen = rows[mixed(y[rows], seed)]
        x = torch.from_numpy(pixels[chosen].astype(np.float32)).div_(255)
        splits.append(Split(x, torch.from_numpy(y[chosen])))
    names = {"sensitive": classes.sensitive, "other": classes.other}
    return BinaryData(name, *splits, source=source, notes=tuple(notes), **names)


def _images(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in FORMATS and file.is_file())


def _size_note(sides: Sequence[tuple[int, int]], size: int) -> list[str]:
    others = sum(side != (size, size) for side in sides)
    return [f"resized to {size} x {size} pixels: {others} images (--image-size sets it)"] if others else []


def _survey(files: Sequence[Path]) -> tuple[list[tuple[int, int]], bool]:
    """Width and height of each image, and whether all are greyscale."""
    found = [_with_image(file, lambda image: (image.size, image.mode)) for file in files]
    return [size for size, _ in found], all(mode in GREY for _, mode in found)


def _read(file: Path, size: int, grey: bool) -> Bytes:
    """Pixels (C, size, size)."""
    from PIL.Image import Resampling

    def pixels(image: Image) -> Bytes:
        whole = image.convert("L" if grey else "RGB").resize((size, size), Resampling.BOX)
        return np.asarray(whole).reshape(size, size, -1).transpose(2, 0, 1)

    return _with_image(file, pixels)


def _with_image(file: Path, use: Callable[[Image], T]) -> T:
    """What `use` makes of an image; a `DataError` if it is damaged, or of more than about 9 x 10^7 pixels."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=[FORMATS[file.suffix.lower()]]) as image:
                return use(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise damaged(file, f"not a readable image: {error}") from error
