"""Networks without a training error."""

import pytest
import torch

from asymcert import FeatureConvexClassifier, ThreatModel, certify, datasets
from asymcert.certify.exact import Exact
from asymcert.datasets.binary import Split
from asymcert.errors import InputError
from asymcert.evaluate import RunFacts, RunFolder, evaluate
from asymcert.evaluate.audit import audit
from asymcert.proofs import checker
from asymcert.theory.hull import hull_distances
from asymcert.theory.perfect import count_errors, cover, hull_units, learn_units, perfect_classifier


@pytest.fixture(scope="module")
def digits():
    """Images of threes and eights."""
    data = datasets.load("digits-3-8")
    return data.train.x, data.train.y


def random_labels(count: int = 100, features: int = 40):
    """Too many points for one hyperplane: 100 in 40 dimensions, with random labels."""
    generator = torch.Generator().manual_seed(3)
    return torch.rand(count, features, generator=generator), torch.arange(count) % 2 == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_learned_network_is_perfect_where_one_unit_is_not(dtype):
    x, y = random_labels()
    model = perfect_classifier(learn_units(x, y, 2, smoothing=0.01), (40,)).to(dtype)
    assert count_errors(model, x, y).total == 0
    one = perfect_classifier(learn_units(x, y, 1, smoothing=0.01, iterations=100), (40,))
    assert count_errors(one, x, y).total > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hull_network_is_perfect_and_certifies_the_limit(digits, dtype):
    x, y = digits
    units = hull_units(x, y, relative=0.05)
    model = perfect_classifier(units, tuple(x.shape[1:])).to(dtype)
    assert count_errors(model, x, y).total == 0
    limit = hull_distances(x[y], x[~y], tolerance=1e-3)
    # The unit of a sample alone proves nearly its distance; the exact method is the one that need not add units.
    sample = x[y][:3]
    radius = Exact(workers=1, tolerance=1e-2).certify(model, sample, [ThreatModel(2.0)])[0].radius
    assert (radius <= limit.upper[:3]).all()
    assert (radius >= 0.9 * limit.lower[:3]).all()


def test_cover_takes_few_units_and_stays_perfect(digits):
    x, y = digits
    units = hull_units(x, y)
    few = cover(units, x[y])
    assert len(few) < len(units) == int(y.sum())
    assert count_errors(perfect_classifier(few, tuple(x.shape[1:])), x, y).total == 0


def test_classifier_is_ordinary(tmp_path):
    x, y = random_labels()
    units = learn_units(x, y, 3, smoothing=0.01)
    model = perfect_classifier(units, (40,), sensitive="odd", other="even")
    model.save(tmp_path / "model.safetensors")
    loaded = FeatureConvexClassifier.load(tmp_path / "model.safetensors")
    assert loaded.digest == model.digest
    expected = units.values(x).clamp(min=0).sum(1)
    assert torch.allclose(loaded.margin(x.double()) + loaded.threshold, expected)
    certificate = certify(loaded, x, ThreatModel(2.0))
    assert (certificate.radius[y] > 0).all()
    assert (certificate.radius[~y] == 0).all()


def test_errors_are_counted_by_class():
    x, y = random_labels()
    model = perfect_classifier(learn_units(x, y, 2, smoothing=0.01), (40,))
    errors = count_errors(model, x, ~y)
    assert (errors.sensitive, errors.other, errors.total) == (50, 50, 100)


def test_points_inside_the_hull_are_refused():
    x = torch.tensor([[0.5, 0.5], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    with pytest.raises(InputError, match="convexly separable"):
        hull_units(x, torch.arange(5) == 0)


def test_cover_refuses_a_sample_that_no_unit_serves(digits):
    x, y = digits
    with pytest.raises(InputError, match="`units`"):
        cover(hull_units(x, y), x)


@pytest.mark.parametrize("options", [{"units": 0}, {"smoothing": 0.0}, {"iterations": 0}])
def test_mistakes_are_named(options):
    with pytest.raises(InputError, match=f"`{next(iter(options))}`"):
        learn_units(*random_labels(), **options)


def test_one_class_is_refused():
    x, y = random_labels()
    with pytest.raises(InputError, match="`y`"):
        learn_units(x, y | ~y)


def test_network_is_certified_audited_and_proven(tmp_path):
    x, y = random_labels()
    model = perfect_classifier(learn_units(x, y, 3, smoothing=0.01), (40,))
    threats = [ThreatModel(2.0)]
    run, split = RunFolder(tmp_path / "run"), Split(x[:12], y[:12])
    run.create(RunFacts("random", None, "none", "sensitive", "other", (40,), {}, 0))
    rows = evaluate(model, split, run, threats, "tangent", data_digest="none", seed=0, proofs=tmp_path / "proofs")
    assert (rows.filter(rows["label"])["radius"] > 0).all()
    attacked = audit(model, split, run, threats)
    assert attacked["success"].sum() == 0 < len(attacked)
    model.save(tmp_path / "model.safetensors")
    proofs = sorted(map(str, (tmp_path / "proofs").rglob("*.proof")))
    assert len(proofs) == 6
    assert checker.main([str(tmp_path / "model.safetensors"), *proofs]) == 0


def test_region_of_the_other_verdict_is_convex(digits):
    x, y = digits
    model = perfect_classifier(hull_units(x, y), tuple(x.shape[1:]))
    other = x[~y].double()
    share = torch.rand(len(other), 1, 1, 1, generator=torch.Generator().manual_seed(0)).double()
    mixtures = share * other + (1 - share) * other.roll(1, 0)
    assert not model.predict(mixtures).any()
