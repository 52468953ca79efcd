"""Numbers of edited words that an adversary needs: against all texts that so many edits make, and by hand."""

import math
import sys
from dataclasses import replace

import pytest
import torch

from asymcert.attacks import ColumnSearch
from asymcert.certify import Exact, Refined, Tangent, certify
from asymcert.certify.word_pairs import falls_with_pairs
from asymcert.errors import InputError
from asymcert.threats.model import ThreatModel
from asymcert.threats.words import PAIR, WORD, WordEdits
from contracts.edited import ADVERSARIES, LANGUAGES, Language, affine, convex, least_price, reachable
from contracts.models import dyadic, linear_model, seeded

CERTIFIERS = (Tangent(), Refined(cuts=3, steps=1))


def compare(language, kinds, protected, models, certifiers, count=4, edits=2, seed=7):
    """Radius and true least price of every sensitive text, as far as so many edits show it."""
    threat, found = language.threat(kinds, protected), []
    texts = language.texts(count, (3, 4), seed)
    prices = [reachable(language, text, kinds, protected, edits) for text in texts]
    for model in models:
        x = language.rows(texts).to(model.dtype)
        least = [least_price(model, *own) for own in prices]
        for certifier in certifiers:
            certificate = certifier.certify(model, x, [threat])[0]
            sensitive = certificate.sensitive.nonzero().flatten().tolist()
            found += [(float(certificate.radius[row]), least[row]) for row in sensitive]
    return found


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("name", LANGUAGES)
def test_no_text_within_the_radius_undoes_the_verdict(name, adversary):
    language, (kinds, protected) = LANGUAGES[name], ADVERSARIES[adversary]
    seeds, count = range(4, 8) if name == "grams" else range(4), 12 if adversary == "remove" else 4
    models = [build(language, seed) for seed in seeds for build in (affine, convex)]
    models += [model.to(torch.float32) for model in models[:2]]
    found = compare(language, kinds, protected, models, CERTIFIERS, count)
    assert all(radius < least for radius, least in found if math.isfinite(least))
    assert sum(radius > 0 for radius, _ in found) > 3
    assert any(math.isfinite(least) for _, least in found)


def forget(fall, edits, family, present):
    """Falls without those by the inputs of a family that a text has, or has not."""
    return torch.where(edits.family == family, present * fall, fall)


def halved(fall, edits, x):
    """With half of the falls by the pairs that a text has not: as many as one pair for each word, instead of two."""
    return torch.where((edits.family == PAIR) & (x == 0), 0.5 * fall, fall)


MISTAKES = {  # language and adversary by whom it shows, and what is computed instead
    "lost pairs": ("pairs", "add", lambda fall, x, edits: (forget(fall, edits, PAIR, 1 - x), edits)),
    "joined pairs": ("pairs", "remove", lambda fall, x, edits: (forget(fall, edits, PAIR, x), edits)),
    "one pair of two": ("pairs", "add", lambda fall, x, edits: (halved(fall, edits, x), edits)),
    "lost words": ("words", "replace", lambda fall, x, edits: (forget(fall, edits, WORD, 1 - x), edits)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_brute_force_catches_a_mistake(monkeypatch, mistake):
    name, adversary, wrong = MISTAKES[mistake]
    module = sys.modules["asymcert.certify.words"]

    def mistaken(fall, x, edits, counts):
        fall, edits = wrong(fall, x, edits)
        return falls_with_pairs(fall, x, edits, counts)

    monkeypatch.setattr(module, "falls_with_pairs", mistaken)
    assert broken(name, adversary)


def broken(name, adversary):
    """Radii that texts break."""
    language, (kinds, protected) = LANGUAGES[name], ADVERSARIES[adversary]
    models = [build(language, seed) for seed in range(8) for build in (affine, convex)]
    found = compare(language, kinds, protected, models, CERTIFIERS[:1], count=8)
    return [radius for radius, least in found if radius >= least and math.isfinite(least)]


def test_brute_force_catches_one_word_too_many(monkeypatch):
    module = sys.modules["asymcert.certify.words"]
    monkeypatch.setattr(module, "falls_with_pairs", lambda *parts: falls_with_pairs(*parts)[:, [0, *range(256)]])
    assert broken("words", "add")


@pytest.mark.parametrize("kind", ["add", "remove", "replace"])
def test_a_sum_over_words_is_certified_exactly(kind):
    """Without pairs, grams and counts every step is its own: the true least number is one more than certified."""
    language, kinds, met = Language(("a", "b", "c", "d", "e")), {kind: 1.0}, 0
    texts = [("a", "zz", "b", "zz"), ("zz", "e", "zz"), ("d", "zz", "zz")]  # words to replace at no loss
    texts += [("a", "b", "c", "d"), ("e", "d", "c", "b")] if kind == "remove" else []
    made = [reachable(language, text, kinds, (), 2) for text in texts]
    for seed in range(16):
        model = affine(language, seed)
        certificate = certify(model, language.rows(texts), language.threat(kinds))
        for row in certificate.sensitive.nonzero().flatten().tolist():
            radius, least = float(certificate.radius[row]), least_price(model, *made[row])
            assert (radius == least - 1) if math.isfinite(least) else radius >= 2
            met += math.isfinite(least)
    assert met > 1


def test_by_hand():
    """Words a, b, c, the pair ab: adding takes 2 for c, or 1 for b before its pair takes 4."""
    weight = torch.tensor([3.0, -1.0, -2.0, -4.0])
    family, ends = torch.tensor([WORD, WORD, WORD, PAIR]), torch.tensor([[0, 0], [1, 1], [2, 2], [0, 1]])
    model = linear_model(weight, 0.0)
    x = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]).double()

    def radius(row, amount, *kinds):
        threat = ThreatModel(0, lower=0, upper=1, edits=WordEdits(kinds, family, ends=ends))
        lower = model.with_threshold(float((model.margin(x) + model.threshold)[row]) - amount)
        return float(certify(lower, x[row : row + 1], threat).radius)

    for amount, expected in ((5.0, 0.0), (5.1, 1.0), (7.0, 1.0), (7.1, math.inf)):
        assert radius(0, amount, "add") == expected
    for amount, expected in ((3.0, 0.0), (3.1, math.inf)):
        assert radius(0, amount, "remove") == expected
    for amount, expected in ((8.0, 0.0), (8.1, 1.0)):
        assert radius(0, amount, "replace") == expected
    # Without a, the pair needs both words: half of its fall is charged to either.
    for amount, expected in ((3.0, 0.0), (3.1, 1.0), (5.1, 2.0), (7.1, math.inf)):
        assert radius(1, amount, "add") == expected


