"""The tables of a run: their schemas, and the Parquet parts that they are stored in, named after their bytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import polars as pl

from asymcert.errors import InputError, RunError
from asymcert.runs.rows import (
    ALERT_SCHEMA,
    AUDIT_SCHEMA,
    GALLERY_SCHEMA,
    POINT_SCHEMA,
    SCHEMA,
    TEXT_SCHEMA,
    check_gallery,
    check_rows,
    check_schema,
    parse_parquet,
)

CERTIFICATES, GALLERY, AUDIT, POINTS = "certificates", "gallery", "audit", "points"
TEXTS, ALERTS = "attacked_texts", "alert_texts"
SCHEMAS = {
    CERTIFICATES: SCHEMA,
    GALLERY: GALLERY_SCHEMA,
    AUDIT: AUDIT_SCHEMA,
    POINTS: POINT_SCHEMA,
    TEXTS: TEXT_SCHEMA,
    ALERTS: ALERT_SCHEMA,
}
PART = re.compile(r"part-([0-9]{5,18})-[0-9a-f]{8}-([0-9a-f]{16})\.parquet")


def read_part(path: Path) -> pl.DataFrame:
    """The rows of one part.

    Raises
    ------
    RunError
        It cannot be read, or is not what its name says.
    """
    remedy = "Delete it and run the same command again: the rows it held are computed anew."
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error}). {remedy}") from error
    match = PART.fullmatch(path.name)
    if match is None or hashlib.sha256(content).hexdigest()[:16] != match[2]:
        raise RunError(f"{path}: damaged, its digest does not match its name. {remedy}")
    try:
        return parse_parquet(content)
    except InputError as error:
        raise RunError(f"{path}: damaged ({error}). {remedy}") from error


def check_table(table: str, frame: pl.DataFrame) -> None:
    """Refuse rows that do not belong into a table of a known name."""
    if table == CERTIFICATES:
        check_rows(frame)
    elif table == GALLERY:
        check_gallery(frame)
    elif table in SCHEMAS:
        check_schema("frame", frame, SCHEMAS[table])
