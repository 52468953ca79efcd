"""A report of a table, where radii count columns: at whole numbers its words and charts say what the rows say."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from asymcert.datasets.binary import Split
from asymcert.datasets.columns import NumericColumn
from asymcert.datasets.scaling import TableScaling
from asymcert.evaluate.curves import certified_accuracy_at
from asymcert.evaluate.run import evaluate
from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.report import write_report
from asymcert.report.axes import bin_names, last_size, radius_bins
from asymcert.report.detector import fragile_alerts, unpromised_note
from asymcert.report.pictures import curve_picture
from asymcert.report.plots import curve_plot, radius_plot
from asymcert.report.sections import content, plots_of
from asymcert.report.series import read_report_data
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat
from contracts.models import linear_score

NAMES = "abcde"
COUNTED, MEASURED = "at most as many columns as the radius says", "smaller than the radius in the stated norm"


def make(path, threshold=2.5, norms=()):
    """A run whose score is the sum of five columns, so that a radius counts the greatest that can become 0."""
    scaling = TableScaling(tuple(NumericColumn(name, None, 0.0, 1.0) for name in NAMES))
    score = linear_score(torch.ones(len(NAMES)))
    model = FeatureConvexClassifier(Identity(), score, threshold, input_shape=(len(NAMES),), scaling=scaling)
    run = RunFolder(path)
    run.create(RunFacts("t", None, "d", "spam", "ham", (len(NAMES),), {}, 0, scaling.to_dict()))
    x = torch.rand(60, len(NAMES), generator=torch.Generator().manual_seed(0))
    y = torch.arange(60) % 2 == 0
    x[y] = (x[y] + 0.2).clamp(max=1)
    threats = [TableThreat(scaling).counting(), *(ThreatModel(norm, 0, 1) for norm in norms)]
    for threat in threats:
        method = "tangent" if threat.norm == 0 else "closed-form"
        evaluate(model, Split(x, y), run, [threat], method, data_digest="d", seed=0)
    return run


def shown(run):
    """What the page says, outside the drawing library."""
    page = write_report(run).read_text(encoding="utf-8")
    return " ".join(page[page.index("<main>") : page.index("</main>")].split())


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    return make(tmp_path_factory.mktemp("counts") / "run")


@pytest.fixture(scope="module")
def data(counted):
    return read_report_data(counted)


@pytest.fixture(scope="module")
def series(data):
    (series,) = data.series
    assert {0.0, 1.0, 2.0} <= set(series.radii)
    return series


def test_a_count_holds_for_at_most_so_many_and_a_size_for_less(counted, tmp_path):
    columns = shown(counted)
    assert COUNTED in columns
    assert "smaller than" not in columns
    assert "larger than that size" not in columns
    both = shown(make(tmp_path / "both", norms=(1, 2)))
    assert f"{COUNTED} (where they have prices, for at most that much in all); for radii in norms" in both
    assert both.count(MEASURED) == 1


def test_norms_alone_are_not_told_of_columns(page):
    text = page.read_text(encoding="utf-8")
    assert MEASURED in text
    assert COUNTED not in text


def test_the_curve_at_a_whole_number_is_what_the_table_says(series):
    plot = curve_plot([series], {})
    *_, line = plot.figure.data
    assert (line.mode, line.line.shape) == ("lines+markers", "hvh")  # steps change halfway between numbers
    assert list(line.x) == list(range(int(series.radii.max()) + 2))
    told = certified_accuracy_at(series.rows, list(line.x))
    for column, trace in zip(("lower", "upper", "accuracy"), plot.figure.data, strict=True):
        assert trace.line.shape == "hvh"
        np.testing.assert_array_equal(trace.y, 100 * told[column].to_numpy())
    assert line.y[1] == 100 * (series.radii >= 1).mean()
    assert plot.figure.layout.xaxis.dtick == 1


def test_the_picture_draws_the_same_steps(data, series):
    (axes,) = curve_picture(data.panels, {}).axes
    (line,) = axes.lines
    assert (line.get_drawstyle(), line.get_marker()) == ("steps-mid", "o")
    assert list(line.get_xdata()) == list(curve_plot([series], {}).figure.data[-1].x)
    assert all(tick.is_integer() for tick in axes.get_xticks())


def test_bins_hold_whole_numbers_in_their_middle(series):
    edges = radius_bins([series])
    assert bin_names([series], edges) == [str(count) for count in range(1, int(series.radii.max()) + 1)]
    assert series.histogram(edges).tolist() == [(series.radii == count).sum() for count in range(1, len(edges))]
    many = replace(series, rows=series.rows.with_columns(radius=pl.col("radius") * 40))
    edges = radius_bins([many])
    assert len(edges) <= 32
    assert edges[-1] > many.radii.max()
    assert bin_names([many], edges)[0] == f"1 to {int(edges[1])}"
    assert many.histogram(edges).sum() == (many.radii > 0).sum()


def test_prices_that_are_no_whole_numbers_are_no_counts(series):
    cost = torch.tensor([0.5, 1, 1, 1, 1], dtype=torch.float64)
    assert series.whole
    assert not replace(series, threat=replace(series.threat, cost=cost)).whole
    assert replace(series, threat=replace(series.threat, cost=2 * cost)).whole
    halved = series.rows.with_columns(radius=pl.col("radius") / 2)
    assert not replace(series, threat=None, rows=halved).whole
    assert replace(series, threat=None).whole
    assert last_size([replace(series, threat=None, rows=halved)]) < series.radii.max()


def test_what_is_not_drawn_over_all_thresholds_is_not_told(counted, data, page):
    """Certificates in columns hold at one threshold: the page draws samples as they are, and says so."""
    assert [len(plot.figure.data) for plot in plots_of(data)["ranking"]] == [1, 1]
    assert {plot.title for plot in plots_of(data)["ranking"]} == {
        "ROC, unchanged samples",
        "Precision and recall, unchanged samples",
    }
    text = shown(counted)
    assert "least score" not in text
    assert "Samples as they are, which nobody attacks." in text
    attacked = page.read_text(encoding="utf-8")
    assert "least score that its certificate leaves possible" in attacked
    assert "which nobody attacks" not in attacked


def test_alerts_without_a_promise_are_counted(counted, data, series):
    alerts = series.rows.filter("prediction")
    bare, known = alerts.filter(radius=0.0), alerts.filter(pl.col("upper").is_finite(), radius=0.0)
    assert 0 < len(known) <= len(bare) < len(alerts)
    note = (
        f"{len(bare)} of {len(alerts)} alerts carry no promise (radius 0) and are not listed: one change may undo them."
    )
    assert unpromised_note(series) == f"{note} For {len(known)} of them a change that does is known."
    assert note in shown(counted)
    assert unpromised_note(replace(series, rows=series.rows.filter(pl.col("radius") > 0))) == ""
    assert len(fragile_alerts(series, data.facts, data.alerts).rows) == min(10, len(alerts) - len(bare))


def test_a_run_without_any_promise_has_no_empty_charts(counted, tmp_path):
    """Neither a histogram of no radius nor a table of no alert."""
    bare = RunFolder(tmp_path / "run")
    bare.create(counted.facts())
    bare.append("certificates", counted.read("certificates").with_columns(radius=pl.lit(0.0)))
    (panel,) = read_report_data(bare).panels.values()
    assert radius_plot(panel).figure is None
    text = shown(bare)
    assert 'id="radii-0"' not in text
    assert "30 samples, 30 with radius 0." in text
    assert "alerts carry no promise" in text
    assert "<th>Row</th>" not in text


def test_charts_of_training_have_two_points_or_more(counted, tmp_path):
    logged = RunFolder(tmp_path / "run")
    logged.create(counted.facts())
    logged.append("certificates", counted.read("certificates"))
    measured = {"accuracy_sensitive": 0.9, "accuracy_other": 0.8, "medians": {"l1": 0.1}}
    logged.append_log({"epoch": 1, "loss": 0.5} | measured)
    assert plots_of(read_report_data(logged))["training"] == []
    assert "Training" not in shown(logged)
    logged.append_log({"epoch": 2, "loss": 0.4})
    (plot,) = plots_of(read_report_data(logged))["training"]
    assert plot.title == "Loss"
    logged.append_log({"epoch": 3, "loss": 0.3} | measured)  # validated every other epoch: no gap hides the points
    plots = {plot.title: plot.figure.data for plot in plots_of(read_report_data(logged))["training"]}
    assert list(plots) == ["Loss", "Accuracy", "Median radius, ℓ₁"]
    assert [list(line.x) for line in plots["Accuracy"]] == [[1, 3], [1, 3]]
    assert list(plots["Accuracy"][0].y) == [90.0, 90.0]


def test_measures_are_told_once_each(data, tmp_path):
    assert content(data)["measures"] == ["columns"]
    both = read_report_data(make(tmp_path / "both", norms=(1, 2, float("inf"))))
    assert content(both)["measures"] == ["columns", "norms"]
