"""The robustness card: its figures are the run's, its text shows names as they are, the author's words stay."""

import html
import json

import polars as pl
import pytest
import torch
from markdown_it import MarkdownIt

from asymcert._files import jsonable
from asymcert.errors import InputError, RunError
from asymcert.evaluate.curves import certified_accuracy_at
from asymcert.evaluate.judged import judge
from asymcert.evaluate.text_audit import BEYOND
from asymcert.report.card import AUTHOR, adversary_text, escaped, write_card
from asymcert.report.series import read_report_data
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.run import Run
from asymcert.runs.tables import TEXTS
from asymcert.threats.model import ThreatModel
from contracts.text_runs import text_run
from report.conftest import HOSTILE, make_run


@pytest.fixture
def card(run, tmp_path):
    """A run's card, as text and as a record."""
    page, record = write_card(Run(run.path), tmp_path)
    return page.read_text(encoding="utf-8"), json.loads(record.read_text(encoding="utf-8"))


def test_figures_are_those_of_the_rows(run, card):
    record, data = card[1], read_report_data(run)
    assert (record["schema"], record["version"]) == ("asymcert.card", 1)
    assert record["model"]["digest"] == run.load_model().digest
    assert record["model"]["threshold"] == run.load_model().threshold
    judged = jsonable(judge(run, data.series[0].rows).to_dict())
    assert record["clean"] == {name: judged[name] for name in ("detection", "confusion", "calibration")}
    assert len(record["certified"]) == len(data.series) == 4
    for told, series in zip(record["certified"], data.series, strict=True):
        assert told["median_radius"] == series.summary["median_radius"]
        points = told["recall_under_change"]
        expected = certified_accuracy_at(series.rows, [point["size"] for point in points])
        assert [tuple(point.values()) for point in points] == expected.rows()
        assert points[0]["value"] == record["clean"]["detection"]["recall"]["value"]


def rendered(text):
    """As a page; HTML in the text would stay HTML."""
    return MarkdownIt("commonmark").enable("table").render(text)


def test_attacks_and_what_became_of_them_are_told(card):
    text, record = card
    tried, broken = (sum(each[name] for each in record["attacks"]) for name in ("tried", "broken"))
    assert tried > 0
    assert f"{broken} of {tried} attacks" in text
    assert ("**A certificate that breaks is a fault" in text) == (broken > 0)


def test_names_are_shown_as_they_are(tmp_path, card):
    run = make_run(tmp_path / "run", hostile=True)
    hostile, plain = (rendered(text) for text in (write_card(Run(run.path))[0].read_text(encoding="utf-8"), card[0]))
    assert "<script" not in hostile
    assert html.escape(HOSTILE, quote=False) in hostile
    assert hostile.count("<td") == plain.count("<td") > 50
    assert hostile.count("<em>") == plain.count("<em>") == 0
    assert escaped("a | b\n# <i>*c*</i> &lt; `d`") == r"a \| b \# \<i\>\*c\*\</i\> \&lt; \`d\`"


def test_what_the_author_filled_in_stays(run, card, tmp_path):
    text, record = card
    assert record["author"] == dict.fromkeys(AUTHOR)
    assert text.count("**TO BE FILLED IN**") == len(AUTHOR)
    path = tmp_path / "card.json"
    path.write_text(json.dumps(record | {"author": record["author"] | {"limits": "English | only"}}))
    page, _ = write_card(Run(run.path), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "- **Limits**: English \\| only" in text
    assert text.count("**TO BE FILLED IN**") == len(AUTHOR) - 1
    assert json.loads(path.read_text())["author"]["limits"] == "English | only"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"author": {"limits": "none"}}', '{"author": 3}', "[" * 5000])
def test_another_file_of_its_name_is_not_overwritten(run, content, tmp_path):
    path = tmp_path / "card.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"card\.json: not a card that can be written anew"):
        write_card(Run(run.path), tmp_path)
    assert path.read_text() == content


def test_a_run_without_certificates_has_no_card(tmp_path):
    folder = RunFolder(tmp_path / "empty")
    folder.create(RunFacts("toy", None, "data", "bad", "good", (1, 4, 4), {}, 0))
    with pytest.raises(RunError, match="holds no certificates"):
        write_card(Run(folder.path))


def test_an_adversary_is_told_in_words():
    threat = ThreatModel(1, 0, 1, cost=2.0, direction=torch.tensor([1, 0]))
    told = adversary_text(1.0, threat)
    for part in ("l1 norm", "price", "one direction only", "within their range"):
        assert part in told
    assert "number of columns" in adversary_text(0.0, None)
    assert "greatest change" in adversary_text(float("inf"), ThreatModel(float("inf")))


def test_attacks_on_texts_are_told_too(tmp_path):
    """Those that kept to a certificate's size; the search beyond it breaks no promise."""
    run = text_run(tmp_path / "texts", audited=True)
    page, record = write_card(Run(run.path))
    rows = run.read(TEXTS).filter(pl.col("attack") != BEYOND)
    told = json.loads(record.read_text())["attacks"]
    assert sum(each["tried"] for each in told) == rows["attempts"].sum() > 0
    assert sum(each["broken"] for each in told) == 0
    assert f"0 of {rows['attempts'].sum()} attacks" in page.read_text(encoding="utf-8")
