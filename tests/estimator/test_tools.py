"""Detectors inside scikit-learn's own tools."""

import numpy as np
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
    search = GridSearchCV(detector(), {"impute": ["median", "zero"]}, cv=2).fit(frame, y)
    assert search.best_score_ > 0.8
    assert search.best_estimator_.certify(frame).shape == (len(frame),)


def test_cross_validation_of_a_polars_frame(bought):
    frame, y = bought
    assert cross_val_score(detector(), as_polars(frame), y, cv=2).min() > 0.75


def test_calibration_and_tuned_threshold(bought):
    frame, y = bought
    calibrated = CalibratedClassifierCV(detector(), cv=2).fit(frame, y)
    assert calibrated.score(frame, y) > 0.8
    tuned = TunedThresholdClassifierCV(detector(), scoring="balanced_accuracy", cv=2).fit(frame, y)
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
