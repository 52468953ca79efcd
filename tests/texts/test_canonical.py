"""The canonical form: what is one text, what stays apart, in linear time, and its own form."""

import json
import os
import string
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asymcert.errors import InputError
from asymcert.texts import CanonicalForm
from asymcert.texts.characters import Characters
from texts.strange import strange_strings

PLAIN = CanonicalForm(digits=False, spaced=False, repeats=False)
ALL = CanonicalForm(digits=True, spaced=True, repeats=True)
FORMS = [PLAIN, CanonicalForm(digits=False), CanonicalForm(True, False, False), CanonicalForm(True, True, False), ALL]


@pytest.fixture(scope="module")
def cases():
    if not os.environ.get("ASYMCERT_CASES"):
        pytest.skip("ASYMCERT_CASES names no folder with cases")
    lines = (Path(os.environ["ASYMCERT_CASES"]) / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_cases_have_the_form_of_their_group(cases):
    plain = {case["group"]: case["text"] for case in cases if case["kind"] == "plain"}
    for case in cases:
        for form in FORMS if case["form"] == "same" else [ALL] if case["form"].startswith("same") else []:
            assert form.form(case["text"]) == form.form(plain[case["group"]]), case


@pytest.mark.parametrize(
    "text",
    [
        "FREE  PRIZE!",
        "frее рrizе!",  # Cyrillic
        "frεε prιzε!",
        "ｆｒｅｅ　ｐｒｉｚｅ！",
        "𝓯𝓻𝓮𝓮 𝕡𝕣𝕚𝕫𝕖!",
        "ⓕⓡⓔⓔ 🅿🆁🅸🆉🅴!",
        "ꜰʀᴇᴇ ᴘʀɪᴢᴇ!",
        "frëé\u00a0pr\u200bi\u0336z\u00ade\ufe0f !",
        "free\tprize\u2028!\x00",
        "\ufefffr\ue000ee pr\ud800ize!\n",
    ],
)
def test_one_form_whatever_the_options(text):
    for form in FORMS:
        assert form.form(text) == form.form("free prize!")


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("digits", "fr33 c4ll 4 u", "free call a u"),
        ("digits", "m@ke ca$h, mail a@b.com $5 $ex", "make cash, mail a@b.com $5 sex"),
        ("digits", "call 08001234567 in 2024, 10 of 12.5", "call 08001234567 in 2024, 10 of 12.5"),
        ("spaced", "f r e e: p.r.i.z.e., o*n*e", "free: prize, one"),
        ("spaced", "i am u.s. e.g. a b", "i am u.s. e.g. a b"),
        ("spaced", "that's y i say u r 2 me", "that's y i say u r 2 me"),
        ("repeats", "freeee goood 1000...", "fre god 1000..."),
    ],
)
def test_each_option(option, text, expected):
    """Each does its own, and nothing when it is off."""
    off = {"digits": False, "spaced": False, "repeats": False}
    assert CanonicalForm(**off | {option: True}).form(text) == expected
    assert PLAIN.form(text) == text


def test_combined_disguises():
    assert ALL.form("f  r  е  3") == ALL.form("F.R.3.3") == ALL.form("frrrée") == "fre"


@pytest.mark.parametrize("form", FORMS, ids=str)
@given(st.one_of(st.text(max_size=30), st.text(alphabet="ab14 .,-@$'!\n", max_size=30)))
def test_a_form_is_its_own_form(form, text):
    once = form.form(text)
    assert form.form(once) == once


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_forms_of_strange_strings_are_their_own(form):
    texts = list(strange_strings(3000, seed=1))
    forms = form.many(texts)
    assert form.many(forms) == forms
    assert [form.form(text) for text in texts[:300]] == forms[:300]  # alone or with others


def test_ascii_is_only_in_lower_case():
    text = "".join(one + "x" for one in map(chr, range(33, 127)))
    assert PLAIN.form(text) == text.lower()
    assert PLAIN.form(string.ascii_letters + " l1I0O rn m vv w") == string.ascii_lowercase * 2 + " l1i0o rn m vv w"


def test_every_character_becomes_what_becomes_itself():
    table = PLAIN.characters
    for code in range(0x40000):
        target = chr(code).translate(table)
        assert target.translate(table).split() == target.split(), hex(code)
        assert len(target) <= 20, hex(code)


def test_case_is_folded_but_where_the_two_cases_look_like_other_letters():
    table = PLAIN.characters
    letters = [one for one in map(chr, range(0x20000)) if one.isalpha() and len(one.lower()) == 1]
    odd = {one.lower().translate(table) for one in letters if one.translate(table) != one.lower().translate(table)}
    assert odd <= set("cilnuvwyz"), "as a Greek eta, which is an H and an n"


@pytest.mark.parametrize(
    "bomb",
    [
        "a" + "\u0301" * 10**6,
        "ﷺ" * 10**5,
        "4 .4" * 10**5,
        "a@" + "b" * 10**6,
        "a-" * 10**6 + "ax",
        *[f"{part * 10**6}x" for part in ("a", "a ", "$", " ", "1", "a@", ".", " !", "4,")],
    ],
    ids=lambda bomb: repr(bomb[:4]),
)
def test_bombs_take_linear_time(bomb):
    start = time.perf_counter()
    assert len(ALL.form(bomb)) <= 20 * len(bomb)
    assert time.perf_counter() - start < 5


def test_it_is_stored_and_restored():
    stored = json.dumps(ALL.to_dict())
    assert len(stored) < 300_000
    restored = CanonicalForm.from_dict(json.loads(stored))
    texts = list(strange_strings(500, seed=2))
    assert restored.many(texts) == ALL.many(texts)
    assert restored == ALL


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("rules",), 2),
        (("digits",), "yes"),
        (("other",), 1),
        (("characters", "dropped"), [5, 3]),
        (("characters", "apart"), ["a"]),
        (("characters", "becomes"), {"a": "b"}),
        (("characters", "becomes"), {"x" * 99: "é"}),
        (("characters",), {}),
        (("characters",), None),
    ],
)
def test_no_other_table_is_restored(where, value):
    stored = json.loads(json.dumps(PLAIN.to_dict()))
    part = stored
    for name in where[:-1]:
        part = part[name]
    part[where[-1]] = value
    with pytest.raises(InputError):
        CanonicalForm.from_dict(stored)


def test_what_is_no_text_is_refused():
    with pytest.raises(InputError, match="strings"):
        CanonicalForm().many(["a", None])
    assert CanonicalForm().many([]) == []
    assert Characters({}, [], [])[0xAC01] == "\u1100\u1161\u11a8"
