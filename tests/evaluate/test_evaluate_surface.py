import importlib

import numpy as np
import polars as pl
import pytest
import torch

from asymcert.certify import certify
from asymcert.errors import InputError
from asymcert.evaluate.curves import certified_accuracy_at
from asymcert.evaluate.surface import Surface, columns_surface, surface
from asymcert.runs.rows import Origin, make_rows
from asymcert.threats.model import ThreatModel


def test_surface_is_that_of_certifying_again_at_every_threshold(rows, model, split):
    result = surface(rows)
    assert result.certified.shape == (len(result.radii), len(result.thresholds))
    assert 0.0 in result.thresholds
    off = np.nextafter(result.radii, np.inf) * (1 + 1e-9)  # just beyond, where rounding cannot matter
    for position, shift in enumerate(result.thresholds):
        moved = model.with_threshold(model.threshold + float(shift))
        again = make_rows(
            certify(moved, split.x, ThreatModel(2)), torch.arange(60), split.y, Origin("test", "m", "d", 0), 0.0
        )
        exact = certified_accuracy_at(again, result.radii.tolist())["accuracy"].to_numpy()
        beyond = certified_accuracy_at(again, off.tolist())["accuracy"].to_numpy()
        assert (result.certified[:, position] <= exact).all()
        assert (result.certified[:, position] >= beyond).all()
        sensitive = again.filter("label")["prediction"].mean()
        other = 1 - again.filter(~pl.col("label"))["prediction"].mean()
        assert result.accuracy_sensitive[position] == sensitive
        assert result.accuracy_other[position] == pytest.approx(other, abs=1e-15)


def test_surface_never_certifies_more_than_the_curve(rows):
    radii = certified_accuracy_at(rows, rows["radius"].to_list())
    result = surface(rows, radii=radii["radius"].to_list(), thresholds=[0.0])
    assert (result.certified[:, 0] <= radii.unique("radius").sort("radius")["accuracy"].to_numpy()).all()


def test_surface_falls_with_radius_and_threshold(rows):
    result = surface(rows)
    assert (np.diff(result.certified, axis=0) <= 0).all()
    assert (np.diff(result.certified, axis=1) <= 0).all()
    assert (np.diff(result.accuracy_other) >= 0).all()
    assert result.certified[0, 0] > result.certified[-1, -1]


module = importlib.import_module("asymcert.evaluate.surface")  # its name is that of the function, too


def test_blocks_do_not_change_the_surface(rows, monkeypatch):
    whole = surface(rows)
    monkeypatch.setattr(module, "BLOCK_VALUES", 100)
    assert np.array_equal(surface(rows).certified, whole.certified)


def test_a_constant_score_is_certified_at_every_radius(rows):
    flat = rows.with_columns(slope=pl.lit(0.0), margin=pl.lit(1.0), prediction=pl.lit(True), radius=pl.lit(np.inf))
    result = surface(flat, radii=[0.0, 1e300], thresholds=[0.0, 0.5, 1.0])
    assert result.certified.tolist() == [[1, 1, 0], [1, 1, 0]]
    assert surface(flat).radii.tolist() == [0.0]


def test_balanced_threshold_is_where_the_accuracies_cross():
    grid, falling = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 0.9, 0.2])
    crossing = Surface(np.zeros(1), grid, falling[None], falling, np.array([0.1, 0.8, 0.95]))
    assert crossing.balanced_threshold == 1.0
    assert Surface(np.zeros(1), grid, falling[None], falling, np.zeros(3)).balanced_threshold is None


def test_surface_refuses_other_methods_and_bad_grids(rows):
    with pytest.raises(InputError, match="not a function of margin and slope"):
        surface(rows.with_columns(method=pl.lit("exact")))
    with pytest.raises(InputError, match="both classes"):
        surface(rows.filter("label"))
    for radii in ([-1.0], [], [np.nan], [np.inf]):
        with pytest.raises(InputError, match="`radii`"):
            surface(rows, radii=radii)
    with pytest.raises(InputError, match="`thresholds`"):
        surface(rows, thresholds=[np.inf])


def test_where_columns_are_counted_every_threshold_is_certified_anew(model, split):
    threat = ThreatModel(0, lower=0, upper=1)
    found = columns_surface(model, split, threat, most=3)
    assert found.radii.tolist() == [0, 1, 2, 3]
    assert 0.0 in found.thresholds
    assert (np.diff(found.certified, axis=0) <= 0).all()  # more columns, fewer alerts left
    assert (np.diff(found.certified, axis=1) <= 0).all()
    assert 0 < found.certified[1].max() <= found.accuracy_sensitive.max()
    own = certify(model, split.x[split.y], threat)
    at = int(np.flatnonzero(found.thresholds == 0.0)[0])
    for count in range(4):
        kept = float((own.sensitive & (own.radius >= count)).double().mean())
        assert found.certified[count, at] == kept
    with pytest.raises(InputError, match="norm 0"):
        columns_surface(model, split, ThreatModel(2))