def test_an_invented_word_brings_all_its_grams():
    language = Language(("c",), grams=("ab", "ba", "|b", "a|"), invented=("zz", "baba"))
    model, x = linear_model(torch.tensor([1.0, -1.0, -1.0, -1.0, -1.0]), 0.0), language.rows([("c",)])
    for amount, told, expected in ((4.0, 4, 0.0), (4.1, 4, math.inf), (4.0, 3, 1.0)):  # told of three he is wrong
        lower = model.with_threshold(float(model.threshold + model.margin(x)) - amount)
        edits = language.edits(["add"], grams_per_word=told)
        assert float(certify(lower, x, ThreatModel(0, lower=0, upper=1, edits=edits)).radius) == expected
        assert (float(lower.margin(language.rows([("c", "baba")]))) <= 0) == (amount == 4.0)


def test_prices_are_those_of_the_cheapest_edits():
    language = Language(("a", "b", "c"))
    model = linear_model(torch.tensor([2.0, -1.0, -1.0]), 0.0)
    x = language.rows([("a",)])
    lower = model.with_threshold(float((model.margin(x) + model.threshold)[0]) - 2.0)
    for kinds, expected in (
        ({"add": 1.0, "remove": 1.0}, 0.0),
        ({"add": 1.0, "remove": 3.0}, 1.0),
        ({"add": 0.25, "remove": 3.0}, 0.25),
        ({"add": 10.0, "remove": 3.0}, 0.0),
        ({"add": 2.0, "remove": 3.0}, 2.0),
    ):
        assert float(certify(lower, x, language.threat(kinds)).radius) == expected


def test_a_protected_word_stays():
    language = Language(("a", "b"))
    model = linear_model(torch.tensor([2.0, 1.0]), 0.0)
    x = language.rows([("a", "b")])
    lower = model.with_threshold(float((model.margin(x) + model.threshold)[0]) - 2.0)
    assert float(certify(lower, x, language.threat(["remove"])).radius) == 0.0
    assert float(certify(lower, x, language.threat(["remove"], ["a"])).radius) == math.inf


def test_what_no_addition_can_lower_is_safe_at_any_number():
    language = LANGUAGES["words"]
    model = linear_model(dyadic((language.inputs,), seeded(0)).abs() + 1, 0.0)
    model = model.with_threshold(float(model.threshold + model.margin(language.rows([("e",)]))) - 0.5)
    assert float(certify(model, language.rows([("e",)]), language.threat(["add"])).radius) == math.inf
    assert float(certify(model, language.rows([("e",)]), language.threat(["remove"])).radius) == 0


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("name", LANGUAGES)
def test_the_size_of_a_change_is_at_most_the_price_of_edits_that_make_it(name, adversary):
    language, (kinds, protected) = LANGUAGES[name], ADVERSARIES[adversary]
    threat, close = language.threat(kinds, protected), 0
    for text in language.texts(2, (3, 4), 5):
        rows, prices = reachable(language, text, kinds, protected, 2)
        size = threat.size(rows - language.rows([text]))
        assert bool((size <= prices).all())
        close += int((size == prices).sum())
    assert close > 3


