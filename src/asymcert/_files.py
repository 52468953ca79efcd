"""Files that are seen whole or not at all, and text from strangers' files."""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asymcert.errors import InputError, RunError

DEEPEST = 100  # levels of lists and mappings; code that walks them may recurse
GREATEST = 10**300  # in size, of an integer: each is a float too
TOO_DEEP = f"lists or mappings are nested more than {DEEPEST} levels deep"
KEY_PART = r"""[ \t]*+(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+"""
LONG_KEY = re.compile(rf"(?:\.{KEY_PART}){{{DEEPEST}}}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write: it takes that name in one step when the block ends, and is gone if it fails.

    A link stays, and what it points to is replaced; an `InputError` for a folder, a device or the like.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise InputError(f"`path` must be a plain file or a new name, got {path}. Choose another place.")
    partial = path.with_name(f"{path.name}.part")
    try:
        yield partial
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    os.replace(partial, path)


@contextmanager
def written(partial: Path, content: bytes) -> Iterator[Path]:
    """A new file with this content, safe on disk when the block begins, gone after it unless the block renames it."""
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield partial
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While the block runs, no other process trains into `folder`; the system ends that with the process.

    Raises
    ------
    RunError
        Another process does already.
    """
    if os.name != "posix":  # no such locks
        yield
        return
    import fcntl

    with _opened(folder) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"{folder}: another process is training here. Wait for it, or choose another --out."
            raise RunError(message) from None
        except OSError:  # a file system without locks
            pass
        yield


def flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system lets folders be flushed."""
    if os.name == "posix":
        with _opened(folder) as descriptor:
            os.fsync(descriptor)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def parse_json(text: str | bytes, *, finite: bool = False) -> Any:
    """What a stranger's JSON says; a `ValueError` of one line if that is no JSON, repeats a key, or see below."""
    try:
        return checked_values(json.loads(text, object_pairs_hook=_unique), finite=finite)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def parse_toml(text: str) -> Any:
    """As `parse_json` reads JSON; the parser takes quadratic time for keys of many parts."""
    if LONG_KEY.search(text):
        raise ValueError(TOO_DEEP)
    try:
        return checked_values(tomllib.loads(text))
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def jsonable(value: Any) -> Any:
    """JSON has no infinity: write it as the string ``inf``, and NaN as null."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


def checked_values(content: Any, *, finite: bool = False) -> Any:
    """`content` itself, of lists, mappings and single values, if any code can print it, copy it and compute with it.

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
