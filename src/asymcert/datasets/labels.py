"""Which rows of a table are sensitive, and what the two classes are called."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asymcert._checks import refuse
from asymcert.datasets.columns import unnamed
from asymcert.datasets.parse import is_missing, numbers_of, stripped
from asymcert.datasets.problems import counted
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

MOST_LISTED = 10
ALIKE = 0.8  # similarity of two labels, from 0 to 1, of which one may be a slip
MOST_COMPARED = 200  # labels


@dataclass(frozen=True)
class Classes:
    """The two classes of a table.

    Parameters
    ----------
    sensitive, other
        Their names.
    y
        Which rows are sensitive, for each file.
    notes
        Which labels are which class, in words.
    """

    sensitive: str
    other: str
    y: list[NDArray[np.bool_]]
    notes: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> dict[str, int]:
        """Rows of each class in all files, by its name."""
        hostile = sum(int(each.sum()) for each in self.y)
        return {self.sensitive: hostile, self.other: sum(map(len, self.y)) - hostile}


def classes_of(
    labels: Sequence[pl.Series],
    sensitive: Sequence[object],
    harmless: Sequence[object] = (),
    mapped: Mapping[str, str] = MappingProxyType({}),
    fold: bool = True,
) -> Classes:
    """Tell the sensitive rows from the others.

    Parameters
    ----------
    labels
        The label column of each file.
    sensitive
        Labels that are sensitive.
    harmless
        Labels that are not. Without `sensitive`, all others are sensitive; with it, no others may be there.
    mapped
        Spellings, and the labels that they stand for.
    fold
        Whether labels that differ by case and by blanks around them are one.

    Raises
    ------
    InputError
        A label that no row has.
    DataError
        Labels are missing, of one class only, or neither sensitive nor harmless where both are named.
    """
    texts = [label_texts(values) for values in labels]
    missing = sum(values.null_count() for values in texts)
    name = labels[0].name
    if missing:
        raise DataError(f"Label column '{name}' has {missing} missing values. Drop these rows.")
    total = class_counts(texts)
    keys = {label: _key(mapped.get(label.strip(), label), fold) for label in total}
    known = sorted(class_counts(texts[:1]))
    numeric = not str(labels[0].dtype).startswith(("String", "Cat", "Enum", "Bool"))
    chosen = [_found(name, label, known, keys, fold, numeric, "sensitive") for label in sensitive]
    spared = [_found(name, label, known, keys, fold, numeric, "harmless") for label in harmless]
    hostile = {keys[label] for label in chosen} or set(keys.values()) - {keys[label] for label in spared}
    left = {label: n for label, n in total.items() if keys[label] not in hostile}
    _check_left(name, left, total, keys, chosen, spared)
    display = {key: next(label for label in total if keys[label] == key) for key in keys.values()}
    others = list(dict.fromkeys(display[keys[label]] for label in left))
    names = list(dict.fromkeys(display[keys[label]] for label in (chosen or spared)))
    if chosen:
        title, other = " or ".join(names), others[0] if len(others) == 1 else f"not {' or '.join(names)}"
    else:
        title, other = f"not {' or '.join(names)}", " or ".join(names)
    y = [values.is_in([label for label in total if keys[label] in hostile]).to_numpy() for values in texts]
    notes = _notes(name, {label: n for label, n in total.items() if keys[label] in hostile}, left)
    return Classes(title, other, y, notes + _folded(keys, total) + _alike(name, chosen, left))


def class_counts(labels: Sequence[pl.Series]) -> dict[str, int]:
    """Rows of each label in all files, the most frequent first; labels are texts."""
    counts = [dict(unnamed(values).value_counts(name="rows").rows()) for values in labels]
    total = {label: sum(each.get(label, 0) for each in counts) for each in counts for label in each}
    return dict(sorted(total.items(), key=lambda entry: (-entry[1], str(entry[0]))))


def settled(values: pl.Series) -> pl.Series:
    """Labels that are numbers, but for words for missing ones, as numbers; others as they are."""
    import polars as pl

    if values.dtype != pl.String or values.null_count() == len(values):
        return values
    numbers, absent = numbers_of(stripped(values)), is_missing(stripped(values))
    return numbers if (numbers.is_not_null() | absent).all() and numbers.null_count() < len(numbers) else values


def label_texts(values: pl.Series) -> pl.Series:
    """Labels as texts, null where they are missing."""
    import polars as pl

    values = unnamed(settled(values))
    texts = values.cast(pl.String)
    return texts.str.to_titlecase() if values.dtype == pl.Boolean else texts


def _key(label: str, fold: bool) -> str:
    return label.strip().casefold() if fold else label


def _found(
    name: str, wanted: object, known: Sequence[str], keys: Mapping[str, str], fold: bool, numeric: bool, option: str
) -> str:
    """The label of the first file that is the one wanted, which may come as text from a command line."""
    text = str(wanted)
    same = [label for label in known if label == text] or [label for label in known if keys[label] == _key(text, fold)]
    same = same or [label for label in known if str(wanted).lower() == label.lower() and label in ("True", "False")]
    same = same or [label for label in known if numeric and _is_number(text) and float(label) == float(text)]
    if same:
        return same[0]
    listed = ", ".join(known[:MOST_LISTED]) + (", ..." if len(known) > MOST_LISTED else "")
    raise refuse(option, f"a value of column '{name}' ({listed})", repr(wanted))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_left(
    name: str,
    left: Mapping[str, int],
    total: Mapping[str, int],
    keys: Mapping[str, str],
    chosen: Sequence[str],
    spared: Sequence[str],
) -> None:
    if not left or len(left) == len(total):
        kind = f"one value only, {next(iter(total))}" if len(set(keys.values())) == 1 else "no label of the other class"
        raise DataError(f"Label column '{name}' has {kind}. Provide rows of two classes.")
    allowed = {keys[label] for label in spared}
    neither = {label: count for label, count in left.items() if keys[label] not in allowed}
    if chosen and spared and neither:
        what = f"Label column '{name}' has labels that are neither sensitive nor harmless: {counted(neither.items())}"
        raise DataError(f"{what}. Name them too, or say by `label_map` (--label-map FROM=TO) what they stand for.")


def _notes(name: str, sensitive: Mapping[str, int], left: Mapping[str, int]) -> list[str]:
    parts = [f"{kind}: {counted(each.items(), 6)}" for kind, each in (("sensitive", sensitive), ("other", left))]
    return [f"label '{name}', rows of each; {'; '.join(parts)}"]


def _folded(keys: Mapping[str, str], total: Mapping[str, int]) -> list[str]:
    """Labels that are written in several ways."""
    ways: dict[str, list[str]] = {}
    for label in total:
        ways.setdefault(keys[label], []).append(label)
    return [f"taken for one label: {', '.join(map(repr, each))}" for each in ways.values() if len(each) > 1]


def _alike(name: str, chosen: Sequence[str], left: Mapping[str, int]) -> list[str]:
    """Labels of the other class that are spelled nearly as a sensitive one."""
    notes = []
    for label in chosen:
        for close in difflib.get_close_matches(label, list(left)[:MOST_COMPARED], MOST_LISTED, ALIKE):
            what = (
                f"'{close}' ({left[close]} rows) is spelled like the sensitive '{label}', but taken for the other class"
            )
            notes.append(f"label '{name}': {what}; if it is the same: --label-map {close}={label}")
    return notes
