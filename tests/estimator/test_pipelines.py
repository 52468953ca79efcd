"""Pipelines of scikit-learn before a detector: radii in raw units, attacked through the whole pipeline."""

import functools
import itertools
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from asymcert.errors import InputError
from asymcert.estimator import FeatureConvexDetector, LinfDistanceDetector, certify_pipeline, steps
from asymcert.threats.model import ThreatModel

NORMS = (1.0, 1.5, 2.0, math.inf)
NAMES = ["year", "amount", "share", "degrees", "calls", "constant"]
COST = np.array([3.0, 0.01, 100.0, 1.0, 2.0, 1.0])


def raw(rows=200):
    """Columns of very different sizes, and a label that needs several of them."""
    random = np.random.default_rng(0)
    year, amount = 2000.0 + random.integers(0, 25, rows), random.lognormal(7, 1, rows)
    share, degrees, calls = random.random(rows), random.normal(10, 15, rows), random.poisson(4, rows)
    X = np.stack([year, amount, share, degrees, calls, np.full(rows, 7.0)], axis=1)
    y = (year - 2012) / 7 + np.log(amount) - 7 + 3 * (share - 0.5) + degrees / 15 + (calls - 4) / 2 > 0.7
    return X, y.astype(int)


def several():
    """Columns in another order, each scaled in its own way, one dropped, others passed through."""
    twice = make_pipeline(SimpleImputer(), StandardScaler(), MinMaxScaler((-1, 1)))
    parts = [("d", twice, [3, 1]), ("gone", "drop", [5]), ("y", RobustScaler(), slice(0, 1)), ("none", PCA(), [])]
    return ColumnTransformer(parts, remainder="passthrough")


BEFORE = {
    "standard": StandardScaler,
    "without mean": lambda: StandardScaler(with_mean=False),
    "without deviation": lambda: StandardScaler(with_std=False),
    "min-max": lambda: MinMaxScaler((2.0, 5.0), clip=True),
    "max-abs": lambda: MaxAbsScaler(),
    "robust": lambda: RobustScaler(with_centering=False),
    "several": several,
    "imputed": lambda: make_pipeline(SimpleImputer(strategy="median"), "passthrough", StandardScaler()),
    "PCA": lambda: make_pipeline(StandardScaler(), PCA(4)),
    "whitened": lambda: make_pipeline(StandardScaler(), PCA(4, whiten=True), MaxAbsScaler()),
}


@functools.cache
def trained(name):
    """A pipeline with an almost linear detector, whose radii are nearly the best ones."""
    detector = FeatureConvexDetector(feature_map="identity", hidden=(4,), members=1, min_steps=150, random_state=0)
    return make_pipeline(BEFORE[name](), detector).fit(*raw())


def slopes(pipeline, X):
    """Gradients of the margin by raw columns, by differences, (n, d)."""
    change = 1e-5 * np.diag(raw()[0].std(0) + 1e-3)
    moved = [pipeline.decision_function(X + row) - pipeline.decision_function(X - row) for row in change]
    return np.stack(moved, axis=1) / (2 * np.diag(change))


def steepest(slope, norm):
    """Changes of l_p norm 1, p = `norm`, along which planes of these slopes (n, d) rise most."""
    size = np.abs(slope) / np.maximum(np.abs(slope).max(1, keepdims=True), 1e-300)
    change = size == 1 if norm == 1 else size ** (1 / (norm - 1)) if norm < math.inf else np.ones_like(size)
    change = np.sign(slope) * change
    return change / np.maximum(np.linalg.norm(change, norm, axis=1, keepdims=True), 1e-300)


def lowest(pipeline, X, norm, sizes, cost, rounds=8):
    """Least margin (n,) that is found by changes of such sizes, each as steep as the plane where the last one led."""
    best, at = pipeline.decision_function(X), X
    for _ in range(rounds):
        at = X - sizes[:, None] * steepest(slopes(pipeline, at) / cost, norm) / cost
        best = np.minimum(best, pipeline.decision_function(at))
    return best


def attacked(name, norm, factor=1.0, cost=COST):
    """Margins of alerts with finite radii after attacks of `factor` times the radius."""
    pipeline, (X, _) = trained(name), raw()
    certificate = certify_pipeline(pipeline, X, norm, cost)
    radius = certificate.radius.numpy()
    chosen = (radius > 0) & np.isfinite(radius)
    assert chosen.sum() > 30
    return lowest(pipeline, X[chosen], norm, radius[chosen] * factor, cost)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", BEFORE)
def test_no_change_of_raw_columns_inside_the_radius_flips(name, norm):
    assert (attacked(name, norm, 1 - 1e-9) > 0).all()


@pytest.mark.parametrize("name", BEFORE)
def test_radii_are_nearly_the_best(name):
    assert (attacked(name, 2.0, 1.5 if name not in ("PCA", "whitened") else 6.0) <= 0).mean() > 0.5


