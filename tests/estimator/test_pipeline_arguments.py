"""What certifying a pipeline makes of rows, steps and adversaries that do not fit, and what it leaves as it was."""

import functools
import itertools

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from asymcert.errors import InputError
from asymcert.estimator import FeatureConvexDetector, certify_pipeline
from asymcert.threats.model import ThreatModel

COLUMNS = 4


def mixed(**options):
    """Columns by place: a slice of them, which is a view, and the rest."""
    scalers = StandardScaler(**options), MinMaxScaler(**options)
    return ColumnTransformer([("s", scalers[0], slice(0, 2))], remainder=scalers[1])


STEPS = {
    "standard": StandardScaler,
    "min-max": MinMaxScaler,
    "max-abs": MaxAbsScaler,
    "robust": RobustScaler,
    "imputer": lambda **options: make_pipeline(SimpleImputer(**options), StandardScaler(**options)),
    "columns": mixed,
    "PCA": functools.partial(PCA, 3),
    "quantiles": functools.partial(QuantileTransformer, n_quantiles=20),
    "power": PowerTransformer,
}
APART = [name for name in STEPS if name != "PCA"]
MEASURED = [name for name in STEPS if name not in ("quantiles", "power")]


def table():
    """Ties in each column, and a label that needs two of them."""
    X = np.random.default_rng(0).integers(0, 5, (120, COLUMNS)) + 0.25
    return X, (X[:, 0] + X[:, 1] > 4).astype(int)


def detector(**options):
    quick = {"feature_map": "identity", "hidden": (4,), "members": 1, "min_steps": 60, "random_state": 0}
    return FeatureConvexDetector(**quick | options)


@functools.cache
def trained(name, copy=True):
    X, y = table()
    return make_pipeline(STEPS[name](copy=copy), detector()).fit(X, y)


@functools.cache
def passed_through():
    return make_pipeline("passthrough", detector()).fit(*table())


def way_of_counting(name):
    return 2 if name in MEASURED else 0


@pytest.mark.parametrize("name", APART)
@pytest.mark.parametrize("method", ["tangent", "exact"])
def test_no_upper_bound_comes_through_a_step(name, method):
    """The detector knows one, but its worst value may lie where no raw value gets."""
    pipeline, (X, _) = trained(name), table()
    rows = X[pipeline.predict(X) == 1][:5]
    assert pipeline[-1].certificate(pipeline[:-1].transform(rows), 0, method=method).upper is not None
    assert certify_pipeline(pipeline, rows, 0, method=method).upper is None


def test_values_that_no_raw_value_becomes():
    """Why: ties leave gaps between what a quantile transformer makes, here of more than a tenth of the range."""
    X = table()[0][:, :1]
    every = np.unique(np.concatenate([np.linspace(0, 5, 5001), np.nextafter(X[:, 0], 9), np.nextafter(X[:, 0], -9)]))
    made = QuantileTransformer(n_quantiles=20).fit(X).transform(every[:, None])
    assert np.diff(np.unique(made)).max() > 0.1


def test_without_steps_the_detectors_upper_bound_stays():
    X, y = table()
    pipeline = Pipeline([("detector", detector().fit(X, y))])
    found, own = certify_pipeline(pipeline, X, 0), pipeline[-1].certificate(X, 0)
    assert torch.equal(found.upper, own.upper)


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("of", [np.array, np.asfortranarray, pd.DataFrame, pl.DataFrame, torch.as_tensor])
@pytest.mark.parametrize("name", STEPS)
def test_rows_stay_as_they_are(name, of):
    """Steps with copy=False write into what they get; certificates are about the rows as they were given."""
    pipeline, given, norm = trained(name, copy=False), of(table()[0]), way_of_counting(name)
    first = certify_pipeline(pipeline, given, norm)
    assert np.array_equal(np.asarray(given), table()[0])
    assert torch.equal(certify_pipeline(pipeline, given, norm).radius, first.radius)
    assert np.array_equal(first.margin.numpy(), pipeline.decision_function(table()[0]))
    assert (first.radius > 0).any()


