"""Windows of texts as arrays of numbers in [0, 1], the form in which data sets and models take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from asymcert._checks import refuse
from asymcert.texts.encoder import Windows

UNIT = 2**24  # codes are whole numbers of 1 / UNIT, which single precision holds
KINDS = 3  # codes of UNIT - KINDS + 1 and more begin a window of each kind
MOST_FEATURES = UNIT - KINDS
MOST_CODES = 2**29  # numbers that the windows of all texts may take: 2 GiB
MOST_TEXTS, MOST_CHARACTERS = 512, 2**22  # encoded at a time


def check_room(texts: int, width: int) -> int:
    """The width, unless so many rows of it take too much memory: then an `InputError`."""
    if texts * width > MOST_CODES:
        got = f"{texts} of which one has {width}"
        raise refuse("texts", f"of {MOST_CODES} features in all", got, "Shorten or leave out the longest.")
    return width


def portions(lengths: Sequence[int], most: int = MOST_TEXTS) -> Iterator[slice]:
    """Texts of these lengths, so many at a time; fewer where they are long: each takes the room of the longest.

    Examples
    --------
    >>> [(part.start, part.stop) for part in portions([5, 5, 5, MOST_CHARACTERS, 5], 2)]
    [(0, 2), (2, 3), (3, 4), (4, 5)]
    """
    start = longest = 0
    for place, length in enumerate(lengths):
        longest = max(longest, length)
        if place > start and (place - start >= most or (place - start + 1) * longest > MOST_CHARACTERS):
            yield slice(start, place)
            start, longest = place, length
    if start < len(lengths):
        yield slice(start, len(lengths))


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
    rows = np.zeros((texts, check_room(texts, max(width, int(lengths.max(initial=0))))), np.float32)
    rows[row, place] = codes / UNIT
    return rows
