"""Small data sets that ship with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from asymcert.datasets.binary import BinaryData
from asymcert.datasets.classes import CLASSES, is_first_sensitive, parse_pair
from asymcert.datasets.images import as_split
from asymcert.datasets.readers import Bytes
from asymcert.datasets.source import DataSource
from asymcert.datasets.splitting import three_way
from asymcert.datasets.table_options import TableOptions
from asymcert.datasets.tables import split_table


def load_digits_pair(name: str, sensitive: object, seed: int) -> BinaryData:
    """Two classes of the 8x8 digits, shape (1, 8, 8): 20 % test, then 20 % of the rest validation."""
    _, *pair = parse_pair(name)
    names = [CLASSES["digits"][label] for label in pair]
    first = is_first_sensitive(sensitive, names, pair)
    chosen, other = (0, 1) if first else (1, 0)
    images, labels = read_digits()
    wanted = np.isin(labels, pair)
    images, y = images[wanted], labels[wanted] == pair[chosen]
    splits = [as_split(images[rows], y[rows], 16) for rows in three_way(y, None, seed, name)]
    source = DataSource(name, None if first else names[chosen], seed)
    return BinaryData(name, *splits, sensitive=names[chosen], other=names[other], source=source)


def read_digits() -> tuple[Bytes, Bytes]:
    """All digits (1797, 1, 8, 8), values from 0 to 16, and labels (1797,)."""
    from sklearn.datasets import load_digits

    images, labels = map(np.asarray, load_digits(return_X_y=True))
    return images.reshape(-1, 1, 8, 8).astype(np.uint8), labels.astype(np.uint8)


def load_breast_cancer_table(sensitive: object, seed: int) -> BinaryData:
    """Breast cancer Wisconsin, 569 rows of 30 features; malignant is sensitive."""
    import polars as pl
    from sklearn.datasets import load_breast_cancer

    bunch: Any = load_breast_cancer()
    names = [str(name) for name in bunch.target_names]
    first = is_first_sensitive(sensitive, names, (0, 1))
    chosen = names[0 if first else 1]
    frame = pl.DataFrame(bunch.data, schema=[str(name) for name in bunch.feature_names])
    frame = frame.with_columns(diagnosis=pl.Series([names[label] for label in bunch.target]))
    source = DataSource("breast-cancer", None if first else chosen, seed)
    return split_table("breast-cancer", frame, None, chosen, TableOptions("diagnosis", clean=False), source)
