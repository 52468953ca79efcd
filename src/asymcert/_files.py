"""Files that are seen whole or not at all, and text from strangers' files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEEPEST = 100  # levels of lists and mappings; code that walks them may recurse
GREATEST = 10**300  # in size, of an integer: each is a float too
TOO_DEEP = f"lists or mappings are nested more than {DEEPEST} levels deep"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write: it takes that name in one step when the block ends, and is gone if it fails."""
    partial = path.with_name(f"{path.name}.part")
    try:
        yield partial
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    os.replace(partial, path)


def parse_json(text: str | bytes, *, finite: bool = False) -> Any:
    """What a stranger's JSON says: see `checked_values`.

    Raises
    ------
    ValueError
        In one line: it is no JSON in UTF-8, repeats a key, or holds what `checked_values` refuses.
    """
    try:
        return checked_values(json.loads(text, object_pairs_hook=_unique), finite=finite)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def checked_values(content: Any, *, finite: bool = False) -> Any:
    """`content`, of lists, mappings and single values, as far as any code can print it, copy it and compute with it.

    Raises
    ------
    ValueError
        In one line: it is nested deeply, holds an integer that is no float, text that is no Unicode, or, with `finite`,
        NaN or an infinite number.
    """
    level = [content]
    for _ in range(DEEPEST):
        level = [inner for value in level for inner in _inner(value, finite)]
        if not level:
            return content
    raise ValueError(TOO_DEEP)


def _inner(value: Any, finite: bool) -> list[Any]:
    """What a list or mapping holds; nothing for a single value, which must be one that no code stumbles over."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, int) and abs(value) > GREATEST:
        raise ValueError("an integer has more than 300 digits")
    elif finite and isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a number is {value}")
    return value if isinstance(value, list) else []


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key is repeated")
    return content
