"""Windows of texts as arrays of numbers in [0, 1], the form in which data sets and models take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asymcert.texts.encoder import Windows

UNIT = 2**24  # codes are whole numbers of 1 / UNIT, which single precision holds
KINDS = 3  # codes of UNIT - KINDS + 1 and more begin a window of each kind
MOST_FEATURES = UNIT - KINDS


def packed(windows: Windows, texts: int, width: int = 1) -> NDArray[np.float32]:
    """One row for each of so many texts: for each window the code of its kind, then those of its features; then zeros.

    Feature i has the code ``(i + 1) / UNIT``. Rows are at least `width` long, and as long as the longest needs.
    """
    sizes = np.diff(windows.ends)
    starts = windows.ends[:-1] + np.arange(len(sizes))  # of windows, in one list of all codes
    codes = np.empty(len(windows.features) + len(sizes), np.int64)
    codes[starts] = UNIT - windows.kind
    inside = np.ones(len(codes), bool)
    inside[starts] = False
    codes[inside] = windows.features + 1
    row = windows.owner.repeat(sizes + 1)
    lengths = np.bincount(row, minlength=texts)
    place = np.arange(len(codes)) - (lengths.cumsum() - lengths)[row]
    rows = np.zeros((texts, max(width, int(lengths.max(initial=0)))), np.float32)
    rows[row, place] = codes / UNIT
    return rows
