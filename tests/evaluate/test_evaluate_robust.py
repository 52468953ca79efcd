"""Figures of a detector under attack: held to certification at other thresholds and to attacks."""

import math

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from asymcert.attacks import ProjectedGradient
from asymcert.certify import certify
from asymcert.datasets.binary import Split
from asymcert.errors import InputError
from asymcert.evaluate.audit import audit
from asymcert.evaluate.detection import detection
from asymcert.evaluate.judged import judge, judge_run
from asymcert.evaluate.robust import (
    attacked_margins,
    certified_detection,
    operating_points,
    record_points,
    rows_at_points,
)
from asymcert.evaluate.run import evaluate
from asymcert.threats.model import ThreatModel

SETTINGS = {"data_digest": "data", "seed": 0}
RATE = 0.1  # of 30 harmless samples, 3


@pytest.fixture
def hard(split) -> Split:
    """As many samples of each class, 6 of either labelled wrongly."""
    return Split(split.x, split.y ^ (torch.arange(60) % 10 < 2))


@pytest.mark.parametrize("norm", [1, 2, math.inf])
def test_no_attack_does_worse_than_the_certified_figures(model, hard, run, norm):
    threat, size = ThreatModel(norm), {1: 0.5, 2: 0.2, math.inf: 0.05}[norm]
    rows = evaluate(model, hard, run, [threat], **SETTINGS)
    sizes = torch.full((int(hard.y.sum()),), size, dtype=torch.float64)
    found = ProjectedGradient(steps=40).run(model, hard.x[hard.y], threat, sizes, torch.Generator().manual_seed(0))
    label, least = attacked_margins(rows, size)
    attacked = rows["margin"].to_numpy().copy()
    attacked[label] = found.margin.numpy()
    assert (least[label] <= attacked[label]).all()
    certified, clean = certified_detection(rows, size, 10), detection(label, rows["margin"].to_numpy(), resamples=10)
    assert certified["roc_auc"].value <= roc_auc_score(label, attacked) < clean["roc_auc"].value
    assert certified["roc_auc"].value == pytest.approx(roc_auc_score(label, least))
    assert certified["average_precision"].value < clean["average_precision"].value


def test_no_change_leaves_the_figures_but_for_rounding(rows):
    _, least = attacked_margins(rows, 0.0)
    margin = rows["margin"].to_numpy()
    assert (least <= margin).all()
    assert least == pytest.approx(margin, abs=1e-9)
    assert np.isfinite(attacked_margins(rows, 1e300)[1]).all()


@pytest.mark.parametrize("method", ["closed-form", "tangent", "refined"])
def test_every_method_certifies_at_the_rate(model, hard, run, method):
    threat = ThreatModel(2, 0, 1)
    rows = evaluate(model, hard, run, [threat], method, **SETTINGS)
    points = operating_points(model, hard, [RATE, 0.01])
    assert [point.max_fpr for point in points] == [RATE]  # 30 harmless samples show no 1 %
    record_points(run, points, model_digest=model.digest, data_digest="data", split="test")
    record_points(run, points, model_digest=model.digest, data_digest="data", split="test")
    assert len(run.read("points")) == 1
    moved = points[0].model
    verdict = moved.predict(hard.x)
    assert verdict[~hard.y].sum() <= 3
    assert (
        float(verdict[hard.y].double().mean())
        == detection(hard.y.numpy(), rows["margin"].to_numpy(), [RATE], resamples=2)[f"tpr_at_fpr_{RATE}"].value
    )
    assert list(rows_at_points(run, rows)) == []  # not certified there yet
    evaluate(moved, Split(hard.x[:20], hard.y[:20]), run, [threat], method, **SETTINGS)
    assert list(rows_at_points(run, rows)) == []  # nor all samples
    evaluate(moved, hard, run, [threat], method, **SETTINGS)
    ((rate, threshold, at),) = rows_at_points(run, rows)
    assert (rate, threshold) == (RATE, moved.threshold)
    whole = certify(moved, hard.x, threat, method).radius.tolist()
    assert at.sort("index")["radius"].to_list() == pytest.approx(whole, rel=1e-9, abs=0)  # batches round differently
    assert not audit(moved, hard, run, [threat])["success"].any()
    judged = judge(run, rows, [0.0, 0.05])
    assert judged.points[0].false_positive_rate == float(verdict[~hard.y].double().mean())
    assert [each.value for each in judged.points[0].caught] == [
        float(((at["radius"] > size) & at["label"]).sum() / 30) for size in (0.0, 0.05)
    ]
    if method == "closed-form":  # what slopes say of another threshold is what certifying there finds
        label, least = attacked_margins(rows, 0.05)
        kept = float((least[label] > threshold - model.threshold).mean())
        beyond = float(((at["radius"] > 0.05 * (1 + 1e-6)) & at["label"]).sum() / 30)
        assert beyond <= kept <= judged.points[0].caught[1].value
        assert 0 < kept < judged.points[0].caught[0].value
    else:
        assert judged.certified == []


def test_points_of_another_threshold_are_not_taken(model, split, run):
    (point,) = operating_points(model, split, [RATE])
    other = model.with_threshold(model.threshold + 0.01)
    record_points(run, [point], model_digest=model.digest, data_digest="data", split="test")
    rows = evaluate(other, split, run, [ThreatModel(2)], **SETTINGS)
    evaluate(point.model, split, run, [ThreatModel(2)], **SETTINGS)
    assert list(rows_at_points(run, rows)) == []


@pytest.mark.parametrize("method", ["smoothing", "splitting", "ablation"])
def test_votes_are_no_log_odds(rows, run, method):
    voted = judge(run, rows.with_columns(method=pl.lit(method)))
    assert voted.calibration is None
    assert math.isnan(voted.detection["brier"].value)
    assert voted.certified == []
    told = judge(run, rows).to_dict()
    assert list(told) == ["detection", "confusion", "calibration", "caught", "certified", "at_max_fpr"]
    assert len(told["certified"]) == 6
    assert judge_run(run, rows.filter("label")) == []


def test_slopes_that_are_none_and_other_methods_are_refused(rows):
    for other in (rows.with_columns(slope=pl.lit(math.nan)), rows.with_columns(method=pl.lit("tangent"))):
        with pytest.raises(InputError, match="not a function of margin and slope"):
            certified_detection(other, 0.1)
    for radius in (-1.0, math.inf, math.nan):
        with pytest.raises(InputError, match="`radius`"):
            certified_detection(rows, radius)
