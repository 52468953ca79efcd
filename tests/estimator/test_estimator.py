import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from asymcert.attacks import ProjectedGradient
from asymcert.errors import InputError
from asymcert.estimator import FeatureConvexDetector, LinfDistanceDetector
from asymcert.estimator.units import without_scaling_error
from asymcert.threats.model import ThreatModel
from contracts.modes import MODES

SMALL = {"hidden": (8,), "epochs": 5, "min_steps": 150, "random_state": 0}
SMALL_NET = {"width": 16, "epochs": 5, "min_steps": 400, "random_state": 1}
MAKERS = {
    "feature-convex": lambda **options: FeatureConvexDetector(**(SMALL | options)),
    "distance-net": lambda **options: LinfDistanceDetector(**(SMALL_NET | options)),
}


WEIGHTS = "weights say how often rows are drawn, so that repeated rows are like heavy ones on average only"
EXEMPT = {"check_sample_weight_equivalence_on_dense_data": WEIGHTS}


# scikit-learn itself skips the one that needs the array API.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [make(min_steps=50, random_state=0) for make in MAKERS.values()],
    expected_failed_checks=lambda _: EXEMPT,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def units(detector):
    """The range that each column of numbers was scaled by."""
    return np.array(detector.scaling_.units)


@pytest.fixture(scope="module")
def table():
    """Features of very different units, labels as text."""
    x, y = make_classification(300, 6, n_informative=4, n_redundant=0, class_sep=2.0, random_state=1)
    return x * np.array([1.0, 1e3, 1e-3, 5.0, 1.0, 2.0]) + 7.0, np.where(y == 1, "spam", "ham")


@pytest.fixture(scope="module", params=MAKERS)
def fitted(request, table):
    return MAKERS[request.param](sensitive="ham").fit(*table)


def test_sensitive_class_goes_by_the_users_label(fitted, table):
    x, y = table
    assert fitted.sensitive_ == "ham"
    assert fitted.score(x, y) > 0.85
    assert np.array_equal(fitted.predict(x) == "ham", fitted.certify(x) > 0)
    assert np.array_equal(fitted.decision_function(x) > 0, fitted.predict(x) == "spam")


def test_probabilities_agree_with_the_decision(fitted, table):
    x, _ = table
    probability, decision = fitted.predict_proba(x), fitted.decision_function(x)
    assert np.allclose(probability.sum(1), 1)
    assert np.array_equal(probability[:, 1] > 0.5, decision > 0)
    assert np.allclose(np.log(probability[:, 1] / probability[:, 0]), decision, atol=1e-6)


@pytest.mark.parametrize("norm", [1, 1.5, 2, math.inf])
@pytest.mark.parametrize("cost", [None, np.array([1.0, 2e-3, 3e3, 0.5, 1.0, 4.0])], ids=["plain", "costs"])
def test_no_change_in_the_users_units_inside_the_radius_flips(fitted, table, norm, cost):
    x, _ = table
    price = np.ones(6) if cost is None else cost
    radius = fitted.certify(x, norm=norm, cost=cost)
    draw = np.random.default_rng(0)
    chosen = radius > 0
    assert chosen.sum() > 50
    for scale in (1.0, units(fitted)):  # isotropic directions in the user's units, and in scaled ones
        for _ in range(40):
            change = draw.standard_normal(x.shape) * scale
            size = np.linalg.norm(price * change, ord=norm, axis=1)
            point = x + change * (0.999 * radius / size)[:, None]
            assert (fitted.predict(point)[chosen] == "ham").all()


def test_radius_is_tight_enough_to_be_reached_at_ten_times(table):
    """The steepest direction at a few radii undoes most verdicts: the radius is no trivial zero."""
    x, _ = table
    fitted = MAKERS["feature-convex"](sensitive="ham").fit(*table)
    radius = fitted.certify(x, norm=2)
    low = np.array([column.low for column in fitted.scaling_.columns])
    point = torch.tensor((x - low) / units(fitted), requires_grad=True)
    (gradient,) = torch.autograd.grad(fitted.model_(point).sum(), point)
    slope = gradient.numpy() / units(fitted)
    change = -slope / np.linalg.norm(slope, axis=1, keepdims=True) * 10 * radius[:, None]
    flipped = fitted.predict(x + change)[radius > 0] != "ham"
    assert flipped.mean() > 0.5


