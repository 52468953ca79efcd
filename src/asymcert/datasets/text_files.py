"""Tables written as text, in the encodings, separators and layouts that people save them in."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asymcert._checks import refuse
from asymcert.datasets.problems import Problem
from asymcert.errors import DataError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
MOST_COLUMNS = 2**17  # each takes time, however short its name
LONGEST_HEADER = 2**24  # bytes
MOST_LISTED = 10  # lines that a message names
LOOKED_AT = 100  # lines that tell the separator and the header
LONGEST_LOOK = 2**20  # bytes of them
MOST_TITLES = 20  # lines above a header
CHUNK = 2**24  # bytes
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class TextTable:
    """A table's text, ready to be parsed.

    Parameters
    ----------
    header
        Names of the columns, as the file has them.
    header_line
        The header itself; empty where the names were given.
    body
        What stands below it: UTF-8, lines parted by line feeds.
    separator
        One character.
    first_line
        Number of the body's first line in the file, from 1.
    notes
        What was taken for what, where it goes without saying only in plain CSV files.
    problems
        What a user must decide.
    """

    header: list[str]
    header_line: bytes
    body: bytes
    separator: str
    first_line: int
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def decoded(path: Path, content: bytes) -> tuple[bytes, list[str]]:
    """The content as UTF-8 without its mark, its lines parted by line feeds, and what encoding was taken, if not that.

    Raises
    ------
    DataError
        The content is no text.
    """
    encoding = next((name for mark, name in BOMS.items() if content.startswith(mark)), None)
    notes = []
    try:
        if encoding == "utf-16":
            notes, content = ["encoding: UTF-16"], content.decode(encoding).encode()
        content.decode()
    except UnicodeDecodeError as error:
        if encoding:
            raise _no_text(path, error.start) from None
        notes, content = [f"encoding: Windows-1252, since byte {error.start} is no UTF-8"], _windows(path, content)
    content = content.replace(codecs.BOM_UTF8, b"")  # joined files have it in the middle too
    if b"\0" in content:
        raise _no_text(path, content.index(b"\0"))
    return content if b"\n" in content else content.replace(b"\r", b"\n"), notes


def _windows(path: Path, content: bytes) -> bytes:
    try:
        return content.decode("cp1252").encode()
    except UnicodeDecodeError as error:
        raise _no_text(path, error.start) from None


def _no_text(path: Path, place: int) -> DataError:
    return DataError(f"{path}: cannot be read as a table: byte {place} is no text. Save it as text in UTF-8.")


def laid_out(path: Path, content: bytes, names: Sequence[str] | None = None) -> TextTable:
    """Find separator and header of a decoded text; `names` are given where it has no header.

    Raises
    ------
    InputError
        Other than as many `names` as there are columns.
    DataError
        More than 2^17 columns, or a first line that holds values.
    """
    look = content[:LONGEST_LOOK].decode(errors="ignore")
    separator = max(SEPARATORS, key=lambda mark: _agreement(_fields(look, mark)))
    counts = _fields(look, separator)
    titles = 0 if names else _titles(counts)
    notes = [] if separator == "," else [f"separator: {SEPARATORS[separator]}"]
    rest = content
    for _ in range(titles):
        title, _, rest = rest.partition(b"\n")
        notes.append(f"left out above the header: {title.decode().strip()[:80]!r}")
    if names is not None:
        if counts and len(names) != _width(counts):
            raise refuse("names", f"{_width(counts)} names, one for each column of {path}", f"{len(names)}")
        return TextTable(list(names), b"", rest, separator, 1, notes)
    header = _header(path, rest, separator)
    end = _end_of_record(rest)
    above = titles + rest.count(b"\n", 0, end)
    return TextTable(header, rest[:end], rest[end:], separator, above + 1, notes)


def _fields(look: str, separator: str) -> list[int]:
    """Numbers of fields of the first lines that are not blank."""
    lines = csv.reader(io.StringIO(look, newline=""), delimiter=separator)
    counts: list[int] = []
    try:
        for line in lines:
            counts += [len(line)] if line else []
            if len(counts) == LOOKED_AT:
                break
    except csv.Error:  # a field of more than 2^17 characters
        pass
    return counts


def _agreement(counts: list[int]) -> tuple[float, int]:
    """How far a separator explains the lines: the share that have as many fields as most, and how many those are."""
    width = _width(counts)
    return (counts.count(width) / len(counts), width) if width > 1 else (0.0, 0)


def _width(counts: list[int]) -> int:
    return Counter(counts).most_common(1)[0][0] if counts else 0


def _titles(counts: list[int]) -> int:
    """How many lines stand above the header: lines of one field above those of the table's width."""
    width = _width(counts)
    above = next((place for place, count in enumerate(counts) if count == width), 0)
    return above if width > 1 and above <= MOST_TITLES and all(count == 1 for count in counts[:above]) else 0


