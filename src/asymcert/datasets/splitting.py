"""Random splits that keep class shares and never part identical rows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from asymcert.errors import DataError

HELD_OUT = 0.2  # of all rows for test, then, unless told otherwise, of the rest for validation

Rows = NDArray[np.int64]


def three_way(
    y: NDArray[np.bool_], groups: Rows | None, seed: int, name: str, validation: float = HELD_OUT
) -> tuple[Rows, Rows, Rows]:
    """Row numbers of train, validation and test, by default 64, 16 and 20 per cent of the rows; see `hold_out`."""
    generator = torch.Generator().manual_seed(seed)
    groups = np.arange(len(y)) if groups is None else groups
    rest, test = hold_out(y, groups, generator, name)
    train, val = hold_out(y[rest], groups[rest], generator, name, validation)
    return rest[train], rest[val], test


def two_way(
    y: NDArray[np.bool_], groups: Rows | None, seed: int, name: str, validation: float = HELD_OUT
) -> tuple[Rows, Rows]:
    """Row numbers of train and validation, by default 80 and 20 per cent of the rows; see `hold_out`."""
    generator = torch.Generator().manual_seed(seed)
    return hold_out(y, np.arange(len(y)) if groups is None else groups, generator, name, validation)


def mixed(y: NDArray[np.bool_], seed: int) -> Rows:
    """Row numbers in a random order of which every beginning has, as nearly as can be, the classes' shares."""
    generator = torch.Generator().manual_seed(seed)
    place = np.empty(len(y))
    for label in (True, False):
        members = np.flatnonzero(y == label)
        order = torch.randperm(len(members), generator=generator).numpy()
        place[members[order]] = (np.arange(len(members)) + 0.5) / max(len(members), 1)
    return np.argsort(place, kind="stable")


def hold_out(
    y: NDArray[np.bool_], groups: Rows, generator: torch.Generator, name: str, share: float = HELD_OUT
) -> tuple[Rows, Rows]:
    """Split rows in two parts; the second has about the given share of each class.

    Parameters
    ----------
    y
        Labels, shape (n,).
    groups
        Shape (n,), numbers from 0; rows of one group stay together. A group counts as the class most of it has.
    generator
        Draws the order in which groups are taken.
    name
        Of the data, for the error.
    share
        Of the second part.

    Returns
    -------
    kept, held
        Increasing row numbers.

    Raises
    ------
    DataError
        A class has fewer than two groups.
    """
    numbers, group_of_row, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    positive = np.bincount(group_of_row, weights=y, minlength=len(numbers)) * 2 > sizes
    held = np.zeros(len(numbers), dtype=bool)
    for label in (True, False):
        members = np.flatnonzero(positive == label)
        if len(members) < 2:
            few = f"a class has {len(members)} distinct rows left, where each part needs one"
            raise DataError(f"{name}: too few rows to split: {few}. Add rows of it.")
        order = torch.randperm(len(members), generator=generator).numpy()
        held[_take(members[order], sizes, share)] = True
    return np.flatnonzero(~held[group_of_row]), np.flatnonzero(held[group_of_row])


def _take(members: Rows, sizes: Rows, share: float) -> list[int]:
    """Groups, in order, whose sizes add up to at most the share to hold out; at least one."""
    wanted = round(share * int(sizes[members].sum()))
    taken: list[int] = []
    for group in members.tolist():
        if sizes[group] <= wanted:
            taken.append(group)
            wanted -= int(sizes[group])
    return taken or [int(members[np.argmin(sizes[members])])]
