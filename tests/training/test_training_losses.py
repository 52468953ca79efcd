import dataclasses
import math

import pytest
import torch

from asymcert.convex import ConvexMLP
from asymcert.features import CentreAbsolute
from asymcert.training.config import TrainConfig
from asymcert.training.losses import (
    Steepness,
    certified_loss,
    classification_loss,
    dual_norm,
    jacobian_norm,
    radius_hinge,
    training_loss,
    worst_fall,
)

NORMS = (1.0, 2.0, math.inf)


@pytest.fixture
def batch():
    """Scores, gradients and labels of a small network, and the gradients computed sample by sample."""
    torch.manual_seed(0)
    score = ConvexMLP((6,), (5, 4)).double()
    feature_map = CentreAbsolute(torch.full((3,), 0.5, dtype=torch.float64))
    features = feature_map(torch.rand(7, 3, dtype=torch.float64)).requires_grad_(True)
    scores = score(features)
    (gradient,) = torch.autograd.grad(scores.sum(), features, create_graph=True)
    single = torch.stack(
        [torch.autograd.functional.jacobian(lambda v: score(v[None])[0], f) for f in features.detach()]
    )
    steepness = {norm: Steepness.of(feature_map, norm) for norm in NORMS}
    return scores.detach(), gradient.detach(), single, torch.arange(7) % 2 == 0, steepness


def test_gradient_of_the_sum_is_each_samples_own(batch):
    _, gradient, single, _, _ = batch
    assert torch.allclose(gradient, single, rtol=0, atol=1e-14)


@pytest.mark.parametrize("norm", NORMS)
def test_dual_norm_is_the_largest_rise_over_the_unit_ball(norm):
    size = torch.rand(50, 4, dtype=torch.float64)
    dual = {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}[norm]
    expected = torch.linalg.vector_norm(size, ord=dual, dim=1)
    assert torch.allclose(dual_norm(size, norm), expected, rtol=1e-9)


def test_jacobian_norm_as_published_and_as_root_mean_square(batch):
    _, gradient, single, _, _ = batch
    total = math.sqrt(float(single.square().sum()))
    assert float(jacobian_norm(gradient, 0.0, mean=False)) == pytest.approx(total, rel=1e-9)
    assert float(jacobian_norm(gradient, 0.0, mean=True)) == pytest.approx(total / math.sqrt(7), rel=1e-9)


def test_radius_hinge_counts_the_shortfall_of_closed_form_radii(batch):
    scores, gradient, single, sensitive, steepness = batch
    target = 0.3
    expected = 0.0
    for score, row, label in zip(scores.tolist(), single, sensitive.tolist(), strict=True):
        radius = score / (steepness[2.0].constant * float(row.norm()))
        expected += min(2.0, max(0.0, 1 - radius / target)) * label / len(scores)
    assert float(radius_hinge(scores, gradient, sensitive, {2.0: target}, steepness)) == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("sensitive_only", [True, False])
def test_certified_loss_is_cross_entropy_at_the_worst_scores_in_the_ball(batch, sensitive_only):
    scores, gradient, single, sensitive, steepness = batch
    fall = worst_fall(gradient, {2.0: 0.2}, steepness)
    assert torch.allclose(fall, 0.2 * steepness[2.0].constant * single.flatten(1).norm(dim=1), rtol=1e-9)
    loss = 0.0
    for score, least, label in zip(scores.tolist(), (scores - fall).tolist(), sensitive.tolist(), strict=True):
        other = score if sensitive_only else 2 * score - least
        loss += math.log1p(math.exp(-least if label else other)) / len(scores)
    assert float(certified_loss(scores, fall, sensitive, sensitive_only)) == pytest.approx(loss, rel=1e-9)


def test_falls_are_averaged_over_norms(batch):
    _, gradient, _, _, steepness = batch
    single = [worst_fall(gradient, {norm: target}, steepness) for norm, target in ((1.0, 2.0), (math.inf, 0.1))]
    both = worst_fall(gradient, {1.0: 2.0, math.inf: 0.1}, steepness)
    assert torch.allclose(both, (single[0] + single[1]) / 2)


@pytest.mark.parametrize("options", [{}, {"sensitive_only": False}, {"penalty_max": 0.5}])
def test_penalty_options_change_the_penalty(batch, options):
    scores, gradient, _, sensitive, steepness = batch
    base = TrainConfig(loss="cross-entropy", penalty="rms")
    plain, changed = (
        training_loss(config, scores, scores, gradient, sensitive, steepness, 1.0)
        for config in (base, dataclasses.replace(base, **options))
    )
    assert (float(plain) != float(changed)) == bool(options)


@pytest.mark.parametrize("config", [{"loss": "cross-entropy", "penalty": "rms"}, {"loss": "radius"}, {}], ids=str)
def test_no_sensitive_sample_in_the_batch_leaves_cross_entropy(batch, config):
    scores, gradient, _, sensitive, steepness = batch
    nobody = torch.zeros_like(sensitive)
    loss = training_loss(TrainConfig(**config), scores, scores, gradient, nobody, steepness, 1.0)
    assert float(loss) == pytest.approx(float(classification_loss(scores, nobody)), abs=1e-5)
