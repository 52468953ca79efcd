"""What is said of one text is what the model says, and what is promised holds for the text that undoes it."""

import base64
from dataclasses import replace

import pytest
import torch

from asymcert.datasets.text_columns import LONGEST
from asymcert.errors import InputError
from asymcert.evaluate.text import explain_texts
from asymcert.evaluate.words import word_shares
from asymcert.models.text import TextClassifier
from contracts.messages import HARMLESS, SPAM, WEIGHTS, additive, problem
from contracts.models import linear_model


def explain_one(model, text):
    (found,) = explain_texts(model, [text])
    return found


def test_words_carry_their_weights():
    found = explain_one(additive(), SPAM[0])
    assert found.margin == 8.5
    assert {each.word: each.share * 8.5 for each in found.words} == pytest.approx(
        {word: WEIGHTS[word] for word in SPAM[0].split()}
    )
    assert [each.word for each in found.words] == ["cash", "prize", "claim", "now"]


def test_numbers_of_words_are_those_that_weights_allow():
    """4 + 3 + 2 + 1 against a threshold of 1.5: no filler undoes it, two words taken out leave 3."""
    found = explain_one(additive(), SPAM[0])
    assert found.outlasts == {
        "added": float("inf"),
        "added or removed": 2.0,
        "replaced": 1.0,
        "added, removed or replaced": 1.0,
    }


@pytest.mark.parametrize("windows", ["whole", "sentences", "both"])
@pytest.mark.parametrize("text", SPAM)
def test_the_cheapest_text_undoes_it_beyond_the_certificate(windows, text):
    asked = problem(windows)
    found = explain_one(asked.model, text)
    assert found.evasion is not None
    assert asked.margins([found.evasion.text])[0] <= 0 < found.margin
    assert found.evasion.price > found.outlasts["added, removed or replaced"]
    assert found.sentences == (windows != "whole")
    assert found.disguises


@pytest.mark.parametrize("text", [*HARMLESS, "", "\ud800"])
def test_nothing_is_said_of_what_is_not_sensitive(text):
    found = explain_one(additive(), text)
    assert not found.sensitive
    assert (found.outlasts, found.words, found.evasion) == ({}, [], None)
    assert found.promise == ""


def test_a_promise_in_words():
    said = explain_one(additive("both"), SPAM[0]).promise
    assert said.startswith("The verdict stands under any number of words added, any 2 words added or removed, ")
    assert "any number of whole added sentences, as long as the marks between sentences stay as they are." in said
    assert "look-alike letters, case, accents, invisible characters, kinds and numbers of spaces" in said
    assert "digits for letters" in said
    assert "sentences" not in explain_one(additive(), SPAM[0]).promise


def test_what_only_a_decoded_part_says_is_not_promised():
    model = additive()
    column = model.scaling.columns[0]
    column = replace(column, encoder=replace(column.encoder, decoded=True))
    decoding = TextClassifier(
        model.score, 1.5, input_shape=(8,), scaling=replace(model.scaling, columns=(column,)), sensitive="spam"
    )
    hidden = base64.b64encode(b"cash prize claim now, cash prize claim now").decode()
    found = explain_one(decoding, f"see {hidden}")
    assert found.sensitive
    assert not found.disguises
    assert set(found.outlasts.values()) == {0.0}
    assert found.promise == ""
    assert found.words[0].word == "cash"


def test_a_long_text_takes_no_longer_than_it_is():
    asked = problem()
    text = " ".join([*(f"w{number}" for number in range(20_000)), "cash prize"])
    assert [each.word for each in word_shares(asked, text, 5.5)[:2]] == ["cash", "prize"]


@pytest.mark.parametrize(
    ("model", "text", "message"),
    [
        (additive(), "a" * (LONGEST + 1), "`text` must be of at most 1000000 characters"),
        (linear_model(torch.ones(2), 0.0), "a", "`model` must be a classifier of texts"),
    ],
    ids=["too long", "no texts"],
)
def test_what_cannot_be_explained_is_refused(model, text, message):
    with pytest.raises(InputError, match=message):
        explain_one(model, text)


def test_a_search_is_left_out_on_demand():
    whole, quick = (explain_texts(additive(), SPAM, search=search) for search in (True, False))
    assert [replace(each, evasion=None) for each in whole] == quick
    assert all(each.evasion for each in whole)
