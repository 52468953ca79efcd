"""The checker's own bound on what a plane falls by when an adversary edits the words of a text.

A text is a list of words; its inputs, each 0 or 1, say that a word is there (or is there so many times), that two words
stand side by side, or that some word has a run of letters. Let A words be added, R removed, X replaced: in the end at
most P = A + X words are new, and at most T = R + X of the first ones are gone. Then

- a new word brings at most one input of words, that of its own next occurrence, and the letters of one word; one that
  is gone takes at most as much;
- of a pair that is gained, one word is new, or both were there and met: everything between them went, and at least one
  word of it was removed and not replaced. So at most R pairs met, of words that the text has. A word that the text has
  not is new wherever it stands, so it pays for its pairs; where it has both words of a pair, either may be new and pay;
  where it has neither, each pays half;
- of a pair that is lost, one word is gone and pays, and is none that is protected; or a word was added between the two,
  which happens to at most A pairs.

A word has one neighbour on either side. So each of the P (or T) words pays for one input of words, one pair that it
begins and one pair that it ends, and equal words pay for different ones. Of k equal words, one pays no more than the
greatest of each sort that its word has, the others no more than the greatest of each sort that are not the first of
their word.
"""

import math
from fractions import Fraction

import numpy as np

if __package__:
    from asymcert.proofs.checker_network import demand, gamma, ordered_sum
else:  # run as a script, where only numpy is installed
    from checker_network import demand, gamma, ordered_sum  # pyright: ignore[reportMissingImports]

WORD, PAIR, GRAM, OTHER = 0, 1, 2, -1
KINDS = ("add", "remove", "replace")
UNIT, WHOLE, SENTENCE = 2**24, 0, 1  # codes are multiples of 1 / UNIT, the greatest three begin windows
MOST_PLANS = 2**16
FLAGS = ("sentences", "marks_stay")


class Features:
    """What each input says of a text: its family, the inputs of its words, and the most runs of letters in a word."""

    def __init__(self, family, ends, grams):
        demand(family.dtype == np.int8 and family.ndim == 1, "family is of the wrong type")
        demand(ends.dtype == np.int64 and ends.shape == (len(family), 2), "ends are of the wrong type")
        demand(((family >= OTHER) & (family <= GRAM)).all(), "a family is none of the four")
        known = (family == WORD) | (family == PAIR)
        inside = ((ends >= 0) & (ends < len(family)))[known].all()
        demand(inside and (family[ends[known]] == WORD).all(), "ends are no inputs of words")
        demand(type(grams) is int and grams >= int((family == GRAM).any()), "runs of letters are not counted")
        self.family, self.ends, self.grams = family, ends, grams

    @classmethod
    def of(cls, vocabulary):
        """Those of a vocabulary as a model's file holds it: words, then repeated words, pairs, and runs of letters."""
        words, often, pairs, grams = (vocabulary[name] for name in ("words", "often", "pairs", "grams"))
        number = {word: place for place, word in enumerate(words)}
        demand(len(number) == len(words), "a word is there twice")
        own = [(number[word],) * 2 for word in (*words, *(word for word, _ in often))]
        ends = [*own, *((number[left], number[right]) for left, right in pairs), *[(-1, -1)] * len(grams)]
        family = np.repeat(np.array((WORD, PAIR, GRAM), np.int8), (len(own), len(pairs), len(grams)))
        longest = vocabulary["longest"] + 2  # letters, with both edges of the word
        most = sum(max(0, longest - length + 1) for length in {len(gram) for gram in grams})
        return cls(family, np.array(ends, np.int64).reshape(-1, 2), most)


def window(codes, place, features):
    """What a window of a text is, and its row of features, from the codes that a model of texts reads."""
    numbers, count = codes * UNIT, len(features.family)
    demand(((numbers == np.floor(numbers)) & (numbers >= 0) & (numbers <= UNIT)).all(), "x has no codes of a text")
    begins = np.flatnonzero(numbers > UNIT - 3)
    demand(begins.size and begins[0] == 0, "x begins with no window")
    demand(type(place) is int and 0 <= place < begins.size, "the text has no such window")
    own = np.split(numbers, begins[1:])[place]
    numbers = own[own > 0].astype(np.int64)
    demand((numbers[1:] <= count).all(), "the text has a feature that the model has not")
    row = np.zeros(count)
    row[numbers[1:] - 1] = 1.0
    return UNIT - int(numbers[0]), row


