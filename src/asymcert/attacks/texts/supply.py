"""What attackers add to texts: words and sentences that the classifier takes for harmless."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from asymcert.attacks.texts.problem import TextProblem
from asymcert.texts.encoder import TextEncoder

FREQUENT, SENTENCES = 200, 200  # of harmless texts, kept
LONGEST_SENTENCE = 400  # letters
INVENTED = ("zzqx", "qwrtp", "vvkz")  # words that are in no vocabulary
EXAMPLES = {"<url>": "www.example.com", "<email>": "me@example.com"}  # of typed words
LEADING = 3  # words of one ranking that are tried before the next one's


@dataclass(frozen=True)
class Supply:
    """Words and sentences of harmless texts.

    Parameters
    ----------
    words
        The most frequent first.
    sentences
        As they were written, with a full stop at the end.
    """

    words: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, encoder: TextEncoder, harmless: Sequence[str]) -> Self:
        """The most frequent words of harmless texts, and some sentences from all over them."""
        counts = Counter(word for text in harmless for _, words in encoder.windows_of(text) for word in words)
        found = [part.strip() for text in harmless for part in re.split(r"(?<=[.!?])\s+|\n+", text)]
        short = list(
            dict.fromkeys(re.sub(r"(?<![.!?])$", ".", part) for part in found if 0 < len(part) <= LONGEST_SENTENCE)
        )
        chosen = short[:: max(1, len(short) // SENTENCES)][:SENTENCES]
        return cls([word for word, _ in counts.most_common(FREQUENT)], chosen)

    def ranked(self, problem: TextProblem, text: str, generator: np.random.Generator) -> list[str]:
        """Words to add to a text, the most promising first: by the slope there, frequent harmless ones, random ones."""
        known = problem.encoder.vocabulary.words
        gains = problem.gains(problem.slope(text))
        steepest = [known[place] for place in np.argsort(-gains, kind="stable")[:FREQUENT]]
        random = [known[place] for place in generator.integers(len(known), size=FREQUENT)] if known else []
        others = [*self.words, *INVENTED, *random]
        return [
            written(word) for word in _woven(steepest, [others[place] for place in generator.permutation(len(others))])
        ]


def written(word: str) -> str:
    """A string whose canonical form is the word: typed words, such as ``<n3>``, stand for many."""
    return EXAMPLES.get(word) or re.sub(r"^<n(\d+)>$", lambda found: "7" * int(found[1]), word)


def _woven(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """`LEADING` of the first, one of the second, and so on; each once."""
    order = [(place / LEADING, word) for place, word in enumerate(first)] + list(enumerate(second, 1))
    return list(dict.fromkeys(word for _, word in sorted(order, key=lambda each: each[0])))
