"""Other ways to write the same letters: what a reader hardly sees, and a classifier of strings trips over."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import numpy as np

CYRILLIC = str.maketrans("aceopxyijsABCEHKMOPTXSIJ", "асеорхуіјѕАВСЕНКМОРТХЅІЈ")
GREEK = str.maketrans("aovinuABEHIKMNOPTXYZ", "αονιηυΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
BOLD = {ord("a") + place: 0x1D41A + place for place in range(26)} | {
    ord("A") + place: 0x1D400 + place for place in range(26)
}
CIRCLED = {ord("a") + place: 0x24D0 + place for place in range(26)}
INVISIBLE = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u180e", "\u202e", "\U000e0061", "\x01")
MARKS = ("\u0301", "\u0308", "\u0327", "\u0336", "\u20dd")  # that combine with the letter before
SPACES = ("\u00a0", "\t", "  ", "\u2003", "\n", "\r\n", " \u3000", "\u2028")
BETWEEN = (", ", "; ", " - ", "... ", " | ", ". ", " * ", "/", " ¶ ", "! ", " ~ ", " 💥 ")
SHARES = (1.0, 0.5, 0.1)  # of the letters, or gaps, that are changed


def disguises(text: str, generator: np.random.Generator) -> Iterator[str]:
    """A text in every disguise that is known here, of all its letters or gaps, of some and of few."""
    for share in SHARES:
        for letter in _letters():
            yield "".join(
                letter(each) if each.isalnum() and chosen else each for each, chosen in _drawn(text, share, generator)
            )
        for space in (*SPACES, *BETWEEN):
            parts = re.split(r"(\s+)", text)
            yield "".join(
                space if each.isspace() and chosen else each for each, chosen in _drawn(parts, share, generator)
            )
    yield from (text.upper(), text.lower(), text.title(), text.swapcase(), f"  {text}\n", f"\ufeff{text}\u0000")
    yield from (unicodedata.normalize(form, text) for form in ("NFD", "NFKC", "NFKD"))
    yield re.sub(r"[^\w\s]", "", text)
    yield re.sub(r"[.!?\n]+", " ", text)


def _letters() -> list[Callable[[str], str]]:
    """What may become of one letter."""
    tables = [str.maketrans(each) if isinstance(each, str) else each for each in (CYRILLIC, GREEK, WIDE, BOLD, CIRCLED)]
    added = [*INVISIBLE, *MARKS, "\u0301" * 50, ".", " ", "-", "_"]
    return [
        *(lambda letter, table=table: letter.translate(table) for table in tables),
        *(lambda letter, mark=mark: letter + mark for mark in added),
        str.swapcase,
        lambda letter: letter * 4,
    ]


def _drawn(parts: Sequence[str], share: float, generator: np.random.Generator) -> Iterator[tuple[str, bool]]:
    """Each part, and whether it is among the chosen."""
    return zip(parts, (generator.random(len(parts)) < share).tolist(), strict=True)
