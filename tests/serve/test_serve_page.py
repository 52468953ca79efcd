"""The page in a real browser: what people enter is answered, and margin and radius follow as they change a value."""

import json
import re
from html import unescape
from urllib.parse import quote

import pytest

from contracts.messages import HARMLESS, SPAM
from serve.conftest import asked
from serve.runs import table_frame

CSV = table_frame().head(12).write_csv()
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
TOKEN = "a secret that is long"


@pytest.fixture(scope="module")
def driven(browse):
    """What the page looks like after some steps; nothing may fail in the browser, nor be fetched from elsewhere."""

    def run(running, *steps):
        address = f"http://127.0.0.1:{running.port}/driven#{quote(json.dumps(steps))}"
        document, console = browse(address)
        assert [line for line in console if "401" not in line] == []
        assert 'data-done="yes"' in document
        return document

    return run


def text_of(document, name):
    """Text of the element with this id, without its tags."""
    start = re.search(rf'<(\w+)[^>]* id="{name}"[^>]*>', document)
    rest = document[start.end() :]
    return unescape(re.sub(r"<[^>]+>", " ", rest[: rest.index(f"</{start[1]}>")]))


def test_rows_are_answered_and_a_changed_value_is_followed(driven, table):
    changed = table.post(
        "/v1/certify", json={"rows": table_frame().drop("class").head(12).to_dicts(), "evasions": True}
    )
    answers = changed.json()["answers"]
    row = next(place for place, answer in enumerate(answers) if answer["evasion"])
    name, value = next(iter(answers[row]["evasion"].items()))
    document = driven(
        table,
        ["fill", "#samples", CSV],
        ["click", "#certify"],
        ["see", "#status", "12 answers"],
        ["click", f"tr[data-row='{row}'] button"],
        ["see", "#one-title", f"Row {row + 1}"],
        ["see", "#verdict", "bad"],
        ["see", "#evasion", "would have to change"],
        ["note", "#numbers", "before"],
        ["note", "#evasion", "evasion"],
        ["fill", f"#values [name='{name}']", value],
        ["see", "#verdict", "good"],
    )
    assert len(re.findall(r'<tr data-row="\d+"', document)) == 12
    assert f"+{answers[row]['margin']:.4g}" in (before := re.search(r'data-before="([^"]*)"', document)[1])
    assert f"{name}: {table_frame()[name][row]}" in re.search(r'data-evasion="([^"]*)"', document)[1]
    assert "-" in text_of(document, "numbers")
    assert before not in document[document.index('id="numbers"') :]
    assert "good" in text_of(document, "verdict")


def test_rows_with_mistakes_are_told(driven, table):
    document = driven(
        table, ["fill", "#samples", CSV.replace("pdf", "", 1)], ["click", "#certify"], ["see", "#status", "12"]
    )
    assert "12 answers" in text_of(document, "status")
    document = driven(table, ["fill", "#samples", '[{"size": 1}]'], ["click", "#certify"], ["see", "#error", "lacks"])
    assert "lacks the columns: 'rate', 'gaps', 'kind'" in text_of(document, "error")
    document = driven(table, ["fill", "#samples", "a,b\n1"], ["click", "#certify"], ["see", "#error", "Line 2"])
    assert "Line 2 has 1 fields, the header has 2." in text_of(document, "error")


def test_an_uploaded_file_is_answered_and_runs_nothing(driven, table):
    rows = [
        *table_frame().drop("class").head(3).to_dicts(),
        table_frame().drop("class").to_dicts()[0] | {"size": HOSTILE},
    ]
    document = driven(table, ["upload", "#file", json.dumps(rows)], ["see", "#status", "4 answers"])
    assert "1 cannot be read" in text_of(document, "status")
    assert "<title>taken" not in document
    assert "<img src=x" not in document


def test_texts_are_answered_with_their_words(driven, texts):
    document = driven(
        texts,
        ["fill", "#samples", f"{SPAM[0]} {HOSTILE}"],
        ["click", "[value='words add marks']"],
        ["click", "[value='words add+remove marks']"],
        ["click", "#certify"],
        ["see", "#reasons", "cash"],
        ["note", "#evasion", "evasion"],
        ["fill", "#values textarea", HARMLESS[0]],
        ["see", "#verdict", "harmless"],
    )
    assert "would have to change" in re.search(r'data-evasion="([^"]*)"', document)[1]
    assert "harmless" in text_of(document, "verdict")
    assert "<title>taken" not in document


def test_arrays_are_answered(driven, images):
    document = driven(images, ["click", "#example"], ["see", "#numbers", "Margin"])
    assert "Radius in l1" in text_of(document, "numbers")


def test_a_token_is_asked_for(driven, table_run):
    with asked(table_run, TOKEN) as running:
        document = driven(running, ["fill", "#token", TOKEN], ["click", "#token-form button"], ["see", "#name", "run"])
        assert re.search(r'<section[^>]*id="login"[^>]*hidden', document)
        assert not re.search(r'<section[^>]*id="ask"[^>]*hidden', document)


def test_every_field_has_a_label_and_news_are_announced(driven, table):
    document = driven(table, ["click", "#example"], ["see", "#numbers", "Margin"])
    fields = re.findall(r'<(?:input|textarea|select)[^>]* id="([^"]+)"', document)
    assert len(fields) >= 7
    for name in fields:
        assert f'<label for="{name}"' in document, name
    assert re.search(r'id="status"[^>]*aria-live="polite"', document)
    assert re.search(r'id="verdict"[^>]*aria-live="polite"', document)
    assert re.search(r'id="error"[^>]*role="alert"', document)


def test_the_interface_is_described_offline(browse, table):
    document, console = browse(f"http://127.0.0.1:{table.port}/docs")
    assert console == []
    assert document.count('<section class="card">') == 6
    for path in ("POST /v1/certify", "GET /v1/model", "GET /metrics"):
        assert path in document


def test_nothing_is_fetched_from_elsewhere(table):
    pages = ["/", "/docs", *(f"/assets/{name}" for name in ("style.css", "page.js", "show.js", "csv.js", "docs.js"))]
    for page in pages:
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", table.get(page).text), page


def test_colours_have_contrast(table):
    """Text against its ground, by the formula of WCAG 2: at least 4.5."""
    style = table.get("/assets/style.css").text
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", style))
    pairs = [
        (colours[ink], colours[ground]) for ink in ("ink", "soft", "accent", "alert") for ground in ("paper", "ground")
    ]
    pairs += [(colours["alert"], "#fdf3ee"), (colours["calm"], "#ecf8f4"), ("#ffffff", colours["accent"])]
    for one, other in pairs:
        assert contrast(one, other) >= 4.5, (one, other)


def contrast(one, other):
    light, dark = sorted(map(luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
