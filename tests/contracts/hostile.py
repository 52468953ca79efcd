"""What a stranger writes for the numbers that a file declares."""

import copy
import json
from collections.abc import Iterator
from typing import Any

DEEP = 100_000  # levels
NUMBERS = (0, -1, 10**8, 10**18, 10**400, 2.5, "7", None, [[1]])


def swapped(content: dict[str, Any], leave: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """`content` with one of its integers replaced by another value, and what was done; keys in `leave` are left."""
    for place in _integers({key: value for key, value in content.items() if key not in leave}):
        for value in NUMBERS:
            changed = copy.deepcopy(content)
            inner = changed
            for step in place[:-1]:
                inner = inner[step]
            if value != inner[place[-1]]:
                inner[place[-1]] = value
                yield f"{'.'.join(map(str, place))} = {str(value)[:20]}", changed


def deep(content: dict[str, Any], key: str) -> str:
    """JSON of `content` with a list under `key` that is nested so deeply that parsers overflow."""
    return json.dumps({**content, key: "here"}).replace('"here"', "[" * DEEP + "]" * DEEP)


def _integers(content: Any) -> Iterator[tuple[Any, ...]]:
    """Where integers are in lists and mappings."""
    if isinstance(content, int) and not isinstance(content, bool):
        yield ()
    parts = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in parts:
        yield from ((key, *rest) for rest in _integers(value))
