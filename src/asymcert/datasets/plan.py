"""What each column of a table is taken for, found from training rows and applied alike to all rows that come after."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING as REQUIRED
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asymcert._checks import check_types, refuse
from asymcert._files import parse_toml
from asymcert.datasets.column_plan import ColumnPlan
from asymcert.errors import DataError, InputError

if TYPE_CHECKING:
    import polars as pl

TEXTS = ("String", "Categorical", "Enum")
HEAD = "# What each column is taken for. Edit it, and give it back with --columns.\n"


@dataclass(frozen=True)
class Plan:
    """What each column of a table is taken for; columns that it does not name are left out.

    Parameters
    ----------
    columns
        In the order of the table.
    """

    columns: tuple[ColumnPlan, ...]

    def __post_init__(self) -> None:
        names = [name for column in self.columns for name in column.outputs]
        if len(set(names)) != len(names) or len({column.name for column in self.columns}) != len(self.columns):
            raise refuse("columns", "of different names", [column.name for column in self.columns])

    @cached_property
    def used(self) -> tuple[ColumnPlan, ...]:
        """The columns that are not dropped."""
        return tuple(column for column in self.columns if column.outputs)

    @property
    def texts(self) -> set[str]:
        """Columns that hold texts even where all of them look like numbers."""
        return {column.name for column in self.used if column.kind in ("category", "text")}

    @property
    def sources(self) -> dict[str, str]:
        """The column of the table that each clean column comes from."""
        return {output: column.name for column in self.used for output in column.outputs}

    def read(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Clean columns of a table, and what is wrong in each of its rows: String, null where nothing is.

        A table may have the other decimal sign in all of its numbers.

        Raises
        ------
        DataError
            A column is absent, or holds lists or the like.
        """
        import polars as pl

        found = {name.strip(): name for name in reversed(frame.columns)} | {name: name for name in frame.columns}
        names = {column.name: found.get(column.name, found.get(column.name.strip())) for column in self.used}
        absent = [name for name, known in names.items() if known is None]
        if absent:
            raise DataError(f"The table lacks the columns {absent}. Provide the columns that training had.")
        given = {name: frame.get_column(str(known)) for name, known in names.items()}
        clean: dict[str, pl.Series] = {}
        wrong: dict[str, pl.Series] = {}
        for column in _with_decimals_of(given, self.used):
            values, reasons = column.read(given[column.name])
            clean |= dict(zip(column.outputs, values, strict=True))
            if reasons is not None:
                wrong[column.name] = f"{column.name}: " + reasons
        return pl.DataFrame(clean), joined(wrong, frame.height)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; `from_dict` gives an equal plan back."""
        return {"columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, values: Any) -> Plan:
        """Read what `to_dict` gave; an `InputError` for anything else."""
        if not isinstance(values, Mapping) or set(values) != {"columns"} or not isinstance(values["columns"], list):
            raise refuse("plan", "a mapping with a list of 'columns'", repr(values)[:80])
        return cls(tuple(map(_column_from_dict, values["columns"])))

    def to_toml(self) -> str:
        """A file to read, to edit, and to give back; `from_toml` reads it."""
        blocks = (
            "\n[[columns]]\n" + "".join(f"{key} = {_toml_value(value)}\n" for key, value in column.to_dict().items())
            for column in self.columns
        )
        return HEAD + "".join(blocks)

    @classmethod
    def from_toml(cls, path: str | Path) -> Plan:
        """Read a file that `to_toml` made; an `InputError` names what is wrong in it."""
        try:
            return cls.from_dict(parse_toml(Path(path).read_text(encoding="utf-8")))
        except (InputError, OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"{path}: no plan of columns: {reason}") from None


def _with_decimals_of(given: Mapping[str, pl.Series], columns: Sequence[ColumnPlan]) -> list[ColumnPlan]:
    """The columns with the other decimal sign, if so more of a table's numbers can be read; else as they are."""
    texts = [c for c in columns if c.kind == "number" and str(given[c.name].dtype).startswith(TEXTS)]
    other = {c.name: replace(c, decimal="." if c.decimal == "," else ",") for c in texts}
    failures = sum(c.failures(given[c.name]) for c in texts)
    better = failures and sum(c.failures(given[name]) for name, c in other.items()) < failures
    return [other.get(c.name, c) if better else c for c in columns]


def check_readable(reasons: pl.Series, what: str = "table") -> None:
    """Raise a `DataError` that counts the rows with something wrong, if there are any, and says what the first has."""
    wrong = reasons.is_not_null().arg_true()
    if len(wrong):
        first = f"row {wrong[0] + 1}, {reasons[wrong[0]]}"
        raise DataError(f"The {what} has {len(wrong)} rows that cannot be read: {first}. Correct or drop them.")


def joined(reasons: Mapping[str, pl.Series], height: int) -> pl.Series:
    """Reasons of several columns in one text a row, null where there is none."""
    import polars as pl

    if not reasons:
        return pl.Series([None], dtype=pl.String).new_from_index(0, height)
    frame = pl.DataFrame([values.alias(str(place)) for place, values in enumerate(reasons.values())])
    return frame.select(pl.concat_str(pl.all(), separator="; ", ignore_nulls=True).replace("", None)).to_series()


def _column_from_dict(values: Any) -> ColumnPlan:
    known = {item.name for item in fields(ColumnPlan)}
    required = {item.name for item in fields(ColumnPlan) if item.default is REQUIRED}
    if not isinstance(values, Mapping) or not required <= set(values) <= known:
        got = sorted(values) if isinstance(values, Mapping) else repr(values)[:80]
        raise refuse("columns", f"mappings with the keys {sorted(required)} and any of {sorted(known - required)}", got)
    check_types(ColumnPlan, values)
    return ColumnPlan(**values)


def _toml_value(value: Any) -> str:
    """Texts as JSON writes them, but for one character that only TOML escapes."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