@pytest.mark.parametrize(("kind", "field"), [("feature-convex", "target_radius"), ("distance-net", "epsilon")])
def test_pipeline_grid_search_and_cross_validation(table, kind, field):
    x, y = table
    pipeline = make_pipeline(StandardScaler(), MAKERS[kind](sensitive="spam"))
    search = GridSearchCV(pipeline, {f"{pipeline.steps[-1][0]}__{field}": [0.1, 0.5]}, cv=2).fit(x, y)
    assert search.best_score_ > 0.8
    assert cross_val_score(MAKERS[kind](), x, y, cv=2).min() > 0.8


def test_breast_cancer_reaches_95_percent():
    x, y = load_breast_cancer(return_X_y=True)
    scores = cross_val_score(FeatureConvexDetector(sensitive=0, random_state=0), x, y, cv=3)
    assert scores.mean() >= 0.95


def test_distance_net_on_breast_cancer():
    """Accuracy and radius on samples held out, and no attack inside the radius succeeds."""
    x, y = load_breast_cancer(return_X_y=True)
    x_fit, x_test, y_fit, y_test = train_test_split(x, y, test_size=0.4, stratify=y, random_state=0)
    detector = LinfDistanceDetector(sensitive=0, random_state=0).fit(x_fit, y_fit)
    assert detector.score(x_test, y_test) >= 0.89
    # Costs that undo the scaling measure changes in scaled features, which `epsilon` is in.
    radius = detector.certify(x_test, cost=1.0 / units(detector))
    assert np.array_equal(radius > 0, detector.predict(x_test) == 0)
    assert np.median(radius[y_test == 0]) >= 0.1
    low = np.array([column.low for column in detector.scaling_.columns])
    scaled = torch.as_tensor((x_test - low) / units(detector)).clamp(0.0, 1.0)
    attack = ProjectedGradient(steps=20, restarts=2)
    for norm in (2, math.inf):
        threat = ThreatModel(norm, lower=0, upper=1, cost=torch.as_tensor(units(detector)))  # all that X can become
        inside = torch.as_tensor(0.999 * detector.certify(x_test, norm))
        attacked = attack.run(detector.model_, scaled, threat, inside, torch.Generator().manual_seed(0))
        assert not attacked.success.any()


def test_norm_unless_another_is_named(fitted, table):
    norm = math.inf if isinstance(fitted, LinfDistanceDetector) else 2
    certificate = fitted.certificate(table[0])
    assert certificate.threat.norm == norm
    assert np.array_equal(certificate.radius.numpy(), fitted.certify(table[0], norm=norm))


@pytest.mark.parametrize(
    "change", [{"width": 24}, {"depth": 3}, {"epsilon": 0.2}, {"epochs": 200}, {"learning_rate": 0.01}]
)
def test_every_field_of_the_net_changes_the_model(table, fitted_net, change):
    other = MAKERS["distance-net"](**BRIEF | change).fit(*table)
    assert not np.array_equal(other.decision_function(table[0]), fitted_net.decision_function(table[0]))


BRIEF = {"min_steps": 50}


@pytest.fixture(scope="module")
def fitted_net(table):
    return MAKERS["distance-net"](**BRIEF).fit(*table)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda e, x, y: e.set_params(sensitive="eggs").fit(x, y), InputError, "`sensitive` must be one of"),
        (lambda e, x, y: e.fit(x, np.full(len(x), "spam")), ValueError, "got 1 class"),
        (lambda e, x, y: e.fit(x, np.arange(len(x)) % 3), ValueError, "got 3 classes"),
        (lambda e, x, y: e.fit(x, np.where(np.arange(len(x)) == 0, "spam", "ham")), ValueError, "at least 2 samples"),
        (lambda e, x, y: e.set_params(impute=None).fit(np.where(x > 8, np.nan, x), y), ValueError, "NaN"),
        (lambda e, x, y: e.certify(x), NotFittedError, "not fitted"),
        (lambda e, x, y: e.fit(x, y).certify(x, norm=0.5), InputError, "`norm` must be"),
        (lambda e, x, y: e.fit(x, y).certify(x, cost=np.ones(3)), InputError, "`cost` must be broadcastable to"),
        (lambda e, x, y: e.fit(x, y).certify(x, cost=-np.ones(6)), InputError, "`cost` must be positive"),
        (lambda e, x, y: e.fit(x, y).certify(x[:, :3]), ValueError, "3 features"),
        (lambda e, x, y: e.set_params(epochs=0, min_steps=0).fit(x, y), InputError, "`epochs` must be"),
    ],
)
@pytest.mark.parametrize("kind", MAKERS)
def test_bad_input_is_refused(table, kind, act, error, message):
    with pytest.raises(error, match=message):
        act(MAKERS[kind](min_steps=5), *table)


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        ("feature-convex", "feature_map", "fourier", "`feature_map` must be one of"),
        ("distance-net", "width", 0, "`width` must be"),
        ("distance-net", "depth", 0, "`depth` must be"),
        ("distance-net", "epsilon", 0.0, "`epsilon` must be"),
        ("distance-net", "learning_rate", -1.0, "`learning_rate` must be"),
    ],
)
def test_bad_settings_are_refused(table, kind, field, value, message):
    with pytest.raises(InputError, match=message):
        MAKERS[kind](**{field: value}).fit(*table)


