"""Words of a canonical form, and its sentences; addresses and long numbers are typed words.

A word is what stands between separators, of ASCII alone; all else, letters of other scripts too, is part of words.
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
NUMBER = re.compile(r"[0-9](?:[0-9]{3,}|(?<![^ \n].)[0-9]{2}(?![^ \n]))")
LONGEST_NUMBER = 12  # digits, from which on all numbers are one word
SPLIT = str.maketrans(dict.fromkeys('"#&()*+,-./:;<=>@[\\]^_{|}~%', " ") | dict.fromkeys("'`", None))
OF_THEIR_OWN = ("!", "?", "$")


def words_of(form: str) -> list[str]:
    """The words of a canonical form, in their order.

    Apostrophes are left out of words; `!`, `?`, `$` and the currencies and emoji that a form sets apart are words;
    numbers of three digits or more are the word of their length, as ``<n11>`` for a telephone number.

    Examples
    --------
    >>> words_of("you've won $500! call 08001234567 or see www.prize.com/now.")
    ['youve', 'won', '$', '<n3>', '!', 'call', '<n11>', 'or', 'see', '<url>']
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
    [['see', '<url>'], ['ask', 'dr', 'who', 'at', '9', '30', '!'], ['ok']]
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
    text = text.translate(SPLIT)
    for mark in OF_THEIR_OWN:
        text = text.replace(mark, f" {mark} ")
    text = NUMBER.sub(_length, text)
    for sign, word in TYPED.items():
        text = text.replace(sign, word)
    return text


def _length(number: re.Match[str]) -> str:
    return f" <n{min(len(number.group()), LONGEST_NUMBER)}> "