def test_numbers_beside_texts_never_change():
    language = Language(("a", "b"))
    edits = language.edits(["add"])
    family = torch.cat((edits.family, torch.tensor([-1], dtype=torch.int8)))
    ends = torch.cat((edits.words, torch.tensor([[-1, -1]])))
    threat = ThreatModel(0, lower=0, upper=1, edits=replace(edits, family=family, ends=ends))
    model = linear_model(torch.tensor([1.0, 1.0, -50.0]), -1.0)
    x = torch.tensor([[1.0, 0.0, 0.01]]).double()
    assert float(certify(model, x, threat).radius) == math.inf
    assert threat.size(torch.tensor([[0.0, 0.0, 0.5]]).double()).tolist() == [math.inf]
    assert threat.interval(x)[1].tolist() == [[0.0, 1.0, 0.0]]


def _edits(**parts):
    return replace(LANGUAGES["pairs"].edits(["add"]), **parts)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: _edits(kinds=["swap"]), "`edits` must be made of add, remove, replace"),
        (lambda: _edits(kinds=[]), "`edits` must be some of"),
        (lambda: _edits(kinds={"add": 0.0}), "`price of 'add'` must be"),
        (lambda: _edits(kinds={"add": math.nan}), "`price of 'add'` must be"),
        (lambda: _edits(family=torch.tensor([0, 3])), "`family` must be a list of -1 to 2"),
        (lambda: _edits(family=torch.zeros(3)), "`family` must be a tensor of int8"),
        (lambda: _edits(protected=torch.zeros(3, dtype=torch.bool)), "`protected` must be of shape"),
        (lambda: _edits(ends=torch.zeros(3, 2, dtype=torch.int64)), "`ends` must be of shape"),
        (lambda: _edits(ends=None), "`ends` must be two inputs of words"),
        (lambda: _edits(grams_per_word=-1), "`grams_per_word` must be"),
        (lambda: replace(LANGUAGES["grams"].edits(["add"]), grams_per_word=0), "`grams_per_word` must be"),
        (lambda: WordEdits.from_dict({"kinds": ["add"]}), "`edits` must be a dictionary with"),
        (lambda: WordEdits.from_dict({"kinds": ["add"], "family": [0], "sentences": 1}), "`sentences` must be"),
        (lambda: ThreatModel(0, edits=_edits()), "`edits` must be given with norm 0, lower 0, upper 1"),
        (lambda: ThreatModel(1, lower=0, upper=1, edits=_edits()), "`edits` must be given with norm 0"),
        (lambda: ThreatModel(0, lower=0, upper=1, cost=2.0, edits=_edits()), "`edits` must be given with norm 0"),
        (lambda: ThreatModel(0, lower=0, upper=1, edits=["add"]), "`edits` must be of type WordEdits"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_refuses_what_is_no_text_and_methods_that_count_no_words():
    language = LANGUAGES["pairs"]
    threat, model = language.threat(["add"]), affine(language, 0)
    x = language.rows([("a", "b")])
    with pytest.raises(InputError, match="`x` must be 0 or 1"):
        certify(model, 0.5 * x, threat)
    with pytest.raises(InputError, match="about inputs of shape"):
        threat.check(x[:, 1:])
    with pytest.raises(InputError, match="tangent and refined count words"):
        Exact().certify(model, x, [threat])
    with pytest.raises(InputError, match="Attack texts"):
        ColumnSearch().run(model, x, threat, torch.ones(1), torch.Generator())
    for each in (model, model.with_threshold(1e9)):  # whether there is an alert or not
        with pytest.raises(InputError, match="without whole sentences"):
            certify(each, x, replace(threat, edits=_edits(sentences=True)))


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_a_threat_model_comes_back_from_its_dictionary(adversary):
    kinds, protected = ADVERSARIES[adversary]
    threat = LANGUAGES["grams"].threat(kinds, protected)
    back = ThreatModel.from_dict(threat.to_dict())
    assert back.to_dict() == threat.to_dict()
    assert (
        back.describe()
        == threat.describe()
        == " ".join(
            [
                "words",
                "+".join(kinds),
                *(["price"] if adversary == "prices" else []),
                *(["protected"] if protected else []),
            ]
        )
    )
