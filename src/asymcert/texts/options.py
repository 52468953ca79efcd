"""What a user may say about how texts become features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from asymcert._checks import check_choice, check_count, option, refuse
from asymcert.texts.canonical import CanonicalForm
from asymcert.texts.encoder import WINDOWS, TextEncoder
from asymcert.texts.vocabulary import Vocabulary
from asymcert.texts.words import words_of_many

LONGEST_PART = 20  # letters


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """How texts become features; each field says what it does."""

    windows: str = option("whole", "Text: what is scored; of several scores the greatest counts.", WINDOWS)
    decoded: bool = option(False, "Text: score what parts of a text decode to as well (base64, ROT13 and the like).")
    word_counts: int = option(1, "Text: up to how many occurrences of a word are told apart.", low=1)
    word_pairs: bool = option(True, "Text: pairs of neighbouring words are features.")
    word_parts: str | None = option(None, "Text: parts of words of such lengths are features, such as 3-4.")
    fold_digits: bool = option(CanonicalForm.digits, "Text: digits inside words are the letters they look like.")
    fold_spacing: bool = option(CanonicalForm.spaced, "Text: letters spaced or dotted apart are read as one word.")
    fold_repeats: bool = option(CanonicalForm.repeats, "Text: a letter many times in a row is read as a few.")
    vocabulary: int | None = option(None, "Text: most features of a kind; default 65536, or 2048 beside others.", low=1)
    least_texts: int = option(2, "Text: texts that a word, pair or part must be in to be a feature.", low=1)

    def __post_init__(self) -> None:
        check_choice("windows", self.windows, WINDOWS)
        for name in ("word_counts", "least_texts", *(["vocabulary"] if self.vocabulary is not None else [])):
            check_count(name, getattr(self, name))
        self.part_lengths  # noqa: B018 refuses others

    @cached_property
    def form(self) -> CanonicalForm:
        """What is made of a text before anything else."""
        return CanonicalForm(digits=self.fold_digits, spaced=self.fold_spacing, repeats=self.fold_repeats)

    @property
    def part_lengths(self) -> tuple[int, ...]:
        """Lengths of the parts of words that are features."""
        if self.word_parts is None:
            return ()
        found = re.fullmatch(r"(\d{1,2})(?:-(\d{1,2}))?", self.word_parts)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 0 < first <= last <= LONGEST_PART:
            raise refuse("word_parts", f"lengths from 1 to {LONGEST_PART}", repr(self.word_parts), "Example: 3-4.")
        return tuple(range(first, last + 1))

    def words_in(self, texts: Sequence[str]) -> list[list[str]]:
        """Words of each text as a whole."""
        return words_of_many(self.form.many(texts))

    def fit(self, texts: Sequence[str], most: int = 2**16) -> TextEncoder:
        """Learn which features texts have; `most` of each kind, unless the user says otherwise."""
        vocabulary = Vocabulary.fit(
            self.words_in(texts),
            least=self.least_texts,
            counts=self.word_counts,
            least_pairs=self.least_texts if self.word_pairs else 0,
            grams=self.part_lengths,
            most=self.vocabulary or most,
        )
        return TextEncoder(self.form, vocabulary, self.windows, self.decoded)
