"""How a reader sees each character of Unicode: the table, from Unicode's own data and its look-alikes (TR39)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from confusable_homoglyphs.confusables import confusables_data

from asymcert.texts.characters import HANGUL, SYLLABLES, Characters

ASSIGNED = (
    range(0x40000),
    range(0xE0000, 0xE0200),
    range(0x10FFFF, 0x110000),
)  # the rest is as what follows: not in use
UNSEEN = {*map(chr, (0x115F, 0x1160, 0x3164, 0xFFA0)), *map(chr, range(0xFFF9, 0xFFFE))}  # fillers, marks of damage
UNSEEN_KINDS = {"Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"}
LETTER = re.compile(r"(?:.* )?LATIN (?:SMALL |CAPITAL )?LETTER (?:SMALL CAPITAL )?([A-Z])(?: WITH (?!SMALL).*)?")
ODD_LETTER = re.compile(
    r"LATIN (?:SMALL |CAPITAL )?LETTER (?:[A-Z]+ )*([A-Z])(?: WITH .*)?|.*INDICATOR SYMBOL LETTER (.)"
)
SEEN_AS = dict.fromkeys("əɛεƏƐ", "e") | dict.fromkeys("ßẞ", "ss") | {"©": "©", "®": "®"}  # where the data see others
MARKS = {  # punctuation by a part of its name, in this order
    "INVERTED": " ",
    "QUESTION MARK": "?",
    "EXCLAMATION MARK": "!",
    "APOSTROPHE": "'",
    "SINGLE": "'",
    "QUOTATION MARK": '"',
    "COMMA": ", ",
    "FULL STOP": ". ",
    "DANDA": ". ",
    "BULLET": ".",
    "MIDDLE DOT": ".",
    "HYPHENATION POINT": ".",
    "COLON": ":",
}
BY_KIND = {"Pd": "-", "Pc": "_", "Pi": '"', "Pf": '"', "Ps": " ", "Pe": " ", "Po": " ", "Sk": ""}
OF_THEIR_OWN = ("CJK ", "HIRAGANA ", "KATAKANA ", "YI SYLLABLE ")  # written without spaces: each a word


@lru_cache(1)
def characters() -> Characters:
    """The table of this Python's Unicode; it takes about half a second to make."""
    becomes: dict[str, list[str]] = {}
    dropped, apart = Ranges(), Ranges()
    for code in (code for part in ASSIGNED for code in part):
        one, target = chr(code), settled(chr(code))
        dropped.see(code, target == "")
        apart.see(code, target == f" {one} ")
        if target not in ("", one, f" {one} "):
            becomes.setdefault(target, []).append(one)
    return Characters({target: "".join(each) for target, each in becomes.items()}, dropped.ends, apart.ends)


class Ranges:
    """Ends of ranges of code points, seen in rising order: the first, past the last, ...; what is between is unseen."""

    def __init__(self) -> None:
        self.ends: list[int] = []

    def see(self, code: int, chosen: bool) -> None:
        """Take `code` as chosen or not."""
        if chosen != len(self.ends) % 2:
            self.ends.append(code)


def settled(character: str) -> str:
    """What a character becomes in the end: every part of it becomes itself, symbols with a space on both sides."""
    before, target = character, look(character)
    while target and target != before:
        before, target = target, "".join(map(look, target))
    return target and "".join(f" {one} " if stands_apart(one) else one for one in target)


def stands_apart(character: str) -> bool:
    """Whether a character that stays is no letter of a word: a currency, an emoji, an ideograph."""
    if character.isascii():
        return False
    symbol = unicodedata.category(character) in ("Sc", "Sm", "So")
    return symbol or unicodedata.name(character, "").startswith(OF_THEIR_OWN)


def look(character: str) -> str:
    """One step: what the character is seen as."""
    kind = unicodedata.category(character)
    if character.isspace() or character == "\u2800":  # an empty pattern of Braille
        return " "
    if kind in UNSEEN_KINDS or character in UNSEEN:
        return ""
    if character.isascii():
        return character.lower()
    if character in SEEN_AS:
        return SEEN_AS[character]
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    if kind == "Lo" and character not in confusables_data and not unicodedata.decomposition(character):
        return character
    return _letter(character) or _parts(character) or (_sign if kind[0] in "PS" else _cased)(character, kind)


def _letter(character: str) -> str:
    name = unicodedata.name(character, "")
    found = LETTER.fullmatch(name) if "LATIN" in name else None
    return found.group(1).lower() if found else ""


def _parts(character: str) -> str:
    """What it is composed of, if that is something else; a syllable stays for the table's arithmetic."""
    parts = unicodedata.normalize("NFKD", character)
    if parts == character or HANGUL <= ord(character) < HANGUL + SYLLABLES:
        return ""
    return "".join(map(look, parts)) or " "


def _sign(character: str, kind: str) -> str:
    """A sign of punctuation becomes the nearest in ASCII; other symbols stay unless they pass for a letter."""
    name = unicodedata.name(character, "")
    odd = ODD_LETTER.fullmatch(name)
    if odd:
        return odd.group(odd.lastindex or 0).lower()
    if kind[0] == "P":
        marks = [mark for part, mark in MARKS.items() if part in name]
        return marks[0] if marks else _like(character, str.isprintable).lower() or BY_KIND[kind]
    if kind == "Sc":
        return character
    return BY_KIND.get(kind, _like(character, lambda text: text != "l").lower() or character)


def _cased(character: str, kind: str) -> str:
    """A letter is what it looks like; else what its other case looks like; else its lower case."""
    name = unicodedata.name(character, "")
    if name.startswith(OF_THEIR_OWN):
        return character
    alike = _like(character, str.isalpha) or _like(character, _is_quote)
    if alike:
        return "i" if alike == "l" and kind == "Lu" else alike.lower()  # the skeleton of I is l
    odd = ODD_LETTER.fullmatch(name)
    if odd:
        return odd.group(odd.lastindex or 0).lower()
    folded = character.casefold()
    if folded != character:
        return "".join(map(look, folded))
    return _like(character.swapcase(), str.isalpha).lower() or character


def _is_quote(text: str) -> bool:
    return text in ("'", '"')


def _like(character: str, wanted: Callable[[str], bool]) -> str:
    """The sign of ASCII that Unicode's look-alikes (TR39) give for it; several only for a Latin ligature."""
    found = [_plain(alike["c"]) for alike in confusables_data.get(character, [])]
    latin = "LATIN" in unicodedata.name(character[:1], "")
    found = [text for text in found if text and wanted(text) and (len(text) == 1 or latin)]
    return min(found, key=len, default="")


def _plain(text: str) -> str:
    """A look-alike without its marks, if that is ASCII."""
    shown = [one for one in text if unicodedata.category(one) not in UNSEEN_KINDS]
    plain = "".join(one if one.isascii() else _letter(one) or " " for one in shown)
    return "" if " " in plain else {"rn": "m", "''": '"'}.get(plain, plain)
