"""The log of a training: a line of JSON for each epoch, that a full disk or a killed process may cut."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from asymcert._checks import check_types
from asymcert._files import parse_json
from asymcert.errors import RunError


class _Epoch(TypedDict, total=False):
    """What the report reads of a training log's record, besides numbers."""

    epoch: int
    medians: dict[str, Any] | None


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add one epoch's record; a last line that was cut off goes."""
    line = json.dumps(dict(record)) + "\n"
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line.encode())


def read_records(path: Path) -> list[dict[str, Any]]:
    """Records in order, none without a file; see `RunFolder.read_log`."""
    lines = path.read_bytes().splitlines() if path.is_file() else []
    records: dict[object, dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = dict(parse_json(line))
            check_types(_Epoch, record)
            records[record.get("epoch", f"line {number}")] = record
        except (ValueError, TypeError) as error:
            if number < len(lines):
                message = f"{path}: line {number} is damaged ({error}). Delete the line or the file."
                raise RunError(message) from error
    return list(records.values())
