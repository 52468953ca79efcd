"""Attacks on strings keep to their budgets, find what there is to find, and leave what looks the same as it was."""

import math

import numpy as np
import pytest

from asymcert.attacks.texts.cheapest import cheapest_edit
from asymcert.attacks.texts.disguises import disguises
from asymcert.attacks.texts.moves import MOVES
from asymcert.attacks.texts.prices import ADD, REMOVE, REPLACE, EditPrices, described
from asymcert.attacks.texts.search import Disguise, EditSearch, Padding, default_text_attacks
from asymcert.attacks.texts.supply import Supply
from asymcert.attacks.texts.trial import MOST_LETTERS, Trial
from contracts.messages import HARMLESS, SPAM, exact_price, problem

ANY = dict.fromkeys((ADD, REMOVE, REPLACE), 1.0)
PRICES = {
    "any": EditPrices(ANY),
    "fillers": EditPrices({ADD: 1.0}),
    "dear": EditPrices({ADD: 0.5, REMOVE: 2.0, REPLACE: 1.2}, frozenset({"cash"})),
    "sentences": EditPrices({ADD: 1.0}, sentences=True, marks_stay=True),
    "marks stay": EditPrices({REMOVE: 1.0, REPLACE: 1.0}, marks_stay=True),
}


def trial_of(asked, text, prices, budget, seed=0):
    return Trial(asked, text, prices, budget, Supply.of(asked.encoder, HARMLESS), np.random.default_rng(seed))


@pytest.mark.parametrize("adversary", PRICES)
@pytest.mark.parametrize("windows", ["whole", "both", "sentences"])
def test_what_an_attack_finds_is_as_it_says(windows, adversary):
    asked, prices = problem(windows, counts=("cash", "dear")), PRICES[adversary]
    ran = changed = 0
    for attack in default_text_attacks():
        for budget in (0.0, 1.0, 3.0):
            trial = trial_of(asked, SPAM[2], prices, budget)
            if attack.fits(prices):
                attack.run(trial)
                ran, changed = ran + 1, changed + (trial.best.text != SPAM[2])
            best, read = trial.best, asked.sentences if prices.by_sentence else lambda text: [asked.words(text)]
            assert best.price == prices.between(read(SPAM[2]), read(best.text)) == prices.total(best.edits) <= budget
            assert best.margin == asked.margins([best.text])[0] <= asked.margins([SPAM[2]])[0]
    assert ran >= 12
    assert changed >= 3


@pytest.mark.parametrize("kinds", [(ADD,), (REMOVE,), (ADD, REMOVE)])
@pytest.mark.parametrize("text", SPAM[:3])
def test_the_cheapest_edit_of_an_additive_score(text, kinds):
    asked = problem(threshold=5.5)
    exact = exact_price(asked, text, kinds)
    found = cheapest_edit(asked, text, EditPrices(dict.fromkeys(kinds, 1.0)), supply=Supply(["lunch", "home"]))
    assert found.undoes == (exact is not None)
    if exact is not None:
        assert (found.price, sum(len(described([edit])) for edit in found.edits)) == (exact, exact)
        assert asked.margins([found.text])[0] <= 0


def test_the_cheapest_edit_says_what_it_was():
    found = cheapest_edit(problem(threshold=6.5), "cash prize claim now", EditPrices({ADD: 1.0}))
    assert sorted(described(found.edits)) == ["added 'home'", "added 'lunch'"]
    assert (found.price, found.undoes) == (2.0, True)


def test_where_nothing_helps_the_text_stays():
    found = cheapest_edit(problem(threshold=-9.0), SPAM[0], EditPrices({ADD: 1.0}))
    assert not found.undoes
    assert found.price <= 20.0


