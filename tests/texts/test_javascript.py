"""The functions in JavaScript do what those in Python do, on strange strings and with every option."""

import json
from importlib.resources import files
from urllib.parse import quote

import numpy as np
import pytest
from py_mini_racer import MiniRacer

from asymcert.texts import CanonicalForm, sentences_of, views_of, words_of
from asymcert.texts.encoder import TextEncoder
from asymcert.texts.vocabulary import Vocabulary
from texts.strange import strange_strings

SCRIPT = (
    files("asymcert.texts").joinpath("features.js").read_text(encoding="utf-8").replace("export function", "function")
)
CALL = "(() => {{ const made = {make}({stored}); return JSON.stringify({texts}.map({expression})); }})()"
BESIDE = 64  # characters that are tried in one text


@pytest.fixture(scope="module")
def script():
    """What an expression of ``made``, the form or the encoder that is stored, gives for each text."""
    with MiniRacer() as engine:
        engine.eval(f"{SCRIPT}; 0")

        def called(stored, expression, texts):
            make = "canonicalForm" if isinstance(stored, CanonicalForm) else "encoder"
            parts = {"stored": json.dumps(stored.to_dict()), "texts": json.dumps(texts)}
            return json.loads(engine.eval(CALL.format(make=make, expression=expression, **parts)))

        yield called


@pytest.fixture(scope="module")
def texts():
    return list(strange_strings(1000))


def windows(encoder, texts):
    """Kind and features of the windows of each text, by Python."""
    found = encoder.encode(texts)
    features = [part.tolist() for part in np.split(found.features, found.ends[1:-1])]
    made = [[] for _ in texts]
    for owner, kind, own in zip(found.owner.tolist(), found.kind.tolist(), features, strict=True):
        made[owner].append({"kind": kind, "features": own})
    return made


def fitted(texts, grams=(1, 3), **options):
    """An encoder that knows every word of the texts, up to three times, every pair, and parts of words."""
    form = CanonicalForm()
    documents = map(words_of, form.many(texts))
    return TextEncoder(form, Vocabulary.fit(documents, least=1, counts=3, least_pairs=1, grams=grams), **options)


def test_features_of_ten_thousand_strange_strings_are_the_same(script):  # the number that the documentation states
    texts = list(strange_strings(10_000))
    encoder = fitted(texts[::10], (4,), windows="both")
    assert script(encoder, "text => made(text)", texts) == windows(encoder, texts)


@pytest.mark.parametrize("kind", ["whole", "sentences", "both"])
def test_windows_are_the_same(script, texts, kind):
    texts = texts[:300]
    encoder = fitted(texts[::2], windows=kind, decoded=True)
    assert script(encoder, "text => made(text)", texts) == windows(encoder, texts)


def test_decoded_windows_come_in_the_order_of_code_points(script):
    """What is decoded twice begins with a later character than what is decoded once, but in UTF-16 with an earlier."""
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "&#x20000;")
    text = quote(f"{hidden}\ufa0e")
    encoder = fitted(["\ufa0e \U00020000\ufa0e"], (), decoded=True)
    found = script(encoder, "text => made(text)", [text])
    assert found == windows(encoder, [text])
    assert [len(window["features"]) for window in found[0] if window["features"]] == [1, 3]  # two words and a pair


@pytest.mark.parametrize(
    "options", [(False, False, False), (False, True, True), (True, False, True), (True, True, True)]
)
def test_forms_are_the_same(script, texts, options):
    form = CanonicalForm(*options)
    assert script(form, "text => made(text)", texts) == form.many(texts)


def test_words_sentences_and_views_are_the_same(script, texts):
    form = CanonicalForm(digits=True)
    forms = form.many(texts)
    assert script(form, "text => wordsOf(text)", forms) == list(map(words_of, forms))
    assert script(form, "text => sentencesOf(text)", forms) == [sentences_of(each) for each in forms]


def test_views_are_the_same(script, texts):
    assert script(CanonicalForm(), "text => viewsOf(text)", texts) == list(map(views_of, texts))


def test_every_character_becomes_the_same(script):
    form = CanonicalForm()
    every = [f"a{chr(code)}b" for code in range(0x30000) if not 0xD800 <= code < 0xE000 or code % 64 == 0]
    every = [" ".join(every[start : start + BESIDE]) for start in range(0, len(every), BESIDE)]
    assert script(form, "text => made(text)", every) == form.many(every)
