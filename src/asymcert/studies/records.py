"""Results of studies, a JSON file for each, so that an interrupted study goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asymcert._files import parse_json, replacing
from asymcert.errors import RunError


def read_row(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """The row that a file holds for `key`, all that it depends on; None without a file.

    Raises
    ------
    RunError
        The file is damaged, or holds a row for another key.
    """
    if not path.exists():
        return None
    try:
        record = parse_json(path.read_bytes())
        same, row = record["key"] == key, dict(record["row"])
    except (ValueError, LookupError, TypeError) as error:
        raise RunError(f"{path}: damaged ({error}). Delete it and run the study again.") from error
    if not same:
        raise RunError(f"{path}: measured on other data or with other options. Take the same ones, or another folder.")
    return row


def write_row(path: Path, key: dict[str, Any], row: dict[str, Any]) -> None:
    """Store a row for `read_row`; folders are made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps({"key": key, "row": row}, indent=1), encoding="utf-8")
