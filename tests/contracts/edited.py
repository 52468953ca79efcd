"""A tiny language, a slow reader of its features, and everything that so many edits of words make of a text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from asymcert.threats.words import GRAM, PAIR, WORD, WordEdits
from contracts.models import linear_model, random_mlp, seeded

SLACK = (0.1, 0.4, 0.8, 1.6)
Text = tuple[str, ...]


@dataclass(frozen=True)
class Language:
    """Features: `words`, those there at least twice (`twice`), `pairs` of neighbours, `grams` of two letters.

    An adversary has the words and the `invented` ones, which are no features themselves.
    """

    words: Text
    twice: Text = ()
    pairs: tuple[tuple[str, str], ...] = ()
    grams: Text = ()
    invented: Text = ("zz",)

    @property
    def inputs(self) -> int:
        return len(self.words) + len(self.twice) + len(self.pairs) + len(self.grams)

    def features(self, text: Text) -> list[float]:
        """Counted anew from the words, letter by letter."""
        edged = [f"|{word}|" for word in text]
        present = [text.count(word) >= 1 for word in self.words]
        present += [text.count(word) >= 2 for word in self.twice]
        present += [any(text[i : i + 2] == pair for i in range(len(text) - 1)) for pair in self.pairs]
        present += [any(gram in word for word in edged) for gram in self.grams]
        return [float(each) for each in present]

    def rows(self, texts: Iterable[Text]) -> Tensor:
        return torch.tensor([self.features(text) for text in texts], dtype=torch.float64)

    def edits(self, kinds: Mapping[str, float] | Iterable[str], protected: Iterable[str] = (), **parts) -> WordEdits:
        """What the certifier is told of the language."""
        counts = (len(self.words) + len(self.twice), len(self.pairs), len(self.grams))
        family = torch.tensor((WORD, PAIR, GRAM), dtype=torch.int8).repeat_interleave(torch.tensor(counts))
        own = [(self.words.index(word),) * 2 for word in self.words + self.twice]
        own += [(self.words.index(left), self.words.index(right)) for left, right in self.pairs]
        ends = torch.tensor(own + [(-1, -1)] * len(self.grams))
        kept = torch.tensor([word in set(protected) for word in self.words + self.twice] + [False] * sum(counts[1:]))
        most = max(len({gram for gram in self.grams if gram in f"|{word}|"}) for word in self.words + self.invented)
        named = {"protected": kept if protected else None, "grams_per_word": most if self.grams else 0}
        kinds = kinds if isinstance(kinds, Mapping) else list(kinds)
        return WordEdits(kinds, family, ends=ends, **named | parts)

    def threat(self, kinds: Mapping[str, float] | Iterable[str], protected: Iterable[str] = ()) -> ThreatModel:
        return ThreatModel(0, lower=0, upper=1, edits=self.edits(kinds, protected))

    def texts(self, count: int, lengths: tuple[int, int], seed: int) -> list[Text]:
        known, generator = self.words + self.invented, seeded(seed)
        sizes = torch.randint(lengths[0], lengths[1] + 1, (count,), generator=generator).tolist()
        return [tuple(known[int(i)] for i in torch.randint(len(known), (n,), generator=generator)) for n in sizes]


def one_edit(language: Language, text: Text, kind: str, protected: Text) -> Iterator[Text]:
    """All that one edit of a kind makes of a text."""
    new = language.words + language.invented
    if kind == "add":
        for place in range(len(text) + 1):
            yield from ((*text[:place], word, *text[place:]) for word in new)
        return
    for place, word in enumerate(text):
        if word not in protected:
            middles = [()] if kind == "remove" else [(other,) for other in new]
            yield from (text[:place] + middle + text[place + 1 :] for middle in middles)


def reachable(
    language: Language, text: Text, kinds: Mapping[str, float], protected: Text, most: int
) -> tuple[Tensor, Tensor]:
    """Features of every text that at most so many edits make of one, and their least prices."""
    prices, latest = {text: 0.0}, {text: 0.0}
    for _ in range(most):
        following: dict[Text, float] = {}
        for start, paid in latest.items():
            for kind, price in kinds.items():
                for end in one_edit(language, start, kind, protected):
                    total = paid + price
                    if total < prices.get(end, math.inf):
                        prices[end] = following[end] = total
        latest = following
    return language.rows(prices), torch.tensor(list(prices.values())).double()


def least_price(model, rows: Tensor, prices: Tensor) -> float:
    """Of the texts with these features that undo the verdict, the price of the cheapest; inf if none does."""
    undone = model.margin(rows.to(model.dtype)) <= 0
    return float(torch.where(undone, prices, math.inf).min())


def lenient(language: Language, model: FeatureConvexClassifier, seed: int) -> FeatureConvexClassifier:
    """With a threshold below most of some texts, by little or by as much as several edits take off."""
    margin = model.margin(language.rows(language.texts(60, (3, 6), seed)).to(model.dtype))
    return model.with_threshold(float(model.threshold + margin.quantile(0.1) - SLACK[seed % len(SLACK)] * margin.std()))


def convex(language: Language, seed: int) -> FeatureConvexClassifier:
    """A random convex network on the features of the language."""
    return lenient(language, random_mlp(seed, language.inputs, hidden=(8, 4), feature_map=Identity())[0], seed)


def affine(language: Language, seed: int) -> FeatureConvexClassifier:
    """A score that adds up a weight for each feature."""
    weight = torch.randn(language.inputs, generator=seeded(seed)).double()
    return lenient(language, linear_model(weight, 0.0), seed)


PAIRS = tuple((left, right) for left in "abcd" for right in "abcd" if (left, right) not in {("a", "a"), ("d", "b")})
LANGUAGES = {
    "words": Language(("a", "b", "c", "d", "e"), twice=("a", "c")),
    "pairs": Language(("a", "b", "c", "d"), twice=("b",), pairs=PAIRS),
    "grams": Language(("ab", "c"), pairs=(("ab", "c"),), grams=("ab", "|b", "c|", "ba", "a|"), invented=("zz", "baba")),
}
ADVERSARIES: dict[str, tuple[dict[str, float], Text]] = {
    "add": ({"add": 1.0}, ()),
    "remove": ({"remove": 1.0}, ()),
    "replace": ({"replace": 1.0}, ()),
    "add and remove": ({"add": 1.0, "remove": 1.0}, ()),
    "any": ({"add": 1.0, "remove": 1.0, "replace": 1.0}, ()),
    "prices": ({"add": 1.0, "remove": 2.5, "replace": 0.75}, ()),
    "protected": ({"remove": 1.0, "replace": 1.0}, ("a", "ab")),
}
