"""Features of words are those that a slow featuriser finds, and codes of windows lose none of them."""

from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymcert.errors import InputError
from asymcert.models.text import WindowCodes
from asymcert.texts.codes import packed
from asymcert.texts.encoder import Windows
from asymcert.texts.vocabulary import Vocabulary, parts_of

WORDS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "abba", "<n3>", "x" * 25]), max_size=12)
DOCUMENTS = st.lists(WORDS, max_size=6)
OPTIONS = st.fixed_dictionaries(
    {
        "least": st.integers(1, 3),
        "counts": st.integers(1, 3),
        "least_pairs": st.integers(0, 2),
        "grams": st.sampled_from([(), (2,), (3, 4)]),
        "most": st.sampled_from([2, 100]),
    }
)


def slow(vocabulary, document):
    """Features of one list of words, one by one, by their names."""
    found = [word in document for word in vocabulary.words]
    found += [document.count(word) >= least for word, least in vocabulary.often]
    found += [pair in list(pairwise(document)) for pair in vocabulary.pairs]
    edged = [f" {word} " if len(word) <= vocabulary.longest else f" {word[:20]}" for word in document if word[0] != "<"]
    return found + [any(gram in word for word in edged) for gram in vocabulary.grams]


def dense(vocabulary, documents):
    ends, features = vocabulary.encode(documents)
    rows = np.zeros((len(documents), len(vocabulary)), bool)
    rows[np.repeat(np.arange(len(documents)), np.diff(ends)), features] = True
    return rows


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, DOCUMENTS, OPTIONS)
def test_features_are_those_of_a_slow_featuriser(known, documents, options):
    vocabulary = Vocabulary.fit(known, **options)
    expected = [slow(vocabulary, document) for document in documents]
    assert dense(vocabulary, documents).tolist() == expected
    ends, features = vocabulary.encode(documents)
    assert all((np.diff(features[start:end]) > 0).all() for start, end in pairwise(ends))
    assert len(vocabulary.names) == len(vocabulary.families) == len(vocabulary)


@settings(max_examples=60, deadline=None)
@given(WORDS.filter(bool), st.data())
def test_one_more_word_flips_at_most_one_feature_of_words(words, data):
    """Words and counts are a thermometer; a word between two others makes two pairs and parts one."""
    vocabulary = Vocabulary.fit([words * 3], least=1, counts=3, least_pairs=1)
    place = data.draw(st.integers(0, len(words)))
    longer = [*words[:place], data.draw(st.sampled_from(["a", "b", "new"])), *words[place:]]
    flips = np.diff(dense(vocabulary, [words, longer]).astype(int), axis=0)[0]
    of_words = flips[vocabulary.families == 0]
    assert of_words.min() >= 0
    assert of_words.sum() <= 1
    of_pairs = flips[vocabulary.families == 1]
    assert (of_pairs > 0).sum() <= 2
    assert (of_pairs < 0).sum() <= 1


def test_a_word_has_at_most_so_many_parts():
    vocabulary = Vocabulary.fit([["".join(map(chr, range(97, 122)))], ["abc"]], least=1, grams=(3, 4))
    longest = "".join(map(chr, range(97, 122)))
    assert len(parts_of(longest, (3, 4), 20)) <= vocabulary.grams_per_word == 20 + 19
    assert not any("<" in gram for gram in Vocabulary.fit([["<n3>"]], least=1, grams=(3,)).grams)


@settings(max_examples=30, deadline=None)
@given(DOCUMENTS, DOCUMENTS, OPTIONS)
def test_a_stored_vocabulary_is_itself(known, documents, options):
    vocabulary = Vocabulary.fit(known, **options)
    again = Vocabulary.from_dict(vocabulary.to_dict())
    assert again == vocabulary
    assert (dense(again, documents) == dense(vocabulary, documents)).all()


@pytest.mark.parametrize(
    "values",
    [
        {"words": ("a", "a")},
        {"words": ("",)},
        {"words": (1,)},
        {"words": ("a",), "pairs": (("a", "b"),)},
        {"words": ("a",), "often": (("a", 1),)},
        {"words": ("a",), "often": (("b", 2),)},
        {"words": ("a",), "longest": 0},
    ],
)
def test_features_that_are_none_are_refused(values):
    with pytest.raises(InputError):
        Vocabulary(**values)


KINDS_AND_FEATURES = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.sets(st.integers(0, 9))), min_size=1, max_size=3), min_size=1, max_size=4
)


@settings(max_examples=50, deadline=None)
@given(KINDS_AND_FEATURES, st.integers(1, 40))
def test_codes_of_windows_lose_nothing(texts, width):
    windows = [(owner, kind, sorted(found)) for owner, text in enumerate(texts) for kind, found in text]
    owner, kind, features = zip(*windows, strict=True)
    ends = np.cumsum([0, *map(len, features)])
    x = packed(
        Windows(np.array(owner), np.array(kind), ends, np.array(list(chain(*features)), np.int64)), len(texts), width
    )
    assert x.dtype == np.float32
    assert x.shape[1] >= width
    assert 0 <= x.min() <= x.max() <= 1
    codes = WindowCodes.of(torch.from_numpy(x))
    assert codes.owner.tolist() == list(owner)
    assert codes.kind.tolist() == list(kind)
    rows = codes.dense(10, torch.float64)
    assert [row.nonzero().flatten().tolist() for row in rows] == list(features)
    assert codes.dense(10, torch.float64, slice(1, None)).equal(rows[1:])


@pytest.mark.parametrize("row", [[0.0], [0.3], [1.5], [-1.0], [2.0**-24]])
def test_codes_that_are_none_are_refused(row):
    with pytest.raises(InputError):
        WindowCodes.of(torch.tensor([row]))
