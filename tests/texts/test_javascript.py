"""The functions in JavaScript do what those in Python do, on strange strings and with every option."""

import json
from importlib.resources import files

import pytest
from py_mini_racer import MiniRacer

from asymcert.texts import CanonicalForm, sentences_of, views_of, words_of
from texts.strange import strange_strings

SCRIPT = (
    files("asymcert.texts").joinpath("features.js").read_text(encoding="utf-8").replace("export function", "function")
)
CALL = "(() => {{ const form = canonicalForm({stored}); return JSON.stringify({texts}.map({expression})); }})()"


@pytest.fixture(scope="module")
def script():
    with MiniRacer() as engine:
        engine.eval(f"{SCRIPT}; 0")
        yield lambda form, expression, texts: json.loads(
            engine.eval(CALL.format(stored=json.dumps(form.to_dict()), expression=expression, texts=json.dumps(texts)))
        )


@pytest.fixture(scope="module")
def texts():
    return list(strange_strings(10_000))  # the number that the documentation states


@pytest.mark.parametrize(
    "options", [(False, False, False), (False, True, True), (True, False, True), (True, True, True)]
)
def test_forms_are_the_same(script, texts, options):
    form = CanonicalForm(*options)
    assert script(form, "text => form(text)", texts) == form.many(texts)


def test_words_and_sentences_are_the_same(script, texts):
    form = CanonicalForm(digits=True)
    forms = form.many(texts)
    assert script(form, "text => wordsOf(text)", forms) == list(map(words_of, forms))
    assert script(form, "sentencesOf", forms) == [sentences_of(each) for each in forms]


def test_views_are_the_same(script, texts):
    assert script(CanonicalForm(), "text => viewsOf(text)", texts) == list(map(views_of, texts))


def test_every_character_becomes_the_same(script):
    form = CanonicalForm()
    every = [f"a{chr(code)}b" for code in range(0x30000) if not 0xD800 <= code < 0xE000 or code % 64 == 0]
    assert script(form, "text => form(text)", every) == form.many(every)