@pytest.mark.parametrize("name", ["standard", "min-max", "max-abs", "robust", "several", "PCA"])
@pytest.mark.parametrize("fault", [1.5, 0.5])
def test_a_wrong_scale_is_found(monkeypatch, name, fault):
    """A slope that is too small promises too much; one that is too great, too little."""
    right = steps._affine
    monkeypatch.setattr(steps, "_affine", lambda step: (right(step)[0] * fault, right(step)[1]))
    if name == "PCA":
        fault = 0.1 if fault < 1 else fault
    assert (attacked(name, 2.0, 1 - 1e-9) > 0).all() == (fault > 1)


def test_certificate_says_what_the_pipeline_does():
    pipeline, (X, _) = trained("several"), raw()
    certificate = certify_pipeline(pipeline, X, cost=COST)
    assert certificate.threat.norm == 2
    assert certificate.threat.cost.tolist() == COST.tolist()
    assert np.array_equal(certificate.margin.numpy(), pipeline.decision_function(X))
    assert np.array_equal(certificate.sensitive.numpy(), pipeline.predict(X) == 1)
    halved = certify_pipeline(pipeline, X, cost=2 * COST)
    assert torch.allclose(halved.radius, 2 * certificate.radius)


def test_without_steps_it_is_the_detector():
    X, y = raw()
    detector = FeatureConvexDetector(min_steps=50, random_state=0).fit(X, y)
    for norm in (0, 1, 2):
        found = certify_pipeline(Pipeline([("detector", detector)]), X, norm)
        assert torch.allclose(found.radius, torch.from_numpy(detector.certify(X, norm)), rtol=1e-12)


@pytest.mark.parametrize("bend", [None, QuantileTransformer(n_quantiles=50), PowerTransformer()])
def test_columns_are_counted_through_whatever_keeps_them_apart(bend):
    X, y = raw()
    before = make_pipeline(several(), bend or "passthrough")
    pipeline = make_pipeline(before, FeatureConvexDetector(min_steps=150, random_state=0)).fit(X, y)
    certificate = certify_pipeline(pipeline, X, "columns")
    counts = certificate.radius.numpy()
    chosen = np.flatnonzero((counts >= 1) & np.isfinite(counts))[:25]
    assert len(chosen) >= 10
    values = [np.linspace(column.min(), column.max(), 3) for column in X.T]
    for row in chosen:
        for columns in itertools.combinations(range(5), min(int(counts[row]), 2)):
            tried = np.array(list(itertools.product(*(values[column] for column in columns))))
            changed = np.repeat(X[row][None], len(tried), axis=0)
            changed[:, columns] = tried
            assert (pipeline.decision_function(changed) > 0).all()
    assert certificate.upper is None  # of the detector's columns, some values of which no raw value becomes


def test_parts_of_threats_follow_their_columns():
    """The pipeline reorders columns; a column that may not change can be as dear as one likes."""
    pipeline, (X, _) = trained("several"), raw()
    free = certify_pipeline(pipeline, X, 1)
    for place in range(6):
        mutable = torch.arange(6) != place
        fixed = certify_pipeline(pipeline, X, threat=ThreatModel(1, mutable=mutable), method="tangent")
        dear = certify_pipeline(pipeline, X, 1, np.where(mutable, 1.0, 1e3), method="tangent")
        finite = dear.radius < 100
        assert finite.sum() > 30
        assert torch.allclose(fixed.radius[finite], dear.radius[finite], rtol=1e-5, atol=1e-6)
        assert (fixed.radius >= free.radius * (1 - 1e-9)).all()
    rising = certify_pipeline(pipeline, X, threat=ThreatModel(1, direction=torch.tensor(1)), method="tangent")
    assert (rising.radius >= free.radius * (1 - 1e-9)).all()
    assert (rising.radius > free.radius).any()


def test_frames_with_categories_pass_through():
    X, y = raw()
    frame = pd.DataFrame(X, columns=NAMES).assign(kind=np.where(y == 1, "b", "a"))
    scaled = ColumnTransformer([("s", StandardScaler(), ["amount", "year"])], remainder="passthrough")
    scaled.set_output(transform="pandas")
    pipeline = make_pipeline(scaled, FeatureConvexDetector(min_steps=100, random_state=0)).fit(frame, y)
    certificate = certify_pipeline(pipeline, frame, 1)
    assert np.array_equal(certificate.sensitive.numpy(), pipeline.predict(frame) == 1)
    other = frame.assign(kind="a")[(certificate.radius > 1).numpy()]
    assert (pipeline.predict(other) == 1).all()
    with pytest.raises(InputError, match=r"`X` must be of the columns .* in that order"):
        certify_pipeline(pipeline, frame[frame.columns[::-1]], 1)


