"""What each column of a table is, found by looking at all of its values."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from asymcert._checks import check_choice, refuse, several
from asymcert.datasets.column_plan import ADDRESS_PARTS, ColumnPlan
from asymcert.datasets.kinds import (
    MOSTLY,
    counts_rows,
    has_decimal_commas,
    is_constant,
    is_identifier,
    is_port,
    known_texts,
    lonely,
    number_style,
    time_format,
)
from asymcert.datasets.parse import MISSING, is_missing, is_readable, numbers_of, octets_of, stripped, times_of
from asymcert.datasets.plan import Plan
from asymcert.datasets.problems import Problem, counted
from asymcert.datasets.table_files import RawTable
from asymcert.datasets.table_options import TableOptions
from asymcert.errors import InputError

if TYPE_CHECKING:
    import polars as pl

STYLES = {"bytes": "sizes in bytes", "truth": "true and false as 1 and 0"}
MOST_NAMED = 12  # columns in one note


@dataclass
class Found:
    """What a table's columns are, what was decided, in words, and what a user must decide."""

    columns: list[ColumnPlan] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        """The plan of all columns."""
        return Plan(tuple(self.columns))


def recognise(raw: RawTable, options: TableOptions, given: Plan | None = None) -> Found:
    """Find what the columns of a table are.

    Parameters
    ----------
    raw
        The table.
    options
        The user's. Without ``clean``, columns are numbers or text, and none is left out.
    given
        What is known already of some columns.

    Returns
    -------
    Found
        With a plan for every column but the label's.
    """
    decided = {} if given is None else {column.name: column for column in given.columns}
    decided |= {name: ColumnPlan(name, "dropped", "as you said") for name in options.drop}
    found = Found(notes=list(raw.notes), problems=[*raw.problems, *_misnamed(raw.frame.columns, options)])
    recogniser = _Recogniser(raw, options, found)
    for values in raw.frame.get_columns():
        if values.name != options.label:
            found.columns.append(decided.get(values.name) or recogniser.column(values))
    found.notes += _dropped_notes(found.columns) + _differences(raw.frame.columns, given, options.label)
    return found


def _differences(names: Sequence[str], given: Plan | None, label: str | None) -> list[str]:
    """What a plan says of columns that the table lacks, and which it says nothing of."""
    if given is None:
        return []
    known = [column.name for column in given.columns]
    gone = [repr(column.name) for column in given.used if column.name not in names]
    new = [repr(name) for name in names if name not in (*known, label)]
    lines = {"in the plan of columns, but not in the table": gone, "not in the plan of columns, so recognised": new}
    return [f"{line}: {', '.join(listed)}" for line, listed in lines.items() if listed]


def _misnamed(columns: Sequence[str], options: TableOptions) -> list[Problem]:
    """Options that name a column which the table does not have."""
    known, problems = dict.fromkeys(columns), []
    for name in ("label", "text", "drop", "category", "keep_column"):
        for column in several(getattr(options, name)):
            try:
                check_choice(name, column, known)
            except InputError as error:
                problems.append(Problem.of(error))
    return problems


