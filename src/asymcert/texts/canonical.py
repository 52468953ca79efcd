"""The canonical form of a text: what a change of look-alikes, case, spacing or invisible characters leaves as it was.

After the table of characters come rules for ASCII alone, which `features.js` repeats. They are few, each takes linear
time, and one more pass changes nothing: a form is its own form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asymcert._checks import check_types, option, refuse
from asymcert.texts.characters import Characters

RULES = 1  # the number of the rules below, stored with each form
CHUNK = 2000  # texts that are treated as one, with line breaks between, which no form holds
DIGITS = str.maketrans("013457", "oieast")
OPENING = r"""[^ \n("\[]"""  # after none of these a word may begin
AFTER = r"""(?![^ \n,;:.!?)'"\]])"""  # where a word may end
LAST = r"""(?=[,;:.!?)'"\]]*(?:[ \n]|(?![^\n])))"""  # nothing but marks up to a space
AT = re.compile(r"@(?<=[a-z0-9]@)(?=[a-z0-9])(?![a-z0-9-]*\.[a-z0-9])")
DOLLAR = re.compile(r"\$(?<!\$\$)\$*(?=[a-z])")
DIGIT_IN_WORD = re.compile(  # after a letter, before one, or between words
    rf"[0-9](?:(?<=[a-z].)[0-9]{{0,2}}(?![0-9])|(?<![0-9$].)[0-9]{{0,2}}(?=[a-z])|(?<!{OPENING}.){LAST})"
)
APART = re.compile(  # from the joint after the first of the single letters
    rf"([ ._*-])(?=[a-z013457]\1)(?<=[a-z013457].)(?<!{OPENING}..)(?:(?<=[a-z].)|(?=[a-z]))"
    rf"[a-z013457](?:\1[a-z013457])+{AFTER}(?:\.(?=[,;:!?]))?"
)
JOINTS = str.maketrans("", "", " ._*-")
SPACES = re.compile(r" (?=[ ,;:.!?)])")  # none before another, none before a mark


def table_of_characters() -> Characters:
    """The table of this Python's Unicode."""
    from asymcert.texts.look import characters  # takes a while, and none where a model brings its own

    return characters()


@dataclass(frozen=True)
class CanonicalForm:
    """The form of texts under which look-alikes, case, accents, invisible characters and kinds of space are one.

    Attributes
    ----------
    digits
        Digits, @ and $ in words are the letters that they stand for: "fr33" is "free". Numbers stay.
    spaced
        Three or more single letters with one space, dot, dash, asterisk or underscore between are a word.
    repeats
        A run of one letter is one letter, double letters too: "freee" and "free" are "fre".
    characters
        What each character becomes; made from this Python's Unicode the first time, then stored with the model.

    Examples
    --------
    >>> CanonicalForm(digits=False, spaced=False, repeats=False).form("FRЕE  Príze !")
    'free prize!'
    >>> CanonicalForm().form("f r 3 e priiize")
    'fre prize'
    """

    digits: bool = option(True, "read digits, @ and $ inside words as the letters they stand for")
    spaced: bool = option(True, "join letters that are spaced or dotted apart")
    repeats: bool = option(True, "fold runs of one letter")
    characters: Characters = field(default_factory=table_of_characters, repr=False, hash=False)

    def form(self, text: str) -> str:
        """The form of one text; in linear time, and its own form."""
        return self.many([text])[0]

    def many(self, texts: Sequence[str]) -> list[str]:
        """The forms of several texts; much quicker than one by one.

        Raises
        ------
        InputError
            One is no string.
        """
        forms: list[str] = []
        for start in range(0, len(texts), CHUNK):
            forms += self._chunk(texts[start : start + CHUNK])
        return forms

    def _chunk(self, texts: Sequence[str]) -> list[str]:
        table = self.characters
        try:
            text = "\n".join([t.lower() if t.isascii() and t.isprintable() else t.translate(table) for t in texts])
        except AttributeError:
            odd = next(text for text in texts if not isinstance(text, str))
            raise refuse("texts", "strings", type(odd).__name__, "Convert or leave out what is no text.") from None
        text = self._joined(self._letters(text))
        text = _then(lambda folded: SPACES.sub("", folded), text, self._joined)  # it may leave letters one space apart
        return [form.strip(" ") for form in text.split("\n")]

    def _letters(self, text: str) -> str:
        text = _letters_for_digits(text) if self.digits else text
        return _single(text) if self.repeats else text

    def _joined(self, text: str) -> str:
        return _then(lambda apart: APART.sub(_without_joints, apart), text, self._letters) if self.spaced else text

    def to_dict(self) -> dict[str, Any]:
        """The options and the table, as JSON can hold them and `features.js` reads them."""
        options = {"digits": self.digits, "spaced": self.spaced, "repeats": self.repeats}
        return {"rules": RULES, **options, "characters": self.characters.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CanonicalForm:
        """The form that `to_dict` described.

        Raises
        ------
        InputError
            It is no such description.
        """
        values = dict(values)
        if values.pop("rules", None) != RULES:
            raise refuse("rules", str(RULES), "others", "Use the version of asymcert that wrote the form.")
        if set(values) != {"digits", "spaced", "repeats", "characters"}:
            raise refuse("form", "a canonical form as it is stored", "other names", "Train again.")
        table = values.pop("characters")
        check_types(cls, values)
        return cls(**values, characters=Characters.from_dict(table))


def _letters_for_digits(text: str) -> str:
    """Digits and signs inside words, and single digits between words, as letters; numbers of several digits stay."""
    text = AT.sub("a", DOLLAR.sub("s", text))
    return DIGIT_IN_WORD.sub(lambda found: found.group().translate(DIGITS), text)


def _without_joints(found: re.Match[str]) -> str:
    return found.group().translate(JOINTS)


def _single(text: str) -> str:
    """Runs of a letter as one letter."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    letters = (codes >= ord("a")) & (codes <= ord("z")) | (codes > 127)
    again = letters[1:] & (codes[1:] == codes[:-1])
    return codes[np.append(True, ~again)[: len(codes)]].tobytes().decode("utf-32-le", "surrogatepass")


def _then(rule: Callable[[str], str], text: str, after: Callable[[str], str]) -> str:
    """`rule` applied to all lines, and `after` to those alone that it changes: most it does not."""
    changed = rule(text)
    if changed == text:
        return text
    pairs = zip(text.split("\n"), changed.split("\n"), strict=True)
    return "\n".join([new if new == old else after(new) for old, new in pairs])
