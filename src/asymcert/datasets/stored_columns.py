"""Every kind of column, and their JSON form."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from asymcert._checks import refuse
from asymcert.datasets.columns import CategoryColumn, Column, NumericColumn, WordColumn
from asymcert.datasets.text_columns import TextColumn, WindowsColumn

KINDS: tuple[type[Column], ...] = (NumericColumn, CategoryColumn, WordColumn, TextColumn, WindowsColumn)


def column_from_dict(values: dict[str, Any]) -> Column:
    """Read what `Column.to_dict` gave; an `InputError` for anything else."""
    kinds = {kind.kind: kind for kind in KINDS}
    kind = kinds.get(values.get("kind", "")) if isinstance(values, dict) else None
    if kind is None:
        raise refuse("column", f"a dictionary whose kind is one of {sorted(kinds)}", repr(values))
    known = {field.name for field in fields(kind)}
    rest = {key: value for key, value in values.items() if key != "kind"}
    if set(rest) != known or not isinstance(rest["name"], str):
        raise refuse("column", f"a dictionary with the keys {sorted(known)} and a name of text", sorted(rest))
    return kind(**rest)
