"""Detectors inside scikit-learn's own tools."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

from asymcert.errors import InputError
from estimator.frames import as_polars, detector


def test_grid_search_over_a_frame(bought):
    frame, y = bought
    search = GridSearchCV(detector(min_steps=60), {"impute": ["median", "zero"]}, cv=2).fit(frame, y)
    assert search.best_score_ > 0.8
    assert search.best_estimator_.certify(frame).shape == (len(frame),)


def test_cross_validation_of_a_polars_frame(bought):
    frame, y = bought
    assert cross_val_score(detector(min_steps=60), as_polars(frame), y, cv=2).min() > 0.75


def test_calibration_and_tuned_threshold(bought):
    frame, y = bought
    calibrated = CalibratedClassifierCV(detector(min_steps=60), cv=2).fit(frame, y)
    assert calibrated.score(frame, y) > 0.8
    tuned = TunedThresholdClassifierCV(detector(min_steps=60), scoring="balanced_accuracy", cv=2).fit(frame, y)
    assert tuned.score(frame, y) > 0.7
    assert tuned.estimator_.certify(frame).shape == (len(frame),)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_pipeline_whose_steps_put_out_frames(bought, kind):
    frame, y = bought
    numbers, names = ["amount", "age"], ["country"]
    encoder = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(sparse_output=False), names))
    pipeline = make_pipeline(encoder.set_output(transform=kind), detector()).fit(frame, y)
    assert pipeline.score(frame, y) > 0.7
    assert list(pipeline[-1].feature_names_in_) == list(pipeline[0].get_feature_names_out())
    assert pipeline[-1].certify(pipeline[0].transform(frame)).shape == (len(frame),)


def test_max_fpr_holds_on_the_rows_held_back(bought):
    frame, y = bought
    rates = {}
    for max_fpr in (0.05, 0.3):
        model = detector(max_fpr=max_fpr, validation_fraction=0.5).fit(frame, y)
        rates[max_fpr] = np.mean(model.predict(frame)[y == "fine"] == "fraud")
        assert rates[max_fpr] < max_fpr + 0.1
        assert model.model.info["config"]["false_positive_rate"] == max_fpr
    assert rates[0.05] < rates[0.3]
    with pytest.raises(InputError, match=r"`max_fpr` must be at least 1/\d+, one false alarm among these"):
        detector(max_fpr=0.001).fit(frame, y)
    with pytest.raises(InputError, match="`max_fpr` must be a number"):
        detector(max_fpr=2).fit(frame, y)


def test_heavy_rows_are_put_right(bought):
    """Where labels contradict each other, the heavier ones win; rows of weight 0 play no part."""
    frame, y = bought
    turned = np.where(y == "fraud", "fine", "fraud")
    twice, labels = pd.concat([frame, frame], ignore_index=True), np.concatenate((y, turned))
    for weights in ((9.0, 1.0), (1.0, 0.0)):
        model = detector().fit(twice, labels, sample_weight=np.repeat(weights, len(frame)))
        assert model.score(frame, y) > 0.85
    alone = detector().fit(frame, y)
    assert np.array_equal(model.decision_function(frame), alone.decision_function(frame))


def test_a_rare_class_is_found_whatever_it_weighs(bought):
    frame, y = bought
    rare = np.flatnonzero((y == "fine") | (np.arange(len(y)) % 8 == 0))
    frame, y = frame.iloc[rare], y[rare]
    for weight in ("balanced", None, {"fraud": 10, "fine": 1}):
        model = detector(class_weight=weight).fit(frame, y)
        assert recall_score(y, model.predict(frame), pos_label="fraud") > 0.6, weight


def test_weights_of_classes_move_the_threshold(bought):
    frame, y = bought
    alarms = []
    for weight in (0.01, 1.0, 100.0):
        options = {"class_weight": {"fraud": weight, "fine": 1.0}, "dropout": 0.9, "validation_fraction": 0.5}
        alarms.append(np.mean(detector(**options, min_steps=30).fit(frame, y).predict(frame) == "fraud"))
    assert alarms == sorted(alarms)
    assert alarms[0] < alarms[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_weight": np.zeros(400)}, "`sample_weight` must be nonnegative and not zero everywhere"),
        ({"sample_weight": np.full(400, -1.0)}, "`sample_weight` must be nonnegative"),
        ({"sample_weight": np.ones(3)}, r"`sample_weight` must be of shape \(400,\)"),
    ],
    ids=["zero", "negative", "too few"],
)
def test_weights_that_are_none(bought, change, message):
    with pytest.raises(InputError, match=message):
        detector().fit(*bought, **change)


@pytest.mark.parametrize("sensitive", ["fraud", "fine"])
@pytest.mark.parametrize("by_name", [True, False], ids=["names", "numbers"])
def test_monotone_columns(bought, sensitive, by_name):
    """As in scikit-learn, in the direction of `classes_[1]`, whichever class is sensitive."""
    frame, y = bought
    signs = {"age": 1, "amount": -1}  # amounts speak for fraud: the sign has an effect
    given = signs if by_name else [signs.get(name, 0) for name in frame]
    model = detector(sensitive=sensitive, monotonic_cst=given).fit(frame, y)
    for name, sign in signs.items():
        values = np.linspace(0.0, 100.0, 40)
        paths = np.stack([model.decision_function(frame.head(50).assign(**{name: value})) for value in values])
        assert (sign * np.diff(paths, axis=0) >= -1e-12).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"agee": 1}, "Did you mean age"),
        ([1, 0], r"`monotonic_cst` must be of shape \(7,\), got shape \(2,\)"),
        ({"age": 2}, "`monotonic_cst` must be -1, 0 or 1 for numbers, 0 for categories, got 2 for 'age'"),
        ({"country": 1}, "0 for categories, got 1 for 'country'"),
    ],
    ids=["name", "shape", "sign", "category"],
)
def test_monotone_columns_that_are_none(bought, given, message):
    with pytest.raises(InputError, match=message):
        detector(monotonic_cst=given).fit(*bought)


def test_patience_stops_early_and_keeps_the_best(bought):
    frame, y = bought
    long = detector(epochs=30, patience=3).fit(frame, y)
    assert long.score(frame, y) > 0.9
    assert long.model.info["config"]["keep"] == "accurate"


@pytest.fixture(scope="module")
def hasty(bought):
    return detector(min_steps=20).fit(*bought)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": (4,)},
        {"members": 2},
        {"feature_map": "centre"},
        {"dropout": 0.1},
        {"weight_decay": 0.5},
        {"target_columns": 1},
        {"columns_weight": 0.9},
        {"epochs": 30},
        {"min_steps": 300},
        {"batch_size": 50},
        {"learning_rate": 0.01},
        {"impute": "zero"},
        {"max_categories": 1},
        {"class_weight": None},
        {"validation_fraction": 0.5},
        {"random_state": 1},
        {"sensitive": "fine"},
        {"max_fpr": 0.2},
    ],
    ids=str,
)
def test_every_parameter_changes_the_model(bought, hasty, change):
    frame, y = bought
    other = detector(**{"min_steps": 20} | change).fit(frame, y)
    assert not np.array_equal(other.decision_function(frame), hasty.decision_function(frame))


def test_maps_other_than_ramps_are_trained_for_a_radius(bought):
    frame, y = bought
    short = {"feature_map": "centre", "min_steps": 20, "epochs": 1}
    fields = [
        detector(**short, threat={"norm": norm}, target_radius=0.3).fit(frame, y).model.info["config"]
        for norm in (1, 2, "inf")
    ]
    for config, name in zip(fields, ("target_l1", "target_l2", "target_linf"), strict=True):
        assert {key: config[key] for key in config if key.startswith("target_") and config[key]} == {name: 0.3}
    with pytest.raises(InputError, match=r"of norm 1, 2 or inf to train for, got norm 0\. Set feature_map='ramps'"):
        detector(**short, threat={"norm": 0}).fit(frame, y)


def test_weights_of_a_score(fitted, bought):
    frame, y = bought
    weighted = fitted.score(frame, y, sample_weight=(y == "fraud").astype(float))
    assert weighted == pytest.approx(recall_score(y, fitted.predict(frame), pos_label="fraud"))


def test_tags_say_what_goes_in():
    tags = get_tags(detector())
    assert tags.input_tags.allow_nan
    assert tags.input_tags.categorical
    assert not tags.classifier_tags.multi_class
    assert not get_tags(detector(impute=None)).input_tags.allow_nan
