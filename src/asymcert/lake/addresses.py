"""From what a user writes, ``s3://bucket/logs/*.parquet``, to a place and the files meant there."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from asymcert._checks import refuse
from asymcert.lake.objects import objects_at
from asymcert.lake.places import Folder, Place

STORES = ("memory", "s3", "gs", "az")  # by `objects_at`
WILD = re.compile(r"[*?\[]")
AN_OUTPUT = "rows/00/0.parquet"  # as a destination has them
PIECES = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class Source:
    """Some files of a place: those that a pattern fits, all if it is empty."""

    place: Place
    pattern: str = ""

    def fits(self, path: str) -> bool:
        """Whether a file is meant; those hidden by ``.`` or ``_`` before a name are not."""
        if any(part.startswith((".", "_")) for part in path.split("/")):
            return False
        return not self.pattern or re.fullmatch(_expression(self.pattern), path) is not None


def place_at(address: str | Path) -> Place:
    """The place of an address: a path, or a URL with the scheme file, memory, s3, gs or az.

    Raises
    ------
    InputError
        Another scheme.
    DependencyError
        A store, where obstore is not installed.
    """
    scheme, colon, rest = str(address).partition("://")
    if not colon:
        return Folder(address)
    if scheme == "file":
        return Folder(unquote(urlsplit(str(address)).path))
    if scheme not in STORES:
        known = ", ".join(f"{name}://" for name in ("file", *STORES))
        raise refuse("address", f"a path or one that begins with {known}", repr(str(address)))
    return objects_at(f"{scheme}://{rest.rstrip('/')}")


def source_at(address: str | Path) -> Source:
    """The files that an address means: all in a folder, one, or those that a glob fits.

    Raises
    ------
    InputError
        It is a path that leads nowhere; for the rest see `place_at`.
    """
    text = str(address)
    wild = WILD.search(text)
    if wild:
        start = text.rfind("/", 0, wild.start()) + 1
        root = text[:start]
        if not root.partition("://")[2] and "://" in root:
            raise refuse("source", "a glob below a bucket", repr(text), "Example: s3://bucket/*.parquet")
        return Source(place_at(root or "."), text[start:])
    place = place_at(address)
    if not isinstance(place, Folder):
        return Source(place)
    if place.path.is_file():
        return Source(Folder(place.path.parent), place.path.name)
    if not place.path.is_dir():
        raise refuse("source", "a folder, a file or a glob", f"'{text}', which is none", "Check the path.")
    return Source(place)


def absolute(address: str | Path) -> str:
    """The same address wherever a process works."""
    return str(address) if "://" in str(address) else os.path.abspath(address)


def check_apart(source: Source, dest: Place) -> None:
    """Refuse a destination in the source: its outputs would be taken for the source's tables."""
    root = f"{source.place.address.rstrip('/')}/"
    inner = f"{dest.address.rstrip('/')}/".removeprefix(root)
    if dest.address.rstrip("/") == root[:-1] or (dest.address.startswith(root) and source.fits(f"{inner}{AN_OUTPUT}")):
        raise refuse("out", "apart from the source", repr(dest.address), "Choose a place beside it.")


def _expression(pattern: str) -> str:
    """A regular expression for paths: ``*`` within a name, ``**`` across folders, ``?``, ``[abc]``.

    Examples
    --------
    >>> bool(re.fullmatch(_expression("day=*/**/*.parquet"), "day=1/a/b/x.parquet"))
    True
    """
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", str(PurePosixPath(pattern)))
    return "".join(PIECES.get(part) or (_set(part) if part.startswith("[") else re.escape(part)) for part in parts)


def _set(part: str) -> str:
    """``[abc]`` or ``[!abc]``, whose characters mean themselves."""
    inner = part[1:-1].replace("\\", r"\\").replace("^", r"\^").replace("[", r"\[")
    return f"[^{inner[1:]}]" if inner.startswith("!") and len(inner) > 1 else f"[{inner}]"
