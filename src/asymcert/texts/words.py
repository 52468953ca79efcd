"""Words of a canonical form, and its sentences; addresses and numbers are typed words, and marks are words.

Spaces and the marks of ASCII separate words; all else, letters of other scripts too, is part of words.
`features.js` repeats these rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

TYPED = {"\x00": "<url>", "\x01": "<email>"}  # no form holds these characters
ENDINGS = "biz|cc|click|cn|com|de|edu|eu|fr|gov|info|io|link|ly|net|online|org|ru|shop|site|tk|top|uk|xyz"
ADDRESS = re.compile(r"(?<![a-z0-9._+-])[a-z0-9._+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+")
LINK = re.compile(
    r"""(?<![a-z0-9])(?:ht+ps?://|w(?:ww)?\.(?=[a-z0-9-]+\.[a-z]))[^ \n"'<>]*[^ \n"'<>.,;:!?)\]]"""
    rf"""|(?<![a-z0-9.-])(?:[a-z0-9-]+\.)+(?:{ENDINGS})(?![a-z0-9-])(?:[/?:][^ \n"'<>]*[^ \n"'<>.,;:!?)\]])?"""
)
HINTS = re.compile(rf"\.(?:{ENDINGS})(?![a-z0-9-])")
SENTENCE_END = re.compile(
    r"""[.!?](?<![.!?].)(?:(?<!(?<![a-z0-9])[a-z]\.)(?<!(?<![a-z0-9])(?:mr|ms|dr|st|vs|no)\.)"""
    r"""(?<!(?<![a-z0-9])(?:mrs|etc)\.)|(?=[.!?]))[.!?]*["')\]]*(?=[ \n]|(?![^\n]))"""
)
DIGITS = re.compile(r"[0-9]+")
LONGEST_NUMBER = 12  # digits, from which on all numbers are one word
MARKS = '!"#$%&()*+,-./:;<=>?@[\\]^_{|}~'


def words_of(form: str) -> list[str]:
    """The words of a canonical form, in their order.

    Apostrophes are left out of words; every other mark of ASCII is a word, as are the currencies and emoji that a form
    sets apart. A number is the word of its length, as ``<n11>`` for a telephone number, and digits inside a word are
    ``#``: "150p" is ``#p``.

    Examples
    --------
    >>> words_of("you've won $500! call 08001234567 or see www.prize.com/now.")
    ['youve', 'won', '$', '<n3>', '!', 'call', '<n11>', 'or', 'see', '<url>', '.']
    """
    return _spread(_typed(form)).split()


def words_of_many(forms: Sequence[str]) -> list[list[str]]:
    """The words of each of several forms; much quicker than one by one."""
    plain = iter(_words([form for form in forms if form.isascii()]))  # quicker by themselves
    other = iter(_words([form for form in forms if not form.isascii()]))
    return [next(plain if form.isascii() else other) for form in forms]


def _words(forms: list[str]) -> list[list[str]]:
    return [words.split() for words in _spread("\n".join(map(_typed, forms))).split("\n")]


def sentences_of(form: str) -> list[list[str]]:
    """The words of each sentence of a canonical form, however long: whoever adds words to one cannot push others out.

    A sentence ends at a full stop, an exclamation or a question mark before a space, but for a single letter and some
    abbreviations; it has at least one word.

    Examples
    --------
    >>> sentences_of("see www.a.com. ask dr. who, at 9.30! ok")
    [['see', '<url>', '.'], ['ask', 'dr', '.', 'who', ',', 'at', '<n1>', '.', '<n2>', '!'], ['ok']]
    """
    parts = _spread(SENTENCE_END.sub(lambda found: f"{found.group()}\n", _typed(form))).split("\n")
    return [words for words in map(str.split, parts) if words]


def _typed(text: str) -> str:
    """`text` with a sign for each e-mail address and link."""
    if "@" in text:
        text = ADDRESS.sub(" \x01 ", text)
    if "." in text and ("://" in text or "w." in text or HINTS.search(text)):
        text = LINK.sub(" \x00 ", text)
    return text


def _spread(text: str) -> str:
    """`text` as words with spaces between; line breaks stay."""
    text = text.replace("'", "").replace("`", "")
    for mark in MARKS:  # many times as quick as a regular expression
        text = text.replace(mark, f" {mark} ")
    text = DIGITS.sub(_typed_digits, text)
    for sign, word in TYPED.items():
        text = text.replace(sign, word)
    return text


def _typed_digits(found: re.Match[str]) -> str:
    start, end = found.span()
    alone = not f"{found.string[max(0, start - 1) : start]}{found.string[end : end + 1]}".strip(" \n")
    return f"<n{min(end - start, LONGEST_NUMBER)}>" if alone else "#"


def is_plain(word: str) -> bool:
    """Whether a word is one of a language: no mark, no number, nothing typed.

    Examples
    --------
    >>> [is_plain(word) for word in ("free", "prize", "!", "#p", "<url>")]
    [True, True, False, False, False]
    """
    return any(map(str.isalpha, word)) and not any(letter.isascii() and not letter.isalpha() for letter in word)