def _header(path: Path, content: bytes, separator: str) -> list[str]:
    """Names of the columns, from the first record."""
    with io.TextIOWrapper(io.BytesIO(content[:LONGEST_HEADER]), "utf-8", "replace", "") as lines:
        header = next(csv.reader(lines, delimiter=separator), [])
    if len(header) > MOST_COLUMNS:
        raise DataError(f"{path}: has {len(header)} columns, at most {MOST_COLUMNS} can be read. Leave some out.")
    if _like_values(header):
        shown = ", ".join(header[:5])
        raise DataError(
            f"{path}: its first line looks like values ({shown}), not like names of columns. "
            "Give names in order as `names` (--names a,b,c, or a file with one a line), or write them above it."
        )
    return header


def _like_values(header: Sequence[str]) -> bool:
    """Whether half of the names are numbers, which do not just count the columns."""
    numbers = [name for name in header if _is_number(name)]
    if len(numbers) < max(1, len(header) / 2):
        return False
    return numbers not in ([str(place + start) for place in range(len(numbers))] for start in (0, 1))


def _is_number(text: str) -> bool:
    try:
        float(text.strip().replace(",", "."))
    except ValueError:
        return False
    return True


def _end_of_record(content: bytes) -> int:
    """Where the first record ends: behind the first line feed that is not in quotes."""
    begin, quotes = 0, 0
    while end := content.find(b"\n", begin) + 1:
        quotes += content.count(b'"', begin, end)
        if quotes % 2 == 0:
            return end
        begin = end
    return len(content)


def with_whole_lines(table: TextTable, ragged: str = "refuse") -> TextTable:
    """The table without blank lines, the header again, and lines of too few or too many fields.

    Those are counted as a problem, or as a note where `ragged` is ``"skip"``; ``"fill"`` leaves all lines as they are.
    """
    if ragged == "fill":
        return table
    ends, counts = _records(table.body, table.separator)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(ends)]
    first = np.frombuffer(table.body, np.uint8)[starts] if len(starts) else starts
    width = len(table.header)
    blank = (counts == 1) & np.isin(first, (ord("\n"), ord("\r"))) & (width > 1)
    again = np.isin(starts, list(_places(table.body, table.header_line)))
    wrong = np.flatnonzero((counts != width) & ~blank)
    notes, problems = list(table.notes), list(table.problems)
    if again.any():
        notes.append(f"left out: the header, which stands in the middle again, {again.sum()} times")
    if len(wrong):
        lines = [table.first_line + table.body.count(b"\n", 0, start) for start in starts[wrong[:MOST_LISTED]].tolist()]
        what = _ragged_text(lines, counts[wrong], width)
        if ragged == "skip":
            notes.append(f"left out: {what}")
        else:
            remedy = "Mend them, or leave them out by `ragged` (--ragged skip)."
            problems.append(Problem(what, remedy, ("--ragged=skip",)))
    left_out = (counts != width) | blank | again
    body = b"".join(_kept(table.body, starts, ends, left_out)) if left_out.any() else table.body
    return replace(table, body=body, notes=notes, problems=problems)


def _places(body: bytes, line: bytes) -> Iterator[int]:
    """Where a line stands in the body."""
    if not line.strip():
        return
    if body.startswith(line):
        yield 0
    place = body.find(b"\n" + line)
    while place >= 0:
        yield place + 1
        place = body.find(b"\n" + line, place + 1)


def _ragged_text(lines: list[int], counts: NDArray[np.int64], width: int) -> str:
    listed = ", ".join(f"{line} ({count})" for line, count in zip(lines, counts, strict=False))
    more = f" and {len(counts) - len(lines)} more" if len(counts) > len(lines) else ""
    return f"{len(counts)} lines have not the {width} fields of the header: line {listed}{more}"


def _kept(body: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64], left_out: NDArray[np.bool_]) -> Iterator:
    """What stands between the records that are left out."""
    begin = 0
    for place in np.flatnonzero(left_out).tolist():
        yield body[begin : starts[place]]
        begin = ends[place]
    yield body[begin:]


def _records(body: bytes, separator: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each record ends, and its number of fields: what is in quotes parts nothing."""
    quotes, fields_before = 0, 0
    ends, counts = [], []
    for begin in range(0, len(body), CHUNK):
        part = np.frombuffer(body, np.uint8, min(CHUNK, len(body) - begin), begin)
        marks = np.flatnonzero((part == ord(separator)) | (part == ord("\n")) | (part == ord('"')))
        kinds = part[marks]
        inside = (np.cumsum(kinds == ord('"')) + quotes) % 2 == 1
        quotes += int((kinds == ord('"')).sum())
        outside = ~inside & (kinds != ord('"'))
        marks, kinds = marks[outside], kinds[outside]
        lines = np.flatnonzero(kinds == ord("\n"))
        if len(lines):
            counted = np.diff(lines, prepend=-1)
            counted[0] += fields_before
            counts.append(counted)
            ends.append(marks[lines] + begin + 1)
            fields_before = 0
        fields_before += len(kinds) - (int(lines[-1]) + 1 if len(lines) else 0)
    if body and not body.endswith(b"\n"):
        ends.append(np.array([len(body)]))
        counts.append(np.array([fields_before + 1]))
    empty = np.empty(0, np.int64)
    return np.concatenate([empty, *ends]), np.concatenate([empty, *counts])