@pytest.mark.parametrize("windows", ["whole", "both", "sentences"])
def test_texts_of_one_form_have_one_margin_to_the_bit(windows):
    asked = problem(windows, counts=("cash",), grams=(" ca", "sh ", "ze "))
    form = asked.encoder.form.form
    for seed, text in enumerate(SPAM):
        same = [each for each in disguises(text, np.random.default_rng(seed)) if form(each) == form(text)]
        assert len(same) > 50
        assert set(asked.margins(same)) == set(asked.margins([text]))
        assert {tuple(row[row > 0].tolist()) for row in asked.inputs([text, *same])} == {
            tuple(row[row > 0].tolist()) for row in asked.inputs([text])
        }


@pytest.mark.parametrize("change", ["upper", "wide", "cyrillic", "zero width", "combining", "soft hyphens", "spaces"])
def test_disguises_that_every_form_undoes(change):
    text = "cash prize claim now"
    changed = {
        "upper": text.upper(),
        "wide": "".join(chr(ord(letter) + 0xFEE0) if letter != " " else letter for letter in text),
        "cyrillic": text.replace("e", "е").replace("a", "а").replace("p", "р"),
        "zero width": "\u200b".join(text),
        "combining": "\u0301".join(text) + "\u0301",
        "soft hyphens": "\u00ad".join(text),
        "spaces": text.replace(" ", "\u00a0 \t"),
    }[change]
    asked = problem()
    assert asked.words(changed) == asked.words(text)
    assert asked.margins([changed])[0] == asked.margins([text])[0]
    assert changed in set(disguises(text, np.random.default_rng(0))) or change in {
        "soft hyphens",
        "spaces",
        "combining",
        "zero width",
        "cyrillic",
    }


@pytest.mark.parametrize("move", MOVES)
def test_moves_make_texts_of_few_edits(move):
    asked, prices, text = problem(), PRICES["any"], SPAM[1]
    made = list(MOVES[move][0](text, ["home", "lunch", "dear", "the"], np.random.default_rng(0)))
    costs = [prices.between([asked.words(text)], [asked.words(each)]) for each in made]
    assert len(set(made)) > 3
    assert 0 < max(costs) <= (3 if move == "cuts" else 2)  # a mark in a word makes three of it
    assert move == "cuts" or 1 in costs


def test_marks_cost_nothing_unless_they_stay():
    """Four sentences of one word: joined with a harmless one each, they pass."""
    asked = problem("sentences", threshold=2.5)
    cash, kept = (trial_of(asked, "cash home. prize home.", PRICES[name], 0.0) for name in ("any", "marks stay"))
    for trial in (cash, kept):
        Disguise().run(trial)
    assert not cash.best.undoes or cash.best.price == 0
    assert kept.best.margin == asked.margins(["cash home. prize home."])[0]


def test_sentences_are_free_where_the_adversary_adds_them():
    asked = problem("sentences")
    trial = trial_of(asked, SPAM[0], PRICES["sentences"], 0.0)
    Padding().run(trial)
    assert trial.attempts > 20
    assert not trial.best.undoes
    whole = trial_of(problem("whole", threshold=5.0), SPAM[0], PRICES["sentences"], 0.0)
    Padding().run(whole)
    assert whole.best.undoes


BOMBS = ("e\u0301" * 10**5, "cash " * 10**4, "cash" + "\u0301" * 10**5, "", "\x00", "\ud800 cash prize", "cash" * 10**5)


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
def test_strange_texts_are_attacked_for_a_bounded_time(bomb):
    for attack in (EditSearch(("fillers", "cuts"), evaluations=24), Padding(), Disguise()):
        trial = trial_of(problem("both", grams=(" ca",)), bomb, PRICES["any"], 2.0)
        attack.run(trial)
        assert trial.attempts * len(bomb) <= MOST_LETTERS


def test_attacks_have_names_of_their_own():
    names = [attack.name for attack in default_text_attacks()]
    assert len(set(names)) == len(names)
    assert EditSearch(("fillers",), beam=1).name == "fillers, beam of 1, 240 texts"
    assert math.isinf(EditPrices({}).between([["a"]], [["b"]]))
