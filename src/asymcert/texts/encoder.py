"""From texts to features: views, canonical form, windows, words, vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from asymcert._checks import check_choice, refuse
from asymcert.texts.canonical import CanonicalForm
from asymcert.texts.views import turned, views_of
from asymcert.texts.vocabulary import Vocabulary
from asymcert.texts.words import sentences_of, words_of, words_of_many

WHOLE, SENTENCE, DECODED = 0, 1, 2  # what a window is: all of a text, one of its sentences, or of what it decodes to
WINDOWS = ("whole", "sentences", "both")


@dataclass(frozen=True)
class Windows:
    """Features of the windows of texts.

    Parameters
    ----------
    owner, kind
        (w,): the text of each window, ascending, and `WHOLE`, `SENTENCE` or `DECODED`.
    ends
        (w + 1,): where the features of each window end.
    features
        Numbers of features, ascending in each window.
    """

    owner: NDArray[np.int64]
    kind: NDArray[np.int64]
    ends: NDArray[np.int64]
    features: NDArray[np.int64]


@dataclass(frozen=True)
class TextEncoder:
    """How texts become features; stored with a model, so that a text means the same wherever it is read.

    Parameters
    ----------
    form
        What is made of a text before anything else.
    vocabulary
        The features.
    windows
        What is scored: the ``whole`` text, its ``sentences``, or ``both``; the greatest score is the text's.
    decoded
        Whether what parts of a text decode to is scored as well.
    """

    form: CanonicalForm
    vocabulary: Vocabulary
    windows: str = "whole"
    decoded: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("form", CanonicalForm), ("vocabulary", Vocabulary)):
            if isinstance(getattr(self, name), Mapping):
                object.__setattr__(self, name, kind.from_dict(getattr(self, name)))
        check_choice("windows", self.windows, WINDOWS)

    def encode(self, texts: Sequence[str]) -> Windows:
        """Features of the windows of texts, at least one for each."""
        owner, kind, documents = [], [], []
        for number, what, words in self._windows(texts):
            owner.append(number)
            kind.append(what)
            documents.append(words)
        ends, features = self.vocabulary.encode(documents)
        return Windows(np.array(owner, np.int64), np.array(kind, np.int64), ends, features)

    def windows_of(self, text: str) -> list[tuple[int, list[str]]]:
        """What each window of a text is, and its words."""
        return [(kind, words) for _, kind, words in self._windows([text])]

    def _windows(self, texts: Sequence[str]) -> Iterator[tuple[int, int, list[str]]]:
        """For each window the number of its text, what it is, and its words."""
        forms = self.form.many(texts)
        for number, (form, words) in enumerate(zip(forms, words_of_many(forms), strict=True)):
            for kind, part in self._parts(form, words):
                yield number, kind, part
            if self.decoded:
                others = [form, *self.form.many(views_of(texts[number])[1:])]
                others += self.form.many([turned(other) for other in others])
                for other in sorted({*others} - {form}):
                    for _, part in self._parts(other, words_of(other)):
                        yield number, DECODED, part

    def _parts(self, form: str, words: list[str]) -> Iterator[tuple[int, list[str]]]:
        sentences = [] if self.windows == "whole" else sentences_of(form)
        if self.windows != "sentences" or not sentences:
            yield WHOLE, words
        for sentence in sentences:
            yield SENTENCE, sentence

    def rows(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features of whole texts, each 0 or 1: (n, number of features)."""
        return TextEncoder(self.form, self.vocabulary).rows_of_windows(texts)[0]

    def rows_of_windows(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], Windows]:
        """Features of all windows of texts, each 0 or 1, (w, number of features), and whose and what the windows are.

        Rows are what exported graphs take. The greatest score of a text's windows is the text's.

        Examples
        --------
        >>> encoder = TextEncoder(CanonicalForm(), Vocabulary(("fre", "now")), "sentences")
        >>> rows, windows = encoder.rows_of_windows(["Now! FREE.", "hello"])
        >>> rows.tolist(), windows.owner.tolist()
        ([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], [0, 0, 1])
        """
        found = self.encode(texts)
        rows = np.zeros((len(found.owner), len(self.vocabulary)), np.float32)
        rows[np.arange(len(rows)).repeat(np.diff(found.ends)), found.features] = 1.0
        return rows, found

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        parts = {"form": self.form.to_dict(), "vocabulary": self.vocabulary.to_dict()}
        return parts | {"windows": self.windows, "decoded": self.decoded}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave; an `InputError` for anything else."""
        known = {"form", "vocabulary", "windows", "decoded"}
        if not isinstance(values, Mapping) or set(values) != known or not isinstance(values["decoded"], bool):
            raise refuse("encoder", f"a dictionary with the keys {sorted(known)}", repr(values)[:80])
        return cls(**values)
