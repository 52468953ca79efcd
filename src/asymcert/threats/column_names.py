"""Names of columns as people write them: patterns, and what was probably meant."""

from __future__ import annotations

import difflib
import re

MOST_LISTED = 12  # columns that an error message offers
MOST_COMPARED, LONGEST_COMPARED = 500, 60  # columns, and characters of each, that it chooses from


def pattern_of(name: str) -> re.Pattern[str]:
    """Names with anything for each ``*``; parts are taken at their first place, once, so that time is linear."""
    first, *parts = map(re.escape, name.split("*"))
    end = f".*{parts.pop()}" if parts else ""
    return re.compile(first + "".join(f"(?>.*?{part})" for part in parts) + end, re.DOTALL)


def nearest(name: str, names: list[str]) -> str:
    """The names that are most alike, for an error message."""
    compared = [known[:LONGEST_COMPARED] for known in names[:MOST_COMPARED]]
    listed = difflib.get_close_matches(name[:LONGEST_COMPARED], compared, MOST_LISTED, 0.0)
    rest = f" and {len(names) - len(listed)} more" if len(names) > len(listed) else ""
    return f"one of {listed}{rest}"