def test_missing_values_are_measured_from_what_fills_them():
    pipeline, (X, _) = trained("imputed"), raw()
    gaps, filled = X.copy(), X.copy()
    gaps[::3, 3], filled[::3, 3] = np.nan, np.median(X[:, 3])
    assert torch.equal(certify_pipeline(pipeline, gaps).radius, certify_pipeline(pipeline, filled).radius)
    with pytest.raises(InputError, match=r"finite where step 'standardscaler' computes.*SimpleImputer"):
        certify_pipeline(trained("standard"), gaps)


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler((-3, 1)), RobustScaler(), MaxAbsScaler()])
def test_moves_as_computed_stay_below_what_is_carried(scaler):
    """In exact arithmetic, for changes down to one unit in the last place, far from zero."""
    random = np.random.default_rng(1)
    data = random.normal(size=(20, 4)) * 10.0 ** random.integers(-3, 4, 4) + [1e6, 0, -3e3, 1e-8]
    scaler.fit(data)
    x = data[:1] * (1 + random.random((50, 1)))
    steps_up = [np.nextafter(x, math.inf), x * (1 + 1e-15), x + 1e-3 * data.std(0), x + 1e6 * data.std(0), -x]
    for other in steps_up:
        carried = steps._scaled("s", scaler, x, steps.Carried(1.0, np.ones(4), np.zeros(50), np.arange(4)))
        before, after = scaler.transform(x), scaler.transform(other)
        for row in range(50):
            moved = [Fraction(a) - Fraction(b) for a, b in zip(after[row], before[row], strict=True)]
            size = sum(abs(Fraction(a) - Fraction(b)) for a, b in zip(other[row], x[row], strict=True))
            cost = sum(abs(move) * Fraction(price) for move, price in zip(moved, carried.price, strict=True))
            assert cost <= size + Fraction(carried.error[row])


def test_linf_nets_too():
    X, y = raw()
    detector = LinfDistanceDetector(width=8, min_steps=50, random_state=0)
    pipeline = make_pipeline(StandardScaler(), detector).fit(X, y)
    certificate = certify_pipeline(pipeline, X)
    assert certificate.threat.norm == math.inf
    chosen = (certificate.radius > 0).numpy()
    low = lowest(pipeline, X[chosen], math.inf, certificate.radius.numpy()[chosen] * (1 - 1e-9), np.ones(6))
    assert (low > 0).all()


class Shifted(StandardScaler):
    """A scaler that does something else."""

    def transform(self, X, copy=None):
        return super().transform(X, copy) ** 2


@pytest.mark.parametrize(
    ("before", "norm", "message"),
    [
        (FunctionTransformer(np.log1p), 2, r"`step 'functiontransformer'` must be one through which radii are known"),
        (Normalizer(), 2, r"got Normalizer\. Leave it out, or certify what it makes"),
        (OneHotEncoder(sparse_output=False), 2, r"got OneHotEncoder\. Detectors encode categories themselves"),
        (Shifted(), 2, "got Shifted"),
        (QuantileTransformer(n_quantiles=9), 2, r"a scaler where changes are measured.*norm='columns'"),
        (PCA(3), 0, r"mixes no columns where they are counted"),
        (SimpleImputer(missing_values=0.5), 2, "fills NaN and keeps the columns"),
        (SimpleImputer(add_indicator=True), 2, "fills NaN and keeps the columns"),
        (ColumnTransformer([("a", MaxAbsScaler(), [0, 1]), ("b", MaxAbsScaler(), [1])]), 2, "uses each column once"),
        (ColumnTransformer([("a", PCA(1), [0, 1])], remainder="passthrough"), 1, "or asked about in norm 2"),
        (
            ColumnTransformer([("a", MaxAbsScaler(), [0, 1])], transformer_weights={"a": 5.0}),
            2,
            "without transformer_weights",
        ),
        (make_pipeline(MaxAbsScaler(), Normalizer()), 2, "step 'pipeline__normalizer'"),
    ],
)
def test_steps_that_are_refused(before, norm, message):
    X, y = raw(60)
    pipeline = make_pipeline(before, FeatureConvexDetector(min_steps=5, random_state=0)).fit(np.abs(X), y)
    with pytest.raises(InputError, match=message):
        certify_pipeline(pipeline, np.abs(X), norm)


def test_what_is_not_known_is_refused():
    X, y = raw()
    pipeline = trained("standard")
    with pytest.raises(InputError, match=r"last step is a detector of tables, got .* LogisticRegression"):
        certify_pipeline(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y), X)
    with pytest.raises(InputError, match=r"`X` must be in float64 where step .* got float32"):
        certify_pipeline(pipeline, X.astype(np.float32))
    with pytest.raises(InputError, match=r"got lower\. Leave them out"):
        certify_pipeline(pipeline, X, threat=ThreatModel(2, lower=torch.zeros(6)))
    with pytest.raises(InputError, match="`threat` must be left out"):
        certify_pipeline(pipeline, X, 2, threat=ThreatModel(2))
    with pytest.raises(InputError, match="`threat` must be a ThreatModel, got dict"):
        certify_pipeline(pipeline, X, threat={"norm": 1})
    with pytest.raises(InputError, match="`cost` must be broadcastable"):
        certify_pipeline(pipeline, X, cost=np.ones(5))
    with pytest.raises(InputError, match="without mutable where a step mixes or bends"):
        certify_pipeline(trained("PCA"), X, threat=ThreatModel(2, mutable=torch.ones(6, dtype=torch.bool)))
    with pytest.raises(InputError, match=r"a dense table \(n, d\), got shape \(6,\)"):
        certify_pipeline(pipeline, X[0])
