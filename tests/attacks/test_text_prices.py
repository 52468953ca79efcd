"""Prices of changed texts: the alignment finds what trying every list of edits finds."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asymcert.attacks.texts.prices import ADD, REMOVE, REPLACE, EditPrices, described

WORDS = st.lists(st.sampled_from("abc"), max_size=3)
PRICES = st.dictionaries(st.sampled_from((ADD, REMOVE, REPLACE)), st.sampled_from((0.1, 0.3, 1.0, 2.5)))


def neighbours(words, prices):
    """All that one edit makes of a list of words, with its price."""
    for place, letter in itertools.product(range(len(words) + 1), "abc"):
        if ADD in prices.kinds:
            yield (*words[:place], letter, *words[place:]), prices.kinds[ADD]
        if place < len(words) and words[place] not in prices.protected:
            if REMOVE in prices.kinds:
                yield words[:place] + words[place + 1 :], prices.kinds[REMOVE]
            if REPLACE in prices.kinds:
                yield (*words[:place], letter, *words[place + 1 :]), prices.kinds[REPLACE]


def brute_force(before, after, prices):
    """Least price over all lists of edits by way of texts of at most 4 words, exactly; None where there are none."""
    known, left = {}, {tuple(before): Fraction(0)}
    while left:
        words = min(left, key=left.get)
        known[words] = left.pop(words)
        for other, price in neighbours(words, prices):
            total = known[words] + Fraction(price)
            if len(other) <= 4 and other not in known and total < left.get(other, math.inf):
                left[other] = total
    return known.get(tuple(after))


@given(WORDS, WORDS, PRICES, st.sets(st.sampled_from("abc"), max_size=1))
def test_the_price_is_the_least_of_all_lists_of_edits(before, after, kinds, protected):
    prices = EditPrices(kinds, frozenset(protected))
    exact = brute_force(before, after, prices)
    price = prices.between([before], [after])
    assert (exact is None) == math.isinf(price)
    if exact is not None:
        assert price <= exact < Fraction(math.nextafter(price, math.inf))


@pytest.mark.parametrize(
    ("before", "after", "price", "edits"),
    [
        ("call now", "call me right now", 2.0, ["added 'me'", "added 'right'"]),
        ("call now now", "call", 2.0, ["removed 'now' x2"]),
        ("free prize", "fr ee prize", 2.0, ["added 'fr'", "'free' became 'ee'"]),
        ("free prize", "freeprize", 2.0, ["removed 'free'", "'prize' became 'freeprize'"]),
        ("free prize", "prize free", 2.0, ["'free' became 'prize'", "'prize' became 'free'"]),
        ("same words", "same words", 0.0, []),
    ],
)
def test_edits_in_words(before, after, price, edits):
    prices = EditPrices(dict.fromkeys((ADD, REMOVE, REPLACE), 1.0))
    texts = [before.split()], [after.split()]
    assert (prices.between(*texts), described(prices.edits(*texts))) == (price, edits)


@pytest.mark.parametrize(
    ("sentences", "marks_stay", "after", "price"),
    [
        (False, False, "a b c d", 0.0),
        (False, True, "a b c d", 4.0),  # two words are taken out of one sentence, and added to the other
        (False, True, "a b x|c d", 1.0),
        (False, True, "a b|c", 1.0),
        (False, True, "a b", 2.0),  # all words of a sentence are taken out
        (False, True, "a b|c d|x y", math.inf),
        (True, False, "x y|a b|z|c d|x", 0.0),
        (True, False, "x y|a b e|c d", 1.0),
        (True, True, "c d|a b", 2.0),  # one of the two is taken out, and another one like it is new
    ],
)
def test_prices_where_sentences_count(sentences, marks_stay, after, price):
    prices = EditPrices(dict.fromkeys((ADD, REMOVE, REPLACE), 1.0), sentences=sentences, marks_stay=marks_stay)
    assert prices.between([["a", "b"], ["c", "d"]], [part.split() for part in after.split("|")]) == price


def test_a_protected_word_stays():
    prices = EditPrices(dict.fromkeys((ADD, REMOVE, REPLACE), 1.0), frozenset({"bank"}))
    assert prices.between([["my", "bank"]], [["my", "book"]]) == math.inf
    assert prices.between([["my", "bank"]], [["bank", "book"]]) == 2.0


def test_texts_that_have_nothing_in_common_are_refused_where_they_are_long():
    prices = EditPrices(dict.fromkeys((ADD, REMOVE, REPLACE), 1.0))
    long = [str(number) for number in range(100_000)]
    assert prices.between([long], [["x", *long, "y"]]) == math.inf  # 10 ** 10 pairs of words
    assert prices.between([long], [["x", *long]]) == 1.0
