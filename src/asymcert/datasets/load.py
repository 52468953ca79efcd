"""Data sets by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from asymcert._checks import check_count, check_types, refuse, several
from asymcert.datasets.binary import BinaryData
from asymcert.datasets.builtin import load_breast_cancer_table, load_digits_pair
from asymcert.datasets.classes import EXAMPLES, parse_pair, unknown_name
from asymcert.datasets.clean_tables import classes_for, read_for
from asymcert.datasets.image_folders import load_image_folder
from asymcert.datasets.images import load_malimg, load_pair
from asymcert.datasets.problems import refuse_problems
from asymcert.datasets.source import FIRST, DataSource
from asymcert.datasets.table_options import TableOptions
from asymcert.datasets.tables import load_table
from asymcert.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray


def names() -> list[tuple[str, str]]:
    """Names that `load` knows, each with a line on what it is.

    Examples
    --------
    >>> names()[0][0]
    'digits-3-8'
    """
    return list(EXAMPLES)


def load(
    name: str, data_dir: str | Path | None = None, sensitive: str | int | None = None, seed: int = 0
) -> BinaryData:
    """Load a data set with its splits.

    Files are taken from the first of `data_dir`, the folder that the environment variable ``ASYMCERT_DATA`` names,
    and the user's cache that has all of them; else they are downloaded to the cache and checked.

    Parameters
    ----------
    name
        One of `names`, or another pair: ``digits-A-B``, ``mnist-A-B``, ``fashion-A-B``, ``cifar10-A-B``, where A is
        sensitive. Classes go by number or by name (``cifar10-cat-dog``).
    data_dir
        Folder with ``mnist/``, ``fashion-mnist/``, ``cifar-10-batches-bin/`` or ``malimg/`` in it.
    sensitive
        Makes this class of the two the sensitive one, by name or label.
    seed
        Of the splits: the publisher's test set, with 20 % of the training set for validation; where the publisher
        has no test set, 20 % of all rows are test, then 20 % of the rest validation.

    Returns
    -------
    BinaryData
        Inputs of shape (1, 8, 8) for digits, (1, 28, 28) for MNIST and Fashion-MNIST, (3, 32, 32) for CIFAR-10,
        (1, 512, 512) for Malimg, (30,) for breast-cancer.

    Raises
    ------
    InputError
        An unknown name, a pair of equal classes, or a `sensitive` that is neither class.
    DataError
        Files that are missing and cannot be downloaded, damaged, or without one of the classes.

    Examples
    --------
    >>> data = load("digits-3-8")
    >>> data.input_shape, data.sensitive, data.other
    ((1, 8, 8), '3', '8')
    """
    check_count("seed", seed, low=0)
    if not isinstance(name, str):
        raise unknown_name(name)
    if name == "malimg":
        return load_malimg(data_dir, sensitive, seed)
    if name == "breast-cancer":
        return load_breast_cancer_table(sensitive, seed)
    if parse_pair(name)[0] == "digits":
        return load_digits_pair(name, sensitive, seed)
    return load_pair(name, data_dir, sensitive, seed)


def load_source(source: DataSource, data_dir: str | Path | None = None) -> BinaryData:
    """Load the data that a description stands for again.

    Parameters
    ----------
    source
        Where the data came from.
    data_dir
        For named data sets as in `load`; for a table that has moved, the folder it is in now.

    Raises
    ------
    DataError
        Missing or damaged files.
    InputError
        An option of the wrong type or value.
    """
    if source.is_image_folder:
        check_types(load_image_folder, source.options)
        folder = _moved(source.name, data_dir)
        return load_image_folder(folder, source.sensitive, seed=source.seed, **source.options)
    if not source.is_table:
        return load(source.name, data_dir, cast(str | None, source.sensitive), source.seed)
    options = _table_options(source, data_dir)
    return load_table(_moved(source.name, data_dir), sensitive=source.sensitive, seed=source.seed, **options)


def load_rows(
    source: DataSource, path: str | Path | None = None, data_dir: str | Path | None = None
) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
    """A table's rows as a file has them, read as a data set's own were.

    Parameters
    ----------
    source
        Of the data set.
    path
        The file, with the data set's columns and labels; by default the one that its test rows are from.
    data_dir
        As in `load_source`.

    Returns
    -------
    tuple
        A frame of n rows, in which ``Split.rows`` counts, and bool (n,): which are sensitive.

    Raises
    ------
    InputError, DataError
        As for `load_table`, or the data set is not a table.
    """
    if not source.is_table:
        raise refuse("source", "a table", source.name, "Other data have no rows of columns.")
    options = _table_options(source, data_dir)
    test, most = options.pop("test", None), options.pop("max_bytes", None)
    file, chosen = path or test or _moved(source.name, data_dir), TableOptions(**options)
    raw = read_for(file, chosen, most)
    refuse_problems(file, raw.problems)
    return raw.frame, classes_for([raw], source.sensitive, chosen).y[0]


def _table_options(source: DataSource, data_dir: str | Path | None) -> dict[str, Any]:
    options = FIRST | source.options
    options["text"] = list(several(options["text"]))  # one name, in older descriptions
    check_types(load_table, options)
    check_types(TableOptions, options)
    for name in ("test", "columns"):
        if options.get(name) is not None:
            options[name] = str(_moved(options[name], data_dir))
    return options


DataSource.load = load_source  # pyright: ignore[reportAttributeAccessIssue] its name in the version before, for one more


def _moved(path: str, data_dir: str | Path | None) -> Path:
    if Path(path).exists():
        return Path(path)
    if data_dir is None:
        raise DataError(f"{path}: no such file. If it has moved, name its folder as `data_dir` (--data-dir).")
    return Path(data_dir) / Path(path).name
