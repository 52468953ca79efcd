"""Pairs of classes of the published image sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from asymcert.datasets.binary import BinaryData, Split
from asymcert.datasets.classes import CLASSES, is_first_sensitive, parse_pair
from asymcert.datasets.files import ENVIRONMENT, Publication, cache_root, data_roots, locate
from asymcert.datasets.readers import Bytes, list_families, read_cifar, read_idx, read_png
from asymcert.datasets.source import DataSource
from asymcert.datasets.splitting import three_way, two_way
from asymcert.errors import DataError

_IDX_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
_IDX_NAMES = (*_IDX_FILES["train"], *_IDX_FILES["test"])
_CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))


def _idx_publication(folder: str, url: str, *md5: str) -> Publication:
    return Publication(folder, _IDX_NAMES, url, dict(zip(_IDX_NAMES, md5, strict=True)))


# The MD5 sums are those of the archives as published; they guard the download only.
PUBLICATIONS = {
    "mnist": _idx_publication(
        "mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    "fashion": _idx_publication(
        "fashion-mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "cifar10": Publication(
        "cifar-10-batches-bin",
        (*_CIFAR_TRAIN, "test_batch.bin"),
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
    ),
}
# SHA-256 of the unpacked content, whoever packed it.
CONTENT = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
MALIMG_BENIGN = "Allaple.A"
MALIMG_REST = "other families"
MALIMG_SIZE = 512


def complete_sets() -> list[str]:
    """Names of the published sets that lie on this machine with all their files; nothing is downloaded."""
    roots = data_roots(None)
    return [
        name
        for name, each in PUBLICATIONS.items()
        if any(all((root / each.folder / file).is_file() for file in each.files) for root in roots)
    ]


def load_pair(name: str, data_dir: str | Path | None, sensitive: object, seed: int) -> BinaryData:
    """Two classes of MNIST, Fashion-MNIST or CIFAR-10; the publisher's test set, its training set split 80/20.

    Raises
    ------
    InputError
        An unknown class, a pair of equal ones, or a `sensitive` outside the pair.
    DataError
        Missing or damaged files, or files without one of the classes.
    """
    family, *pair = parse_pair(name)
    names = [CLASSES[family][label] for label in pair]
    first = is_first_sensitive(sensitive, names, pair)
    chosen, other = (0, 1) if first else (1, 0)
    folder = locate(PUBLICATIONS[family], data_dir)
    parts = {part: read_images(family, folder, part, pair) for part in ("train", "test")}
    for part, (_, labels) in parts.items():
        for label, class_name in zip(pair, names, strict=True):
            if label not in labels:
                raise DataError(f"{folder}: the {part} files have no record of class {label} ({class_name}). Get all.")
    images, labels = parts["train"]
    y = labels == pair[chosen]
    train, val = two_way(y, None, seed, name)
    return BinaryData(
        name,
        as_split(images[train], y[train]),
        as_split(images[val], y[val]),
        as_split(parts["test"][0], parts["test"][1] == pair[chosen]),
        names[chosen],
        names[other],
        source=DataSource(name, None if first else names[chosen], seed),
    )


def as_split(images: np.ndarray, y: np.ndarray, largest: int = 255) -> Split:
    """Split from images (n, C, H, W) with values from 0 to `largest`."""
    return Split(torch.from_numpy(images.astype(np.float32)).div_(largest), torch.from_numpy(y))


def read_images(family: str, folder: Path, part: str, classes: Sequence[int]) -> tuple[Bytes, Bytes]:
    """Images (n, C, H, W) and labels (n,) of some classes, from the files of ``train`` or ``test``."""
    if family == "cifar10":
        files = _CIFAR_TRAIN if part == "train" else ("test_batch.bin",)
        batches = [read_cifar(folder / name, classes) for name in files]
        return np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches])
    checksums = dict(zip(_IDX_NAMES, CONTENT[family], strict=True))
    image_file, label_file = _IDX_FILES[part]
    images = read_idx(folder / image_file, 3, checksums[image_file])
    labels = read_idx(folder / label_file, 1, checksums[label_file])
    wanted = np.isin(labels, classes)
    return images[wanted][:, None], labels[wanted]


def load_malimg(data_dir: str | Path | None, sensitive: object, seed: int) -> BinaryData:
    """Malimg: Allaple.A against an equal number drawn from the other families, which are sensitive.

    Inputs have shape (1, 512, 512), cropped or zero-padded around the centre: 1 MiB a sample, about 6 GiB for
    the whole set. Of the rows, 20 % are test, then 20 % of the rest validation.

    Raises
    ------
    DataError
        No tree of PNG files, no Allaple.A, fewer samples of the other families, or a damaged image.
    """
    first = is_first_sensitive(sensitive, (MALIMG_REST, MALIMG_BENIGN))
    chosen, other = (MALIMG_REST, MALIMG_BENIGN) if first else (MALIMG_BENIGN, MALIMG_REST)
    families = list_families(_malimg_folder(data_dir))
    benign = families.pop(MALIMG_BENIGN, [])
    rest = [path for paths in families.values() for path in paths]
    if not benign or len(rest) < len(benign):
        raise DataError(
            f"malimg: needs {MALIMG_BENIGN} and as many files of other families, "
            f"got {len(benign)} and {len(rest)}. Unpack the whole published set."
        )
    drawn = torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))[: len(benign)].tolist()
    paths = [*benign, *(rest[i] for i in sorted(drawn))]
    y = (np.arange(len(paths)) >= len(benign)) == first
    splits = [_malimg_split(paths, y, rows) for rows in three_way(y, None, seed, "malimg")]
    source = DataSource("malimg", None if first else chosen, seed)
    return BinaryData("malimg", *splits, sensitive=chosen, other=other, source=source)


def _malimg_split(paths: list[Path], y: np.ndarray, rows: np.ndarray) -> Split:
    x = torch.empty(len(rows), 1, MALIMG_SIZE, MALIMG_SIZE)
    for target, row in zip(x, rows.tolist(), strict=True):
        target[0] = torch.from_numpy(read_png(paths[row], MALIMG_SIZE))
    return Split(x.div_(255), torch.from_numpy(y[rows]))


def _malimg_folder(data_dir: str | Path | None) -> Path:
    for root in data_roots(data_dir):
        if (root / "malimg").is_dir():
            return root / "malimg"
    raise DataError(
        "malimg: no folder 'malimg' found, and there is no public download. Unpack the published set as "
        f"'malimg/<family>/*.png' below '{cache_root()}' or a folder that `data_dir` or {ENVIRONMENT} names."
    )
