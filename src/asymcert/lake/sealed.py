"""Small JSON files that carry a digest of their own content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from asymcert._files import parse_json
from asymcert.errors import DataError

CHECK = "check"  # key of the digest
REMEDY = "Restore it, or delete it and run again."


def digest_of(content: Any) -> str:
    """SHA-256, in hexadecimal, of what JSON can hold, whatever the order of its keys.

    Examples
    --------
    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> bytes:
    """The file of some content."""
    text = json.dumps({**content, CHECK: digest_of(dict(content))}, sort_keys=True, allow_nan=False)
    return text.encode() + b"\n"


def unsealed(file: bytes, name: str) -> dict[str, Any]:
    """The content of a file that `sealed` wrote.

    Raises
    ------
    DataError
        It is none, or was changed.
    """
    try:
        content = dict(parse_json(file))
        check = content.pop(CHECK)
    except (ValueError, TypeError, KeyError):
        raise DataError(f"{name}: no record of a lake run, or damaged. {REMEDY}") from None
    if check != digest_of(content) or sealed(content) != file:
        raise DataError(f"{name}: was changed after it was written. {REMEDY}")
    return content
