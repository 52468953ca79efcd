"""Piecewise-linear encoding: values, edges, constant, file, and certificates that hold."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asymcert.attacks import ProjectedGradient, RandomSearch
from asymcert.certify import Refined, Tangent
from asymcert.errors import InputError, ModelFileError
from asymcert.features import Centre, Chain, Ramps
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import linear_score, random_mlp, seeded

THREE = Ramps(torch.tensor([0, 0, 2]), torch.tensor([0.0, 0.5, -1.0]), torch.tensor([0.5, 1.0, 3.0]), 3)


def skewed(n: int = 300, d: int = 6) -> torch.Tensor:
    """Heavy-tailed inputs in [0, 1], many of them zero, the last one binary."""
    x = torch.rand(n, d, generator=seeded(0)) ** 6
    x[:, 1] = torch.where(torch.rand(n, generator=seeded(1)) < 0.8, 0.0, x[:, 1])
    x[:, -1] = (x[:, -1] > 0.01).float()
    return x


def test_value_by_hand():
    x = torch.tensor([[0.25, 9.0, 1.0], [0.75, -9.0, 9.0], [-2.0, 0.0, -9.0]])
    assert THREE(x).tolist() == [[0.5, 0.0, 0.5], [1.0, 0.5, 1.0], [0.0, 0.0, 0.0]]


def test_knots_are_the_ends_of_each_input_s_ramps():
    knots = THREE.knots((3,)).T
    assert knots[0].tolist() == [0.0, 0.5, 1.0]
    assert knots[2].tolist()[:2] == [-1.0, 3.0]
    assert float(knots[2, 2]) > 3.0


def test_edges_are_distinct_values_or_quantiles_also_of_the_rare_ones():
    x = skewed()
    ramps = Ramps.fit(x, 8)
    counts = torch.bincount(ramps.source.long(), minlength=6).tolist()
    assert counts[-1] == 1  # binary: one ramp
    assert counts[1] >= 6  # mostly zero: quantiles of the others beside it
    assert counts[0] == 7
    low = ramps.low[ramps.source == 0]
    assert bool((low.diff() > 0).all())
    assert float(low[0]) == pytest.approx(float(x[:, 0].min()), abs=1e-6)
    share = float(((x[:, 0] > low[3]) & (x[:, 0] <= low[4])).float().mean())
    assert share == pytest.approx(1 / 7, abs=0.02)


def test_constant_inputs_have_no_ramp():
    x = skewed()
    x[:, 2] = 0.25
    assert 2 not in Ramps.fit(x).source.tolist()
    with pytest.raises(InputError, match="constant"):
        Ramps.fit(torch.ones(5, 3))


@given(st.integers(0, 10**6), st.sampled_from([1e-30, 1.0, 1e6, 1e30]), st.sampled_from([0.0, 1.0, -1e9]))
def test_ends_are_exact_in_both_types_whatever_the_data(seed, scale, offset):
    x = torch.randn(40, 3, generator=seeded(seed)) ** 9 * scale + offset * scale
    if bool((x == x[0]).all()):
        return
    ramps = Ramps.fit(x)  # its constructor refuses ends that are not exact
    assert torch.equal(ramps.low, ramps.low.float().double())
    assert torch.equal(ramps.width, ramps.width.float().double())
    values = ramps(x.double())
    assert bool(((values >= 0) & (values <= 1)).all())


@pytest.mark.parametrize("norm", [1.0, 1.5, 2.0, math.inf])
def test_the_constant_bounds_every_ratio_and_is_attained(norm):
    ramps = Ramps.fit(skewed(), 6)
    x, y = skewed().double(), skewed().flip(0).double()
    ratio = torch.linalg.vector_norm(ramps(x) - ramps(y), norm, dim=1) / torch.linalg.vector_norm(x - y, norm, dim=1)
    assert float(ratio.nan_to_num(0.0).max()) <= ramps.lipschitz(norm)
    steepest = int(ramps.width.argmin())
    start = torch.zeros(1, 6, dtype=torch.float64)
    end = start.clone()
    start[0, ramps.source[steepest].long()] = ramps.low[steepest]
    end[0, ramps.source[steepest].long()] = ramps.low[steepest] + ramps.width[steepest]
    moved = torch.linalg.vector_norm(ramps(end) - ramps(start), norm) / torch.linalg.vector_norm(end - start, norm)
    assert float(moved) == pytest.approx(ramps.lipschitz(norm), rel=1e-9)


def test_pieces_follow_the_map():
    ramps = Ramps.fit(skewed(), 6)
    knots, slopes = ramps.knots((6,)), ramps.slopes((6,))
    x = torch.rand(50, 6, generator=seeded(3)).double()
    own = ramps.sources((6,))
    piece = (x[:, None] > knots[None]).sum(1)[:, own]
    rise = (ramps(x + 1e-9) - ramps(x)) / 1e-9
    torch.testing.assert_close(rise, slopes.gather(0, piece), rtol=1e-5, atol=1e-4)


def test_beyond_the_edges_nothing_changes_so_an_unlimited_change_may_be_harmless():
    x = skewed().double()
    model, _ = random_mlp(0, feature_map=Ramps.fit(x, 4))
    easy = model.with_threshold(model.threshold - 1e3)
    certificate = Tangent().certify(easy, x, [ThreatModel(2)])[0]
    assert bool(certificate.radius.isinf().all())
    refused = Tangent().certify(model, x, [ThreatModel(2)])[0]
    assert bool(refused.radius[refused.sensitive].isfinite().any())


@pytest.mark.parametrize("edges", [2, 12])
def test_attacks_do_not_succeed_inside(edges):
    x = skewed(40).double()
    model, _ = random_mlp(edges, feature_map=Ramps.fit(x, edges))
    model = model.with_threshold(float((model.margin(x) + model.threshold).quantile(0.3)))
    tried = 0
    for threat in (ThreatModel(1), ThreatModel(2, lower=0, upper=1), ThreatModel(math.inf)):
        for certifier in (Tangent(), Refined(cuts=3)):
            certificate = certifier.certify(model, x, [threat])[0]
            rows = (certificate.radius > 0) & certificate.radius.isfinite()
            for attack in (ProjectedGradient(20, 2), RandomSearch(20)):
                result = attack.run(model, x[rows], threat, certificate.radius[rows] * (1 - 1e-9), seeded(5))
                tried += len(result)
                assert not bool(result.success.any())
    assert tried > 100


def test_refined_is_at_least_the_tangent():
    x = skewed(12).double()
    model, _ = random_mlp(7, feature_map=Ramps.fit(x, 8))
    for norm in (1.0, 2.0, math.inf):
        tangent, refined = (c.certify(model, x, [ThreatModel(norm)])[0].radius for c in (Tangent(), Refined(cuts=3)))
        assert bool((refined >= tangent).all())


def test_file_round_trip_and_a_damaged_one(tmp_path):
    x = skewed()
    model, _ = random_mlp(1, feature_map=Ramps.fit(x))
    model.save(tmp_path / "model.safetensors")
    loaded = FeatureConvexClassifier.load(tmp_path / "model.safetensors")
    assert torch.equal(loaded.margin(x), model.margin(x))
    assert loaded.digest == model.digest
    model.feature_map.source[0] = 17
    model.save(tmp_path / "other.safetensors")
    with pytest.raises(ModelFileError, match="source"):
        FeatureConvexClassifier.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Ramps(torch.tensor([0]), torch.tensor([1.0]), torch.tensor([1.0]), 1), "`high` must be above"),
        (lambda: Ramps(torch.tensor([0]), torch.tensor([1e-20]), torch.tensor([1.0]), 1), "difference that is exact"),
        (lambda: Ramps(torch.tensor([3]), torch.tensor([0.0]), torch.tensor([1.0]), 2), "`source` must be"),
        (lambda: Ramps(torch.tensor([0]), torch.tensor([0.0, 1.0]), torch.tensor([1.0]), 2), "`low` must be of shape"),
        (lambda: Ramps(torch.tensor([0]), torch.tensor([math.nan]), torch.tensor([1.0]), 2), "`low` must be finite"),
        (lambda: Ramps.fit(torch.rand(3, 2, 2)), "`x` must be of shape"),
        (lambda: Ramps.fit(torch.rand(3, 2), 1), "`edges` must be"),
        (lambda: THREE.output_shape((4,)), "`input_shape` must be"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_an_input_s_own_rounding_is_multiplied_by_the_slope(monkeypatch):
    """In single precision the numbers near 0.5 are 1/256 of the ramp apart."""
    steep = Ramps(torch.tensor([0]), torch.tensor([0.5]), torch.tensor([0.5 + 2.0**-16]), 1)
    model = FeatureConvexClassifier(steep, linear_score(torch.ones(1).double()), 133.3 / 256, input_shape=(1,)).float()
    x = torch.full((1, 1), 0.75, dtype=torch.float64)

    def stays():
        radius = Tangent().certify(model, x, [ThreatModel(1)])[0].radius
        return bool(model.predict(x - radius[:, None] * (1 - 1e-12)))

    assert stays()
    monkeypatch.setattr(Ramps, "magnitude", Ramps.magnitude_of_exact)
    assert not stays()


def test_last_in_a_chain_ramps_are_what_they_are_alone():
    x, half = (256 * skewed().double()).round() / 256, Centre(torch.full((6,), 0.5))
    maps = Ramps.fit(x, 5), Chain(half, Ramps.fit(half(x), 5))  # ends are exact after the shift too
    alone, chained = (random_mlp(1, feature_map=feature_map)[0] for feature_map in maps)
    chained = chained.with_threshold(alone.threshold)
    for norm in (2.0, math.inf):
        left, right = (Tangent().certify(model, x, [ThreatModel(norm)])[0].radius for model in (alone, chained))
        assert bool((left > 0).any())
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-9)
