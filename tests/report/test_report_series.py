import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asymcert.datasets.binary import Split
from asymcert.datasets.columns import CategoryColumn, NumericColumn
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import RunError
from asymcert.evaluate.curves import round_sizes
from asymcert.evaluate.run import evaluate
from asymcert.evaluate.units import radius_in_units
from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.report.gallery import strips
from asymcert.report.series import drawn_curve, norm_symbol, read_report_data, threat_text, unit_title
from asymcert.report.tables import audit_table, summary_table, units_table
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.threats.file import parse_threat
from contracts.models import linear_score


@given(st.integers(1, 300), st.integers(2, 50))
def test_a_drawn_curve_is_short_and_never_above_the_whole_one(count, length):
    radius = np.cumsum(np.random.default_rng(count).random(count))
    accuracy = np.linspace(1, 0, count)
    whole = pl.DataFrame({"radius": radius, "accuracy": accuracy, "lower": accuracy / 2, "upper": accuracy})
    drawn = drawn_curve(whole, length)
    assert len(drawn) <= max(length, 1)
    at = np.searchsorted(drawn["radius"], radius, side="right") - 1
    assert (drawn["accuracy"].to_numpy()[at] <= accuracy).all()
    assert (drawn["lower"].to_numpy()[at] <= accuracy / 2).all()
    assert (drawn["upper"].to_numpy()[at] >= accuracy).all()


def test_symbols_and_threats():
    assert [norm_symbol(norm) for norm in (1.0, 2.0, 1.5, math.inf)] == ["ℓ₁", "ℓ₂", "ℓ₁.₅", "ℓ∞"]
    assert (norm_symbol(0.0), unit_title("columns"), unit_title("ℓ₂")) == ("columns", "number of columns", "ℓ₂ norm")
    assert threat_text("linf box[0,1] cost #ab", math.inf) == "ℓ∞ box[0,1] cost #ab"


def test_series_are_told_apart(run, overlay):
    data = read_report_data(run, overlay)
    assert {unit: [series.label for series in panel] for unit, panel in data.panels.items()} == {
        "ℓ₁": ["closed-form"],
        "ℓ₂": ["closed-form", "halved"],
        "ℓ∞": ["closed-form"],
    }
    first, second = data.panels["ℓ₂"]
    assert first.colour != second.colour
    np.testing.assert_allclose(second.radii, first.radii / 2, rtol=1e-12)
    assert second.surface() is None


def test_round_sizes_are_round_and_cover_the_radii(run):
    for panel in read_report_data(run).panels.values():
        sizes = round_sizes(panel[0].radii)
        assert sizes[0] == 0
        assert len(sizes) == 6
        assert all(len(f"{size:g}") <= 6 for size in sizes)
        assert sizes[3] < max(panel[0].radii)


def test_round_sizes_of_whole_radii_are_whole():
    assert round_sizes(np.array([0.0, 1.0, 2.0, 3.0, math.inf])) == [0, 1, 2, 3, 4, 5]
    assert round_sizes(np.array([4.0, 20.0])) == [0, 2, 4, 6, 8, 10]
    assert round_sizes(np.array([0.0, math.inf])) == [0]


def test_summary_table_has_a_row_for_each_series(run):
    data = read_report_data(run)
    table = summary_table(data.series, data.facts)
    assert len(table.rows) == 4
    assert all(len(row) == len(table.header) for row in table.rows)
    assert table.rows[0][2] == "80.0 % of 20"


def test_strips_show_pixels_as_bytes(run):
    gallery = run.read("gallery")
    strip = next(iter(strips(gallery)))
    first = gallery.filter(pl.col("norm") == 1, pl.col("group") == "least", pl.col("rank") == 0).row(0, named=True)
    assert (strip.group, strip.radii[0], strip.indices[0]) == ("least", first["radius"], first["index"])
    assert np.array_equal(strip.images[0], np.round(255 * np.array(first["pixels"])).astype(np.uint8).reshape(5, 5))
    assert strip.radii == sorted(strip.radii)


def test_large_and_coloured_and_unscaled_images_are_shown(run):
    one = run.read("gallery").head(1)
    for shape, size in (((3, 4, 6), (4, 6, 3)), ((1, 320, 160), (160, 80)), ((2, 3, 3), (3, 3))):
        pixels = np.linspace(-5, 9, int(np.prod(shape))).tolist()
        changed = one.with_columns(
            shape=pl.Series([list(shape)]), pixels=pl.Series([pixels], dtype=pl.List(pl.Float32))
        )
        (strip,) = strips(changed)
        assert strip.images[0].shape == size
        assert strip.images[0].dtype == np.uint8


