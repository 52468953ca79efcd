"""What the report says of a detector is what the rows say."""

import itertools

import numpy as np
import polars as pl
import pytest

from asymcert.evaluate.judged import judge
from asymcert.evaluate.robust import attacked_margins
from asymcert.report.detector import at_rates, calibration_plot, figures_table, fragile_alerts, ranking_plots
from asymcert.report.series import read_report_data


@pytest.fixture(scope="module")
def data(run):
    return read_report_data(run)


def test_figures_are_told_with_counts(data):
    table = dict(figures_table(data.detectors[0][1], data.facts).rows)
    assert table["caught"].startswith("80.0 % (")
    assert table["samples of class malware"] == "16 alarms, 4 passed"
    assert table["caught at 1 % false alarms"] == "–"  # of 20 harmless samples


def test_the_curve_at_a_rate_is_of_the_model_there(data, run):
    series, judged = data.detectors[0]
    (found,) = at_rates(series, judged)
    (digest,) = run.read("points")["at"]
    assert set(found.rows["model_digest"]) == {digest} != set(series.rows["model_digest"])
    assert found.label == f"{series.label} · 10 % false alarms"
    assert found.curve["accuracy"][0] == judged.points[0].caught[0].value
    assert judged.points[0].false_positive_rate <= 0.1
    assert at_rates(*data.detectors[-1]) != []
    halved = next(pair for pair in data.detectors if pair[0].method == "halved")
    assert at_rates(*halved) == []  # was not certified there


def test_roc_ends_where_the_rows_do_and_falls_with_the_size(data):
    series, judged = data.detectors[0]
    roc, precision = (plot.figure for plot in ranking_plots(series, judged))
    assert [trace.name for trace in roc.data] == [trace.name for trace in precision.data]
    assert len(roc.data) == 4
    label, least = attacked_margins(series.rows, judged.sizes[1])
    without = 100 * (least[label] > least[~label].max()).mean()  # caught without a false alarm
    assert max(np.array(roc.data[1].y)[np.array(roc.data[1].x) == 100 * 0.5 / 20]) == pytest.approx(without)
    grid = np.linspace(5, 100, 20)
    caught = [np.interp(grid, trace.x, trace.y) for trace in roc.data]
    assert all((above >= below - 1e-9).all() for above, below in itertools.pairwise(caught))


def test_calibration_has_every_bin(data, run):
    judged = data.detectors[0][1]
    figure = calibration_plot(judged).figure
    assert figure.data[1].x.tolist() == (100 * judged.calibration["predicted"]).to_list()
    voted = judge(run, data.series[0].rows.with_columns(method=pl.lit("splitting")))
    assert calibration_plot(voted) is None
    assert "–" in dict(figures_table(voted, data.facts).rows)["Brier score"]


def test_the_most_fragile_alerts_come_first(data):
    series = data.series[0]
    table = fragile_alerts(series, data.facts, data.alerts)
    alerts = series.rows.filter(pl.col("radius") > 0).sort("radius")
    assert table.header == ("Sample", "Class", "Margin", "Radius, ℓ₁")
    assert [row[0] for row in table.rows] == [str(index) for index in alerts["index"][:10]]
    assert float(table.rows[0][3]) <= alerts["radius"][0]
    assert {row[1] for row in table.rows} <= {"malware", "harmless"}


def test_the_page_shows_all_of_it(page):
    text = page.read_text()
    for words in ("As a detector", "Caught at few false alarms", "Over all thresholds", "the most fragile first"):
        assert words in text
