import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asymcert.datasets.columns import CategoryColumn, NumericColumn
from asymcert.datasets.scaling import TableScaling
from asymcert.errors import RunError
from asymcert.evaluate.facts import RunFacts
from asymcert.report.gallery import strips
from asymcert.report.series import drawn_curve, norm_symbol, read_report_data
from asymcert.report.tables import audit_table, round_sizes, scaling_table, summary_table, threat_text


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
    assert threat_text("linf box[0,1] cost #ab", math.inf) == "ℓ∞ box[0,1] cost #ab"


def test_series_are_told_apart(run, overlay):
    data = read_report_data(run, overlay)
    assert {norm: [series.label for series in panel] for norm, panel in data.panels.items()} == {
        1.0: ["closed-form"],
        2.0: ["closed-form", "halved"],
        math.inf: ["closed-form"],
    }
    first, second = data.panels[2.0]
    assert first.colour != second.colour
    np.testing.assert_allclose(second.radii, first.radii / 2, rtol=1e-12)
    assert second.surface() is None


def test_round_sizes_are_round_and_cover_the_radii(run):
    for panel in read_report_data(run).panels.values():
        sizes = round_sizes(panel)
        assert sizes[0] == 0
        assert len(sizes) == 6
        assert all(len(f"{size:g}") <= 6 for size in sizes)
        assert sizes[3] < max(panel[0].radii)


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


def test_audit_counts_attacks_and_failures(run):
    audit = pl.DataFrame({"attack": ["a", "a", "b"], "norm": [1.0, 1.0, math.inf], "success": [True, False, False]})
    table, broken, tried = audit_table(audit)
    assert (broken, tried) == (1, 3)
    assert table.rows == (("a", "ℓ₁", "–", "2", "1"), ("b", "ℓ∞", "–", "1", "0"))
    with pytest.raises(RunError, match="success"):
        audit_table(audit.drop("success"))


def test_units_of_a_table_are_listed():
    columns = (NumericColumn("age", None, 20.0, 70.0), CategoryColumn("<b>", None, ("x",)))
    facts = RunFacts("t", None, "d", "a", "b", (3,), {}, 0, TableScaling(columns).to_dict())
    rows = scaling_table(facts).rows
    assert rows[0][1] == "50.0000"
    assert all("no unit" in row[1] for row in rows[1:])
