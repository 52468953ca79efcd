"""A report of texts counts words, shows texts as texts, and says what attacks on them found."""

import polars as pl
import pytest

from asymcert.evaluate.text_audit import BEYOND
from asymcert.report import write_report
from asymcert.report.detector import fragile_alerts
from asymcert.report.plots import curve_plot
from asymcert.report.sections import content, plots_of
from asymcert.report.series import WORD_COUNTS, read_report_data
from asymcert.report.texts import SHOWN, attacks_table, carriers_table, shortened, undone_table
from asymcert.runs.tables import ALERTS, TEXTS
from contracts.messages import HARMLESS, SPAM, WEIGHTS
from contracts.text_runs import MARKUP, text_run
from contracts.text_runs import TEXTS as ALL


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return text_run(tmp_path_factory.mktemp("texts") / "run", audited=True)


@pytest.fixture(scope="module")
def data(run):
    return read_report_data(run)


def test_radii_are_in_words(data):
    assert list(data.panels) == ["words"]
    assert [series.label for series in data.panels["words"]] == ["words · add marks", "words · add+remove marks"]
    plot = curve_plot(data.panels["words"], {})
    assert plot.title == "number of words"
    assert [row[0] for row in plot.table.rows] == [str(count) for count in WORD_COUNTS]
    assert plot.figure.layout.xaxis.range[1] <= 1.04 * WORD_COUNTS[-1]
    assert dict(content(data)["numbers"])["inf"] == "median radius, words add marks"


def test_whole_sentences_are_said_in_a_line(data):
    (note,) = content(data)["sentences"]
    assert note.startswith("100.0 % (")
    assert len(data.series) == 3


def test_fragile_alerts_come_with_their_text(data):
    series = data.panels["words"][0]
    table = fragile_alerts(series, data.facts, data.alerts)
    assert table.header == ("Row", "Class", "Text", "Margin", "Radius, words")
    assert table.rows[0][:3] == ("4", "spam", shortened(MARKUP))
    assert [row[-1] for row in table.rows] == ["2.00", *["inf"] * 4]
    assert {row[2] for row in table.rows} == {shortened(text) for text in (*SPAM, MARKUP)}


def test_words_that_carry_most(data):
    words = [row[0] for row in carriers_table(data.alerts).rows]
    assert words == ["cash", "prize", "claim", "now"]
    counts = {row[0]: int(row[1]) for row in carriers_table(data.alerts).rows}
    assert counts["cash"] == len(SPAM) + 1
    assert all(WEIGHTS[word] > 0 for word in words)


def test_attacks_and_what_became_of_them(data, run):
    table, broken, tried = attacks_table(data.attacked)
    assert broken == 0
    assert tried == run.read(TEXTS)["attempts"].sum() > 1000
    rows = {row[0]: row for row in table.rows}
    assert rows[BEYOND][4] == "1"  # the one with a finite radius
    ((row, _, edits, certified, price),) = undone_table(data.attacked).rows
    assert (row, certified) == ("4", "2.00")
    assert "added" in edits
    assert float(price) > 2


def test_the_page_shows_texts_as_texts(run):
    page = write_report(run).read_text(encoding="utf-8")
    body = page[page.index("<main>") : page.index("</main>")]
    assert "<script>document" not in body
    assert "&lt;script&gt;document" in body
    assert "\u202e" not in body
    assert "edits at most as many words as the radius says" in body
    assert "smaller than" not in body
    assert "Words that carry most" in body
    assert "Attacks on texts" in body
    assert "asymcert explain --index" in body


def test_alerts_are_kept_once_and_only_those_of_the_run(run, data):
    kept = run.read(ALERTS)
    assert kept["index"].to_list() == [place for place, text in enumerate(ALL) if text not in HARMLESS]
    assert kept["text"].to_list() == [*SPAM, MARKUP]
    assert kept["model_digest"].n_unique() == 1


def test_a_run_of_nothing_but_sentences_has_a_page(data, tmp_path):
    alone = text_run(tmp_path / "run", kinds=[((), True)])
    assert len(plots_of(read_report_data(alone))["curve"]) == 1
    assert write_report(alone).exists()


def test_long_and_odd_texts_are_shown_on_one_line():
    assert len(shortened("a" * 5000)) == SHOWN + 1
    assert shortened("a\nb\x1b[2J") == r"a\nb\x1b[2J"
    assert pl.Series([shortened("\ud800")])[0] == r"\ud800"
