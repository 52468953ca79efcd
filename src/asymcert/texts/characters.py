"""What each character of Unicode becomes in a canonical form: one table, stored with the model that learned with it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from asymcert._checks import check_types, refuse

HANGUL, VOWELS, TAILS = 0xAC00, 21, 28  # the syllables are in the order of their jamo: lead, vowel, tail
SYLLABLES = 19 * VOWELS * TAILS
LEAD, VOWEL, TAIL = 0x1100, 0x1161, 0x11A7
PRINTABLE = "".join(map(chr, range(32, 127)))
LONGEST = 32  # characters that one character becomes: a ligature of Arabic makes 18


class Characters(dict[int, "str | int"]):
    """A table for `str.translate`, filled as characters are met; those it does not name stay as they are.

    Attributes
    ----------
    becomes
        What characters become -> those characters.
    dropped, apart
        Ends of ranges of code points, the first, past the last, the next first, ...: those that become nothing, and
        those that become words of their own, a space before and after.
    """

    def __init__(self, becomes: Mapping[str, str], dropped: Sequence[int], apart: Sequence[int]) -> None:
        super().__init__({ord(one): target for target, sources in becomes.items() for one in sources})
        self.becomes, self.dropped, self.apart = dict(becomes), list(dropped), list(apart)

    def __eq__(self, other: object) -> bool:
        """Whether they say the same, whatever characters were met."""
        return isinstance(other, Characters) and self.to_dict() == other.to_dict()

    def __missing__(self, code: int) -> str | int:
        self[code] = self._by_range(code)
        return self[code]

    def _by_range(self, code: int) -> str | int:
        if bisect_right(self.dropped, code) % 2:
            return ""
        if bisect_right(self.apart, code) % 2:
            return f" {chr(code)} "
        return jamo(code - HANGUL) if HANGUL <= code < HANGUL + SYLLABLES else code

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON can hold, for `from_dict`."""
        return {"becomes": self.becomes, "dropped": self.dropped, "apart": self.apart}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Characters:
        """The table that `to_dict` described.

        Raises
        ------
        InputError
            It is no such description, or a character becomes something that becomes something else.
        """
        if not isinstance(values, dict) or set(values) != {"becomes", "dropped", "apart"}:
            raise refuse("characters", "a table with becomes, dropped and apart", "another", "Train again.")
        check_types(_described, values)
        for name in ("dropped", "apart"):
            ends = values[name]
            if any(low >= high for low, high in pairwise(ends)):
                raise refuse(name, "ends of ranges in rising order", ends)
        table = cls(**values)
        table._check_targets()
        return table

    def _check_targets(self) -> None:
        if PRINTABLE.translate(self) != PRINTABLE.lower():
            raise refuse("becomes", "a table that leaves ASCII in lower case", "another", "Train again.")
        for target in self.becomes:
            if len(target) > LONGEST or target.translate(self).split() != target.split():
                raise refuse("becomes", "of short texts that become themselves", repr(target), "Train again.")


def _described(becomes: dict[str, str], dropped: Sequence[int], apart: Sequence[int]) -> None:
    """The types of a stored table."""


def jamo(index: int) -> str:
    """The two or three letters of the Hangul syllable of this index, as Unicode decomposes it."""
    lead, rest = divmod(index, VOWELS * TAILS)
    vowel, tail = divmod(rest, TAILS)
    return chr(LEAD + lead) + chr(VOWEL + vowel) + (chr(TAIL + tail) if tail else "")