def test_radii_cover_the_rounding_of_the_scaling():
    """In exact arithmetic: a change below the radius in the user's units is one below the scaled radius."""
    draw = np.random.default_rng(0)
    tight = 0
    for _ in range(3000):
        low, extent, x, y = draw.uniform(-3, 3), draw.uniform(0.1, 9), *draw.uniform(-40, 40, 2)
        before, after = ((value - low) / extent for value in (x, y))
        scaled_radius = math.nextafter(abs(after - before) * extent, 0.0)  # so y is outside
        scaled = torch.tensor([[before]])
        radius = without_scaling_error(
            torch.tensor([scaled_radius], dtype=torch.float64), scaled, torch.tensor([extent], dtype=torch.float64)
        )
        if Fraction(scaled_radius) < abs(Fraction(after) - Fraction(before)) * Fraction(extent):
            assert Fraction(float(radius)) <= abs(Fraction(y) - Fraction(x))
            tight += Fraction(scaled_radius) > abs(Fraction(y) - Fraction(x))
        assert float(radius) == pytest.approx(scaled_radius, rel=1e-10, abs=1e-13)
    assert tight > 100  # radii that would have been too large without


@pytest.mark.parametrize("far", [math.inf, 0.0])
def test_infinite_and_absent_radii_stay(far):
    given = torch.tensor([far], dtype=torch.float64)
    assert without_scaling_error(given, torch.ones(1, 2).double(), torch.ones(2).double()).item() == far


@pytest.mark.parametrize(
    "parameters",
    [
        {"epochs": 0},
        {"epochs": "many"},
        {"min_steps": -1},
        {"batch_size": 0},
        {"validation_fraction": 0},
        {"validation_fraction": 1.0},
        {"validation_fraction": "a fifth"},
    ],
    ids=str,
)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_parameters_out_of_range_are_refused_by_name(make, parameters, table):
    (name,) = parameters
    with pytest.raises(InputError, match=f"`{name}` must be"):
        make(**parameters).fit(*table)


def test_one_width_is_no_tuple(table):
    with pytest.raises(InputError, match=r"`hidden` must be a tuple of widths, got 5\. Example: hidden=\(16, 8\)"):
        FeatureConvexDetector(hidden=5).fit(*table)  # pyright: ignore[reportArgumentType]


def test_a_range_that_overflows_is_refused_by_feature():
    x = np.ones((8, 3)) * np.arange(8)[:, None]
    x[:4, 1], x[4:, 1] = -1.7e308, 1.7e308
    with pytest.raises(InputError, match="`range of column 'x1'` must be increasing and finite"):
        FeatureConvexDetector(**SMALL).fit(x, np.arange(8) % 2)


def test_no_samples_and_no_mode_make_a_difference(fitted, table):
    x, _ = table
    for name, shape in (("predict", (0,)), ("decision_function", (0,)), ("predict_proba", (0, 2)), ("certify", (0,))):
        none = getattr(fitted, name)(x[:0])
        assert (none.shape, none.dtype) == (shape, getattr(fitted, name)(x[:2]).dtype)
    with pytest.raises(ValueError, match="0 sample"):
        clone(fitted).fit(x[:0], np.zeros(0))
    for mode in MODES.values():
        plain = [fitted.certify(x[:9]), fitted.decision_function(x[:9])]
        with mode():
            assert np.array_equal(fitted.certify(x[:9]), plain[0])
            assert np.array_equal(fitted.decision_function(x[:9]), plain[1])


@pytest.mark.parametrize("mode", ["inference mode", "another default device", "autocast"])
def test_training_does_not_depend_on_the_mode(table, mode):
    x, y = table
    quick = {"hidden": (4,), "epochs": 1, "min_steps": 3, "random_state": 0}
    with MODES[mode]():
        inside = FeatureConvexDetector(**quick).fit(x, y)
    assert inside.model.digest == FeatureConvexDetector(**quick).fit(x, y).model.digest