@pytest.mark.parametrize("name", STEPS)
def test_steps_that_are_not_fitted_are_named(name):
    X, y = table()
    pipeline = Pipeline([("before", STEPS[name]()), ("detector", detector().fit(X, y))])
    for norm in (0, 2):
        with pytest.raises(NotFittedError, match=r"`pipeline` must be fitted, got step 'before.*Call pipeline\.fit"):
            certify_pipeline(pipeline, X, norm)


def test_a_step_whose_fit_failed_is_not_fitted():
    X, y = table()
    pca = PCA(COLUMNS + 1)
    with pytest.raises(ValueError, match="n_components"):
        pca.fit(X)
    with pytest.raises(NotFittedError, match=r"got step 'pca' \(PCA\)"):
        certify_pipeline(Pipeline([("pca", pca), ("detector", detector().fit(X, y))]), X)
    with pytest.raises(NotFittedError, match="FeatureConvexDetector"):
        certify_pipeline(make_pipeline(StandardScaler().fit(X), detector()), X)


@pytest.mark.parametrize("width", [0, COLUMNS - 1, COLUMNS + 1])
@pytest.mark.parametrize("name", [*STEPS, None])
def test_rows_of_another_width_are_to_blame(name, width):
    pipeline = passed_through() if name is None else trained(name)
    X = np.ones((5, width))
    for norm, of in itertools.product((0, 2), (np.array, pd.DataFrame)):
        with pytest.raises(InputError, match=rf"`X` must be of 4 columns, .* fitted, got {width} columns\. Pass the"):
            certify_pipeline(pipeline, of(X), norm, np.ones(COLUMNS))


def test_a_step_between_that_was_fitted_on_other_columns_is_to_blame():
    X, y = table()
    pipeline = make_pipeline(StandardScaler(), PCA(3), detector()).fit(X, y)
    pipeline.steps[1] = ("pca", PCA(2).fit(X))
    with pytest.raises(InputError, match=r"`step 'featureconvexdetector'` must be fitted on the 2 columns.*on 3\. Fit"):
        certify_pipeline(pipeline, X)
    pipeline.steps[1] = ("pca", PCA(2).fit(X[:, :3]))
    with pytest.raises(InputError, match=r"`step 'pca'` must be fitted on the 4 columns that it gets, got one .* on 3"):
        certify_pipeline(pipeline, X)


@pytest.mark.parametrize("before", [StandardScaler(), "passthrough"])
def test_columns_in_another_order_are_refused(before):
    X, y = table()
    frame = pd.DataFrame(X, columns=list("abcd"))
    pipeline = make_pipeline(before, detector()).fit(frame, y)
    for norm in (0, 2):
        with pytest.raises(InputError, match=r"`X` must be of the columns \['a', 'b', 'c', 'd'\] in that order"):
            certify_pipeline(pipeline, frame[list("dcba")], norm)


@pytest.mark.parametrize("norm", [[1], (1,), {}, {"p": 1}, "l2", "inf", True, False, 0.5, -1, np.nan, 1j, np.ones(2)])
def test_norms_that_are_none(norm):
    with pytest.raises(InputError, match=r"`norm` must be a number in \[1, inf\], 0 or 'columns', got .* Example"):
        certify_pipeline(trained("standard"), table()[0], norm)


@pytest.mark.parametrize(
    "cost", ["a", "5", {"x0": 1}, [[1, 2], [3]], ["1"] * COLUMNS, [True] * COLUMNS, 1j, {1, 2}, [10**400], object()]
)
def test_costs_that_are_none(cost):
    with pytest.raises(InputError, match=r"`cost` must be a number, or one for each column.*List one price"):
        certify_pipeline(trained("standard"), table()[0], cost=cost)