def test_audit_tells_certificates_that_ignore_rounding_from_others():
    audit = pl.DataFrame({"attack": "a", "norm": 1.0, "method": "m", "options": ["sound=False", "sound=True"]})
    table, broken, tried = audit_table(audit.with_columns(success=pl.Series([True, False])))
    assert table.rows == (("a", "ℓ₁", "m (rounding ignored)", "1", "1"), ("a", "ℓ₁", "m", "1", "0"))
    assert (broken, tried) == (1, 2)


def test_audit_counts_attacks_and_failures(run):
    audit = pl.DataFrame({"attack": ["a", "a", "b"], "norm": [1.0, 1.0, math.inf], "success": [True, False, False]})
    table, broken, tried = audit_table(audit)
    assert (broken, tried) == (1, 3)
    assert table.rows == (("a", "ℓ₁", "–", "2", "1"), ("b", "ℓ∞", "–", "1", "0"))
    with pytest.raises(RunError, match="success"):
        audit_table(audit.drop("success"))


def test_radii_are_shown_in_the_units_of_the_columns(rows_of_a_table):
    run, scaling, threat = rows_of_a_table
    data = read_report_data(run)
    table = units_table(data.series, data.facts)
    median = data.series[0].summary["median_radius"]
    amounts = radius_in_units(scaling, median, threat)
    assert table.header == ("Column", "ℓ₁ thief, closed-form")
    assert [row[0] for row in table.rows] == ["age", "<b>", "rate"]
    for name, text in table.rows:
        shown = math.inf if text == "any amount" else float(text)
        assert 0.999 * amounts[name] <= shown <= amounts[name]
    assert units_table(data.series, replace(data.facts, scaling=None)) is None


@pytest.fixture
def rows_of_a_table(tmp_path):
    """A run on a table, certified against a named adversary with prices."""
    age, rate = NumericColumn("age", None, 20.0, 70.0), NumericColumn("rate", None, 0.0, 2.0)
    scaling = TableScaling((age, CategoryColumn("<b>", None, ("x",)), rate))
    model = FeatureConvexClassifier(
        Identity(), linear_score(torch.tensor([1.0, 0.0, 0.0, 1.0])), 0.7, input_shape=(4,), scaling=scaling
    )
    threat = parse_threat({"norm": 1, "name": "thief", "cost": {"age": 0.5}}, model)
    run = RunFolder(tmp_path / "run")
    run.create(RunFacts("t", None, "d", "a", "b", (4,), {}, 0, scaling.to_dict()))
    x = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    evaluate(model, Split(x, torch.arange(20) % 2 == 0), run, [threat], data_digest="d", seed=0)
    return run, scaling, threat


def test_curves_of_several_adversaries_have_readable_names(rows_of_a_table):
    run = rows_of_a_table[0]
    rows = run.read("certificates")
    key = rows["threat"][0]
    assert key.startswith("l1 thief #")
    for change in ({"threat": "l1 box[0,1]"}, {"method": "refined", "options": "sound=True, cuts=8"}):
        run.append("certificates", rows.with_columns(**{name: pl.lit(value) for name, value in change.items()}))
    labels = [(series.label, series.threat is not None) for series in read_report_data(run).series]
    assert labels == [("closed-form · box[0,1]", False), ("closed-form · thief", True), ("refined · thief", True)]
    run.append("certificates", rows.with_columns(method=pl.lit("refined"), options=pl.lit("sound=True, cuts=4")))
    labels = [series.label for series in read_report_data(run).series]
    assert labels[2:] == ["refined (cuts=4) · thief", "refined (cuts=8) · thief"]
    run.append("certificates", rows.with_columns(threat=pl.lit("l1 thief #00000000")))
    labels = [series.label for series in read_report_data(run).series]
    assert f"closed-form · {key.removeprefix('l1 ')}" in labels
    assert "closed-form · thief #00000000" in labels


def test_a_method_that_was_tried_on_a_few_samples_says_so(rows_of_a_table):
    run = rows_of_a_table[0]
    few = run.read("certificates").filter(pl.col("index") < 7).with_columns(method=pl.lit("exact"))
    run.append("certificates", few)
    data = read_report_data(run)
    assert [series.label for series in data.series] == ["closed-form · 20 samples", "exact · 7 samples"]
    assert [series.method for series in data.widest] == ["closed-form"]


def test_known_upper_ends_are_in_the_summary(run):
    data = read_report_data(run)
    assert "Median radius at most" not in summary_table(data.series, data.facts).header
    first = replace(data.series[0], summary={**data.series[0].summary, "median_upper": 0.123456})
    table = summary_table((first, *data.series[1:]), data.facts)
    column = table.header.index("Median radius at most")
    assert [row[column] for row in table.rows] == ["0.124", "inf", "inf", "inf"]
