"""Results of studies, a JSON file for each, so that an interrupted study goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asymcert._files import replacing
from asymcert.errors import RunError


def read_row(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """The row that a file holds for `key`, all that it depends on; None without a file.

    Raises
    ------
    RunError
        The file holds a row for another key.
    """
    if not path.exists():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    if record.get("key") != key:
        raise RunError(f"{path}: measured on other data or with other options. Take the same ones, or another folder.")
    return record["row"]


def write_row(path: Path, key: dict[str, Any], row: dict[str, Any]) -> None:
    """Store a row for `read_row`; folders are made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps({"key": key, "row": row}, indent=1), encoding="utf-8")