def test_costs_that_carry_gradients_are_numbers():
    pipeline, (X, _) = trained("standard"), table()
    cost = torch.full((COLUMNS,), 2.0, requires_grad=True)
    radii = certify_pipeline(pipeline, X, 2, [2.0] * COLUMNS).radius
    assert torch.equal(certify_pipeline(pipeline, X, 2, cost).radius, radii)
    assert torch.equal(certify_pipeline(pipeline, X, threat=ThreatModel(2, cost=cost)).radius, radii)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, 2.0], [3.0]], r"a dense table \(n, d\), got a list that is none\. Give all rows the same length"),
        (None, r"a dense table \(n, d\), got shape \(\)"),
        (np.full((3, COLUMNS), 1j), "got Complex data not supported"),
        (np.full((3, COLUMNS), "a"), "could not convert string to float"),
    ],
)
@pytest.mark.parametrize("name", ["standard", None])
def test_rows_that_are_no_table_of_numbers(name, X, message):
    with pytest.raises(InputError, match=f"`X` must be .*{message}"):
        certify_pipeline(trained(name) if name else passed_through(), X, 0)


def test_missing_values_before_a_detector_that_refuses_them():
    X, y = table()
    pipeline = make_pipeline("passthrough", detector(impute=None)).fit(X, y)
    with pytest.raises(InputError, match=r"`X` must be what step 'featureconvexdetector' can read, got .*NaN"):
        certify_pipeline(pipeline, np.where(X > 4, np.nan, X))


@pytest.mark.parametrize("name", [*STEPS, None])
def test_infinite_values_are_called_so(name):
    X = np.where(table()[0] > 4, np.inf, table()[0])
    pipeline, norm = (trained(name), way_of_counting(name)) if name else (passed_through(), 2)
    with pytest.raises(InputError, match=r"`X` must be finite .* got infinite values\. Drop such rows") as told:
        certify_pipeline(pipeline, X, norm)
    assert "SimpleImputer before" not in str(told.value)


@pytest.mark.parametrize("threat", [{"norm": 1}, ThreatModel(1)])
def test_a_detectors_own_threat_is_not_of_raw_columns(threat):
    X, y = table()
    pipeline = make_pipeline(StandardScaler(), detector(threat=threat)).fit(X, y)
    for cost in (None, np.ones(COLUMNS)):
        with pytest.raises(InputError, match=r"`norm` must be given, or `threat`, .* threat of its own.*raw ones"):
            certify_pipeline(pipeline, X, cost=cost)
    by_norm, by_threat = certify_pipeline(pipeline, X, 1), certify_pipeline(pipeline, X, threat=ThreatModel(1))
    assert by_norm.threat.norm == 1
    assert torch.equal(by_norm.radius, by_threat.radius)


@pytest.mark.parametrize("pipeline", [None, Pipeline([]), StandardScaler(), detector()])
def test_what_is_no_pipeline_of_a_detector(pipeline):
    with pytest.raises(InputError, match=r"`pipeline` must be a Pipeline whose last step is a detector of tables"):
        certify_pipeline(pipeline, table()[0])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"norm": [1]}, r"`norm` must be a number in \[1, inf\], 0 or 'columns', got \[1\]"),
        ({"norm": False}, r"`norm` must be a number in \[1, inf\]"),
        ({"norm": 0.5}, r"`norm` must be a number in \[1, inf\]"),
        ({"cost": "a"}, r"`cost` must be a number, or one for each column"),
        ({"cost": {"x0": 1}}, r"`cost` must be a number, or one for each column"),
    ],
)
def test_a_detector_alone_refuses_the_same(given, said):
    with pytest.raises(InputError, match=said):
        passed_through()[-1].certify(table()[0][:2], **given)


def test_prices_without_a_norm_do_not_replace_a_detector_s_own_threat():
    X, y = table()
    own = detector(threat={"norm": 1}).fit(X, y)
    with pytest.raises(InputError, match="`norm` must be given with `cost` where the detector has a threat of its own"):
        own.certify(X[:2], cost=2.0)
    assert len(own.certify(X[:2], norm=1, cost=2.0)) == 2