class Edits:
    """Prices of the kinds of edits, and which inputs of a text they can flip.

    `features` are `Features`, `protected` says which words stay (d,), `x` is the text (d,).
    """

    def __init__(self, described, number, features, protected, x):
        demand(set(described) == {"kinds", *FLAGS}, "the edits are unknown to this checker")
        kinds, (self.sentences, self.marks_stay) = described["kinds"], (described[name] for name in FLAGS)
        demand(type(self.sentences) is type(self.marks_stay) is bool, "what stays is neither true nor false")
        demand(set(kinds) <= set(KINDS), "a kind of edits is unknown to this checker")
        self.prices = [Fraction(number(kinds[kind])) if kind in kinds else None for kind in KINDS]
        demand(all(price is None or price > 0 for price in self.prices), "a price is not positive")
        self.features, self.on = features, x == 1
        text = features.family != OTHER
        demand(((x == 0) | (x == 1))[text].all(), "x has an input of a text that is neither 0 nor 1")
        demand(protected.shape == text.shape and protected.dtype == bool, "protected is of the wrong type")
        word = features.ends[:, 0]
        self.kept = protected[word] & (features.family == WORD)
        self.there = self.on[features.ends] & (features.family == PAIR)[:, None]
        add, remove, replace = (price is not None for price in self.prices)
        gained = (add or replace) | (self.there.all(1) & remove)
        lost = (remove or replace) & ~self.kept | (features.family == PAIR) & add
        self.mutable = text & np.where(self.on, lost, gained)

    def __str__(self):
        """Each kind with its price."""
        priced = zip(KINDS, self.prices, strict=True)
        named = [f"{kind} {float(price):g}" for kind, price in priced if price is not None]
        return ", ".join([*named, *(["sentences"] if self.sentences else [])])

    def check_window(self, kind, windows):
        """Refuse a window that edits of the text may do more to than so many edits of it.

        Marks between sentences stay as they are where whole sentences are added, too.
        """
        whole = kind == WHOLE and windows != "sentences" and not self.sentences
        alone = kind == SENTENCE and (self.marks_stay or self.sentences)
        demand(whole or alone, "the window is neither the whole text nor a sentence that stays one")

    def bound(self, flipped, radius):
        """Upper bound on the fall by edits of at most that price, from the fall by the flip of each input alone."""
        falls, up = np.where(self.mutable, np.maximum(flipped, 0.0), 0.0), 1.0 + gamma(4 * len(flipped) + 64)
        total = ordered_sum(falls) * up
        if math.isinf(radius) or not any(self.prices):
            return total
        add, remove, replace = np.array(list(self._plans(Fraction(radius)))).T
        put, taken, grams = add + replace, remove + replace, self.features.grams
        gained, lost = np.where(self.on, 0.0, falls), np.where(self.on, falls, 0.0)
        pair, letters = self.features.family == PAIR, self.features.family == GRAM
        bound = self._by_words(gained, self._charged(gained[pair]), put)
        bound = bound + self._by_words(lost, lost[pair, None] * ~self.kept[self.features.ends[pair]], taken)
        bound = bound + _greatest(np.where(self.there.all(1), gained, 0.0)[pair], remove)
        bound = bound + _greatest(lost[pair], add)
        bound = bound + _greatest(gained[letters], grams * put) + _greatest(lost[letters], grams * taken)
        return min(total, bound.max() * up)

    def _plans(self, budget):
        """Numbers of edits of each kind that the budget pays for, the last kind as often as it does."""
        *others, last = [place for place, price in enumerate(self.prices) if price is not None]
        most = [int(budget / self.prices[place]) for place in others]
        demand(math.prod(count + 1 for count in most) <= MOST_PLANS, "the radius has too many plans of edits")
        for counts in np.ndindex(*(count + 1 for count in most)):
            plan = [0, 0, 0]
            for place, count in zip(others, counts, strict=True):
                plan[place] = count
            left = budget - sum(count * self.prices[place] for place, count in zip(others, counts, strict=True))
            if left >= 0:
                plan[last] = min(int(left / self.prices[last]), len(self.on))
                yield plan

    def _charged(self, gained):
        """What a new word pays for the pairs that it begins and ends: (pairs, 2)."""
        there = self.there[self.features.family == PAIR]
        return gained[:, None] * np.where(there[:, ::-1], 1.0, np.where(there, 0.0, 0.5))

    def _by_words(self, falls, pairs, count):
        """The most that so many words pay for inputs of their own and pairs."""
        family, ends = self.features.family, self.features.ends
        word, pair = family == WORD, ends[family == PAIR]
        sorts = ((falls[word], ends[word, 0]), (pairs[:, 0], pair[:, 0]), (pairs[:, 1], pair[:, 1]))
        first, others = zip(*(_first_and_others(*sort, len(family)) for sort in sorts), strict=True)
        again = np.zeros(max(map(len, others)))
        for rest in others:
            again[: len(rest)] += np.sort(rest)[::-1]
        return _greatest(np.concatenate((np.sum(first, axis=0)[word], again)), count)


def _first_and_others(falls, word, inputs):
    """The greatest of the falls of each word, (inputs,), and those that are not the first of their word."""
    order = np.lexsort((-falls, word))
    falls, word = falls[order], word[order]
    begins = np.append(True, word[1:] != word[:-1])[: len(word)]
    first = np.zeros(inputs)
    first[word[begins]] = falls[begins]
    return first, falls[~begins]


def _greatest(values, count):
    """Sums of the `count` greatest, for each count."""
    sums = np.append(0.0, np.cumsum(np.sort(values)[::-1]))
    return sums[np.minimum(count, len(values))]
