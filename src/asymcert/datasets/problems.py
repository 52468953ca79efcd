"""What is wrong with a table: each with its remedy, all of them in one message."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from asymcert.errors import AsymcertError, DataError


@dataclass(frozen=True)
class Problem:
    """Something that a user must decide.

    Parameters
    ----------
    what
        A sentence, without its full stop if there is a remedy.
    remedy
        What to do, as a sentence.
    flags
        Command-line options that settle it, such as ``--drop=a``; empty where the file must be changed.
    error
        What is raised for it where it is the only one; by default a `DataError`.
    """

    what: str
    remedy: str
    flags: tuple[str, ...] = ()
    error: AsymcertError | None = None

    @classmethod
    def of(cls, error: AsymcertError) -> Problem:
        """The problem that an error tells of."""
        return cls(str(error), "", error=error)

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}" if self.remedy else self.what


def refuse_problems(path: object, problems: Iterable[Problem]) -> None:
    """Raise one `DataError` with all problems of a file and the options that settle them, if there is any."""
    found = list(problems)
    if len(found) == 1:
        raise found[0].error or DataError(f"{path}: {found[0]}")
    if found:
        listed = " ".join(f"({number}) {problem}" for number, problem in enumerate(found, 1))
        options = shlex.join(dict.fromkeys(flag for problem in found for flag in problem.flags))
        settled = f" Options that settle them: {options}" if options else ""
        raise DataError(f"{path}: {len(found)} problems: {listed}{settled}")


def counted(values: Iterable[tuple[object, int]], most: int = 10) -> str:
    """``'unknown' (5), '_' (4)`` of pairs of values and counts; the first `most` of them."""
    pairs = list(values)
    more = f" and {len(pairs) - most} more" if len(pairs) > most else ""
    return ", ".join(f"{value!r} ({count})" for value, count in pairs[:most]) + more
