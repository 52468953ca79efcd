"""What the words of a text carry of its margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asymcert.attacks.texts.problem import TextProblem

MOST_WORDS = 2**20  # of all texts with a word fewer


@dataclass(frozen=True)
class WordShare:
    """What one word of one text carries.

    Parameters
    ----------
    word
        In its canonical form.
    share
        Of the margin: how much of it the tangent plane loses where every occurrence of the word is taken out of the
        window that scores highest; negative for words that speak against the verdict.
    """

    word: str
    share: float


def word_shares(problem: TextProblem, text: str, margin: float) -> list[WordShare]:
    """What the words of a text of this margin carry of it; of a long text those alone that can carry most."""
    _, words = list(problem.encoder.windows_of(text))[problem.highest(text)]
    slope, vocabulary = problem.slope(text), problem.encoder.vocabulary
    distinct = list(dict.fromkeys(words))
    order = np.argsort(-_heights(slope, *vocabulary.encode([[word] for word in distinct])), kind="stable")
    tried = [distinct[place] for place in order[: max(1, MOST_WORDS // max(1, len(words)))]]
    without = [[word for word in words if word != left_out] for left_out in tried]
    whole, *heights = _heights(slope, *vocabulary.encode([words, *without])).tolist()
    shares = [WordShare(word, (whole - height) / margin) for word, height in zip(tried, heights, strict=True)]
    return sorted(shares, key=lambda each: -each.share)


def _heights(slope: NDArray[Any], ends: NDArray[Any], features: NDArray[Any]) -> NDArray[Any]:
    """Of a plane of this slope (F,), above 0, at rows of features: (n,)."""
    sums = np.concatenate(([0.0], slope[features].cumsum()))
    return sums[ends[1:]] - sums[ends[:-1]]
