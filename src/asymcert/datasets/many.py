"""All classes of an image set, for training that treats them alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asymcert._checks import check_choice
from asymcert.datasets.builtin import read_digits
from asymcert.datasets.classes import CLASSES
from asymcert.datasets.files import locate
from asymcert.datasets.images import PUBLICATIONS, read_images
from asymcert.datasets.readers import Bytes
from asymcert.datasets.splitting import HELD_OUT

Labelled = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class ManyClasses:
    """Splits of an image set with all its classes.

    Parameters
    ----------
    name
        Of the set.
    classes
        Names, by label.
    train, val, test
        Float32 images (n, C, H, W) in [0, 1], and int64 labels (n,).
    """

    name: str
    classes: tuple[str, ...]
    train: Labelled
    val: Labelled
    test: Labelled


def load_many(name: str, data_dir: str | Path | None = None, seed: int = 0) -> ManyClasses:
    """All classes of ``mnist``, ``fashion``, ``cifar10`` or ``digits``.

    The publisher's test set; of the training set, and before that of the digits, 20 % are held out at random.

    Raises
    ------
    InputError
        An unknown name.
    DataError
        Missing or damaged files.
    """
    check_choice("name", name, tuple(CLASSES))
    generator = torch.Generator().manual_seed(seed)
    if name == "digits":
        rest, test = _parted(*read_digits(), generator)
        largest = 16
    else:
        folder, labels = locate(PUBLICATIONS[name], data_dir), range(len(CLASSES[name]))
        rest, test = (read_images(name, folder, part, labels) for part in ("train", "test"))
        largest = 255
    parts = (*_parted(*rest, generator), test)
    return ManyClasses(name, CLASSES[name], *(_tensors(*part, largest) for part in parts))


def _parted(images: Bytes, labels: Bytes, generator: torch.Generator) -> tuple[tuple[Bytes, Bytes], ...]:
    """What is kept and what is held out."""
    order = torch.randperm(len(labels), generator=generator).numpy()
    held = round(HELD_OUT * len(labels))
    return tuple((images[rows], labels[rows]) for rows in (np.sort(order[held:]), np.sort(order[:held])))


def _tensors(images: Bytes, labels: Bytes, largest: int) -> Labelled:
    return torch.from_numpy(images.astype(np.float32)).div_(largest), torch.from_numpy(labels.astype(np.int64))
