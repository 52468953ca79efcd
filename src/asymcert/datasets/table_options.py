"""What a user may say about a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from asymcert._checks import check_choice, check_count, check_number, option, refuse, several
from asymcert.datasets.column_plan import INFINITE
from asymcert.datasets.scaling import IMPUTATIONS, SCALINGS
from asymcert.datasets.table_files import RAGGED
from asymcert.errors import DataError
from asymcert.texts.options import TextOptions


@dataclass(frozen=True)
class TableOptions(TextOptions):
    """What to make of a table; the fields are arguments of `load_table`, where they are described."""

    label: str | None = option(None, "Table: name of the label column.")
    drop: Sequence[str] = option((), "Table: column to leave out; repeat for more.")
    impute: str | None = option(None, "Table: fill missing values, also of columns that had none.", IMPUTATIONS)
    scaling: str = option("quantile", "Table: how numbers become inputs.", SCALINGS)
    text: Sequence[str] = option((), "Table: column of running text; repeat for more.")
    categories: int = option(20, "Table: most values of a text column with an input of their own; the rest share one.")
    words: int | None = option(None, "Table: so many hashed counts of words for running text, no vocabulary.", low=1)
    harmless: Sequence[str] = option((), "Table: a harmless class, repeat for more; all others are sensitive.")
    label_map: Sequence[str] = option((), "Table: FROM=TO, a spelling of a label and what it stands for; repeatable.")
    category: Sequence[str] = option((), "Table: column of numbers that are names, such as ports; repeat for more.")
    keep_column: Sequence[str] = option((), "Table: column to keep that looks like an identifier; repeat for more.")
    missing: Sequence[str] = option((), "Table: word that means that there is no value; repeat for more.")
    infinite: str | None = option(None, "Table: what infinite numbers become, by default clip.", INFINITE)
    names: str | None = option(None, "Table: names of columns without a header: a,b,c or a file with one a line.")
    ragged: str = option("refuse", "Table: lines of too few or too many fields.", RAGGED)
    columns: str | None = option(None, "Table: file that says what each column is, such as a run's columns.toml.")
    limit: int | None = option(None, "Table: use only so many rows, drawn at random with the classes' shares.", low=1)
    validation: float = option(0.2, "Table: share of the rows that are not for test by which thresholds are chosen.")
    clean: bool = option(True, "Table: recognise marks, dates, addresses and identifiers, or take columns as they are.")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "text", several(self.text))
        for item in fields(self):
            if item.type == "Sequence[str]":
                self._check_sequence(item.name)
        check_choice("scaling", self.scaling, SCALINGS)
        check_choice("impute", self.impute or IMPUTATIONS[0], IMPUTATIONS)
        check_choice("infinite", self.infinite or INFINITE[0], INFINITE)
        check_choice("ragged", self.ragged, RAGGED)
        check_count("categories", self.categories)
        for name in ("words", "limit"):
            check_count(name, 1 if getattr(self, name) is None else getattr(self, name))
        check_number("validation", self.validation, 0.01, 0.9)
        if self.label in self.drop:
            raise refuse("drop", "without the label column", repr(self.drop))
        for pair in self.label_map:
            if "=" not in pair:
                raise refuse("label_map", "made of pairs FROM=TO", repr(pair), "Example: --label-map benin=benign")

    def _check_sequence(self, name: str) -> None:
        given = getattr(self, name)
        if isinstance(given, str) or not all(isinstance(each, str) for each in given):
            raise refuse(name, "a sequence of texts, such as column names", repr(given), f"Write {name}=('name',).")
        object.__setattr__(self, name, tuple(given))

    @property
    def header(self) -> list[str] | None:
        """The names of columns that were given, in order."""
        if self.names is None:
            return None
        if not Path(self.names).is_file():
            return self.names.split(",")
        try:
            return Path(self.names).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise DataError(f"{self.names}: cannot be read as names of columns ({error}). Check the file.") from None
