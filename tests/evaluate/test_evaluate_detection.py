"""The figures of a detector are scikit-learn's, resample by resample."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import calibration as sk_calibration
from sklearn import metrics

from asymcert.errors import InputError
from asymcert.evaluate.detection import calibration, confusion, detection

module = importlib.import_module("asymcert.evaluate.detection")


@st.composite
def judged(draw, most=40):
    """Labels of both classes and margins with many ties."""
    n = draw(st.integers(2, most))
    labels = np.array([True, False, *draw(st.lists(st.booleans(), min_size=n - 2, max_size=n - 2))])
    return labels, np.array(draw(st.lists(st.integers(-6, 6), min_size=n, max_size=n))) / 4


def reference(labels, margin, weights, rate):
    """Each figure by scikit-learn, of weighted samples."""
    alarm, weighted = margin > 0, {"sample_weight": weights}
    false, caught, _ = metrics.roc_curve(labels, margin, drop_intermediate=False, **weighted)
    return {
        "roc_auc": metrics.roc_auc_score(labels, margin, **weighted),
        "average_precision": metrics.average_precision_score(labels, margin, **weighted),
        f"tpr_at_fpr_{rate:g}": caught[false <= rate + 1e-12].max(),
        "accuracy": metrics.accuracy_score(labels, alarm, **weighted),
        "precision": metrics.precision_score(labels, alarm, zero_division=0, **weighted),
        "recall": metrics.recall_score(labels, alarm, **weighted),
        "f1": metrics.f1_score(labels, alarm, zero_division=0, **weighted),
        "false_positive_rate": 1 - metrics.recall_score(~labels, ~alarm, **weighted),
        "brier": metrics.brier_score_loss(labels, 1 / (1 + np.exp(-margin)), **weighted),
    }


@settings(max_examples=60, deadline=None)
@given(judged(), st.sampled_from([0.5, 0.29, 1.0]))
def test_figures_are_those_of_scikit_learn(case, rate):
    labels, margin = case
    expected = reference(labels, margin, np.ones(len(labels)), rate)
    found = detection(labels, margin, [rate], resamples=2)
    assert set(found) == set(expected)
    for name, estimate in found.items():
        if name.startswith("tpr") and rate * (~labels).sum() < 1:
            assert np.isnan(estimate.value)
        else:
            assert estimate.value == pytest.approx(expected[name], abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(judged(), st.integers(0, 9))
def test_every_resample_is_judged_as_scikit_learn_judges_its_weights(case, seed):
    """The counts of a resample are sample weights; each class keeps its number of samples."""
    labels, margin = case
    (drawn,) = module.resampled(labels, 3, seed)
    assert [part.sum(axis=1).tolist() for part in drawn] == [[labels.sum()] * 3, [(~labels).sum()] * 3]
    found = module._figures(*module._at_scores(labels, margin, drawn), [1.0])
    ends = np.sort(labels)[::-1], np.concatenate([margin[labels], margin[~labels]])
    for row in range(3):
        weights = np.concatenate([part[row] for part in drawn])
        kept = weights > 0
        expected = reference(ends[0][kept], ends[1][kept], weights[kept], 1.0)
        assert {name: values[row] for name, values in found.items()} == pytest.approx(expected, abs=1e-12)


def test_intervals_cover_as_often_as_they_say():
    """AUC of normal scores one apart is Phi(1 / sqrt 2) = 0.7602; of 200 samples' intervals about 95 % hold it."""
    draws = np.random.default_rng(0)
    labels = np.arange(120) % 3 == 0
    held = 0
    for trial in range(200):
        found = detection(labels, draws.normal(labels.astype(float), 1.0), resamples=300, seed=trial)["roc_auc"]
        assert found.lower < found.value < found.upper
        held += found.lower <= 0.7602 <= found.upper
    assert 180 <= held <= 198


def test_blocks_and_seed(monkeypatch):
    draws = np.random.default_rng(1)
    labels = np.arange(50) % 2 == 0
    margin = draws.normal(size=50)
    once = detection(labels, margin, [0.1])
    assert detection(labels, margin, [0.1]) == once
    assert detection(labels, margin, [0.1], seed=1) != once
    monkeypatch.setattr(module, "BLOCK_VALUES", 100)
    small = detection(labels, margin, [0.1])
    assert {name: each.value for name, each in small.items()} == {name: each.value for name, each in once.items()}
    assert small["roc_auc"].lower == pytest.approx(once["roc_auc"].lower, abs=0.02)


def test_a_rate_that_the_samples_cannot_show_has_no_value():
    labels = np.arange(200) < 100
    found = detection(labels, np.linspace(1, -1, 200), [0.01, 0.001], resamples=5)
    assert found["tpr_at_fpr_0.01"].value == 1.0
    assert np.isnan(found["tpr_at_fpr_0.001"]).all()


def test_more_false_alarms_never_catch_less():
    draws = np.random.default_rng(2)
    labels = draws.random(400) < 0.5
    found = detection(labels, draws.normal(labels * 1.0), [0.01, 0.05, 0.2], resamples=50)
    caught = [found[f"tpr_at_fpr_{rate}"] for rate in (0.01, 0.05, 0.2)]
    assert sorted(caught) == caught


@settings(max_examples=40, deadline=None)
@given(judged(most=60))
def test_calibration_is_that_of_scikit_learn(case):
    labels, margin = case
    found = calibration(labels, margin, bins=4)
    observed, predicted = sk_calibration.calibration_curve(
        labels, 1 / (1 + np.exp(-margin)), n_bins=4, strategy="quantile"
    )
    assert found["count"].sum() == len(labels)
    assert (found["lower"] <= found["observed"]).all()
    assert (found["observed"] <= found["upper"]).all()
    if len(np.unique(np.quantile(margin, np.linspace(0, 1, 5)))) == 5:  # where scikit-learn's edges are distinct too
        assert found["observed"].to_numpy() == pytest.approx(observed)
        assert found["predicted"].to_numpy() == pytest.approx(predicted)


@given(judged())
def test_confusion_is_that_of_scikit_learn(case):
    labels, margin = case
    (passed, false_alarms), (missed, caught) = metrics.confusion_matrix(labels, margin > 0, labels=[False, True])
    assert confusion(labels, margin > 0) == {
        "caught": caught,
        "missed": missed,
        "false_alarms": false_alarms,
        "passed": passed,
    }


def test_bad_input_is_refused():
    labels, margin = np.array([True, False]), np.zeros(2)
    for arguments, name in (
        ((labels[:1], margin), "`sensitive`"),
        ((labels | True, margin), "`sensitive` must be labels of both classes"),
        ((labels, np.array([np.nan, 1.0])), "`margin`"),
        ((labels, margin, [1.5]), "`rates`"),
    ):
        with pytest.raises(InputError, match=name):
            detection(*arguments)
    with pytest.raises(InputError, match="`resamples`"):
        detection(labels, margin, resamples=0)