class _Recogniser:
    """Decides on one column at a time; notes and problems go where those of all columns are collected."""

    def __init__(self, raw: RawTable, options: TableOptions, found: Found):
        self.raw, self.options, self.found = raw, options, found
        self.missing = (*MISSING, *options.missing)

    @cached_property
    def decimal(self) -> str:
        """The decimal sign of numbers that could have either: a comma if another column must have it."""
        texts = (values for values in self.raw.frame.get_columns() if _is_text(values))
        return "," if any(has_decimal_commas(values, self.missing) for values in texts) else "."

    def column(self, values: pl.Series) -> ColumnPlan:
        """What a column is."""
        name, options = values.name, self.options
        if not is_readable(values.dtype):
            what = f"Column '{name}' must hold numbers or text, got {values.dtype}"
            return self._undecided(what, "Convert or drop it.", ColumnPlan(name, "dropped", "lists or the like"))
        if values.null_count() == len(values):
            dropped = ColumnPlan(name, "dropped", "empty")
            return dropped if options.clean else self._undecided(f"Column '{name}' has no values at all", "", dropped)
        if name in options.text:
            if not _is_text(values) or not numbers_of(known_texts(values, self.missing)).null_count():
                self.found.problems.append(Problem.of(refuse("text", "a column of text", f"'{name}' of numbers")))
            return ColumnPlan(name, "text")
        if name in options.category:
            return ColumnPlan(name, "category", missing=options.missing)
        if not options.clean:
            return self._as_it_is(values)
        reason = None if name in options.keep_column else self._idle(values)
        if reason is not None:
            return ColumnPlan(name, "dropped", reason)
        if values.dtype.is_temporal():
            return self._times(values, "")
        return self._texts(values) if _is_text(values) else self._number(values, ColumnPlan(name, "number"))

    def _undecided(self, what: str, remedy: str, plan: ColumnPlan) -> ColumnPlan:
        self.found.problems.append(Problem(what, remedy or "Drop it.", (f"--drop={plan.name}",)))
        return plan

    def _as_it_is(self, values: pl.Series) -> ColumnPlan:
        """Numbers, where all values that are not missing are plain ones; else text."""
        if not _is_text(values):
            return self._number(values, ColumnPlan(values.name, "number"))
        texts = stripped(values)
        wrong = numbers_of(texts).is_null() & ~is_missing(texts)
        some = not (wrong | is_missing(texts)).all()
        if some and wrong.any():
            self._are_mostly(values.name, texts, wrong, "numbers")
        return ColumnPlan(values.name, "number" if some and not wrong.any() else "text")

    def _idle(self, values: pl.Series) -> str | None:
        """Why a column says nothing, if so."""
        first = self.raw.doubles.get(values.name)
        if first is not None and values.equals(self.raw.frame.get_column(first), check_names=False):
            return f"equal to the first column named '{first}'"
        if is_constant(values):
            return "constant"
        return "counts the rows" if counts_rows(values) else None

    def _number(self, values: pl.Series, plan: ColumnPlan) -> ColumnPlan:
        """Numbers, with what is to become of infinite ones."""
        plan = replace(plan, missing=self.options.missing)
        numbers = plan.parsed(values)[0].to_numpy()  # NaN where there is none
        finite = numbers[np.isfinite(numbers)]
        infinite = int(np.isinf(numbers).sum())
        if len(finite) == 0:
            return ColumnPlan(plan.name, "dropped", "empty")
        if is_port(plan.name) and self.options.clean:
            hint = f"--category {shlex.quote(plan.name)} tells the most frequent ones apart"
            self.found.notes.append(f"ports are no quantity: '{plan.name}' is read as a number; {hint}")
        rule = self.options.infinite or ("clip" if infinite and self.options.clean else "refuse")
        if infinite and rule == "refuse":
            remedy = "Replace them, drop the rows, or say what they become by `infinite` (--infinite clip or missing)."
            what = f"Column '{plan.name}' has {infinite} infinite values"
            self.found.problems.append(Problem(what, remedy, ("--infinite=clip",)))
        elif infinite:
            became = "became missing" if rule == "missing" else "clipped to the least and greatest finite one"
            self.found.notes.append(f"infinite: {infinite} values of '{plan.name}', {became}")
        if rule != "clip":
            return replace(plan, infinite=rule)
        return replace(plan, infinite=rule, least=float(finite.min()), greatest=float(finite.max()))

    def _texts(self, values: pl.Series) -> ColumnPlan:
        """What texts stand for."""
        name, known = values.name, known_texts(values, self.missing)
        if len(known) == 0:
            return ColumnPlan(name, "dropped", "empty")
        octets = octets_of(known)
        if self._are_mostly(name, known, octets[0].is_null(), "IPv4 addresses"):
            networks = zip(ADDRESS_PARTS[:3], octets, strict=False)
            parts = [part for part, numbers in networks if numbers.drop_nulls().n_unique() > 1]
            return self._in_parts(name, "address", parts, "addresses of one network")
        form = time_format(known)
        if form is not None and self._are_mostly(name, known, times_of(known, form).is_null(), "times"):
            return self._times(known.alias(name), form)
        decimal, unit = number_style(known, self.decimal)
        if self._are_mostly(name, known, numbers_of(known, decimal, unit).is_null(), "numbers"):
            if style := _style(known, decimal, unit):
                self.found.notes.append(f"numbers: '{name}' ({known[0]!r}), {style}")
            return self._number(values, ColumnPlan(name, "number", decimal=decimal, unit=unit))
        return self._names(name, known)

    def _names(self, name: str, known: pl.Series) -> ColumnPlan:
        """Categories; running text where it is all that there is; an identifier where nearly all are different."""
        if self.raw.frame.width <= 2:
            return ColumnPlan(name, "text")
        if name not in self.options.keep_column and is_identifier(known):
            return ColumnPlan(name, "dropped", "nearly all different (--text if these are words)")
        if name not in self.options.category:
            self._note_missing(name)
        return ColumnPlan(name, "category", missing=self.options.missing)

    def _note_missing(self, name: str) -> None:
        """Say which values of a category look like none; numbers take them for that."""
        texts = stripped(self.raw.frame.get_column(name)).drop_nulls()
        words = texts.filter(is_missing(texts) & ~is_missing(texts, ("", *self.options.missing)))
        if len(words):
            counts = words.alias("value").value_counts(sort=True, name="rows").rows()
            flags = " ".join(shlex.quote(f"--missing={word}") for word, _ in counts)
            self.found.notes.append(f"values like none: {counted(counts)} of '{name}', categories so far; {flags}")

    def _times(self, values: pl.Series, form: str) -> ColumnPlan:
        """Hour and weekday, not the day itself: all rows to come would be beyond training's range."""
        times = times_of(values, form).drop_nulls()
        counts = {"hour": times.dt.time().n_unique(), "weekday": times.dt.weekday().n_unique()}
        parts = [part for part, count in counts.items() if count > 1]
        if form.startswith("%m/%d") and (times.dt.day() <= 12).all():
            self.found.notes.append(
                f"months first: '{values.name}' could also have days first; its time_format says so"
            )
        return self._in_parts(values.name, "date", parts, "times of one hour and weekday", form)

    def _in_parts(self, name: str, kind: str, parts: list[str], idle: str, form: str = "") -> ColumnPlan:
        """A column that becomes several; left out for the reason `idle` if none of them varies."""
        if not parts:
            return ColumnPlan(name, "dropped", idle)
        self.found.notes.append(f"{kind}: '{name}' became {' and '.join(parts)}; leave it out if it says who or when")
        return ColumnPlan(name, kind, missing=self.options.missing, time_format=form, parts=parts)

    def _are_mostly(self, name: str, known: pl.Series, wrong: pl.Series, what: str) -> bool:
        """Whether texts are meant to be numbers, times or addresses; the few that are none are a problem."""
        count = int(wrong.sum())
        if count > (1 - MOSTLY) * len(known):
            return False
        if count:
            words = known.filter(wrong).value_counts(sort=True).rows() + lonely(known)
            remedy = (
                "Say that they mean no value by `missing` (--missing WORD), correct them, or drop the column "
                f"(--drop {shlex.quote(name)})."
            )
            listed = counted(words)
            what = f"Column '{name}' holds {what}, but in {count} of {len(known)} rows {listed}"
            self.found.problems.append(Problem(what, remedy, tuple(f"--missing={word}" for word, _ in words)))
        return True


def _is_text(values: pl.Series) -> bool:
    return not values.dtype.is_numeric() and not values.dtype.is_temporal() and str(values.dtype) != "Boolean"


def _style(known: pl.Series, decimal: str, unit: str) -> str:
    """How numbers are written, in words, where it does not go without saying."""
    if unit:
        return STYLES.get(unit, f"in {unit}")
    if decimal == ",":
        return "with decimal commas"
    return "with commas between thousands" if known.str.contains(",", literal=True).any() else ""


def _dropped_notes(columns: list[ColumnPlan]) -> list[str]:
    """One line for each reason why columns are left out."""
    reasons: dict[str, list[str]] = {}
    for column in columns:
        if column.kind == "dropped":
            reasons.setdefault(column.why, []).append(repr(column.name))
    return [f"left out, {why}: {_listed(names)}" for why, names in reasons.items()]


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
