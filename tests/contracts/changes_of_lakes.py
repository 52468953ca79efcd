"""What may befall a destination: changes of single files, each of which `verify` must find."""

from __future__ import annotations

import random
from pathlib import Path

KINDS = ("flip", "missing", "extra", "renamed", "truncated", "swapped")


def files(dest: Path, folder: str) -> list[Path]:
    return sorted(path for path in (dest / folder).rglob("*") if path.is_file())


def change(dest: Path, kind: str, draw: random.Random) -> str:
    """Make one change to an output or a record; returns what was done."""
    folder = draw.choice(["rows", "done"])
    path = draw.choice(files(dest, folder))
    name = path.relative_to(dest).as_posix()
    if kind == "flip":
        content = bytearray(path.read_bytes())
        place = draw.randrange(len(content))
        content[place] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        return f"flip byte {place} of {name}"
    if kind == "missing":
        path.unlink()
    elif kind == "extra":
        extra = path.with_name(draw.choice(["stranger.txt", f"{draw.getrandbits(256):064x}{path.suffix}"]))
        extra.write_bytes(path.read_bytes())
        return f"{kind} {extra.relative_to(dest).as_posix()}"
    elif kind == "renamed":
        path.rename(path.with_name(f"{draw.getrandbits(256):064x}{path.suffix}"))
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[: draw.randrange(path.stat().st_size)])
    else:
        other = draw.choice([other for other in files(dest, folder) if other.read_bytes() != path.read_bytes()])
        content = path.read_bytes()
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
    return f"{kind} {name}"
