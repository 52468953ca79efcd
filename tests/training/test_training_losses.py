import math

import pytest
import torch

from asymcert.convex import ConvexMLP
from asymcert.features import CentreAbsolute
from asymcert.training.config import TrainConfig
from asymcert.training.losses import certified_loss, dual_norm, gradient_loss, jacobian_norm, radius_hinge

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
    lipschitz = {norm: feature_map.lipschitz(norm) for norm in NORMS}
    return scores.detach(), gradient.detach(), single, torch.arange(7) % 2 == 0, lipschitz


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
    scores, gradient, single, sensitive, lipschitz = batch
    target = 0.3
    expected = 0.0
    for score, row, label in zip(scores.tolist(), single, sensitive.tolist(), strict=True):
        radius = score / (lipschitz[2.0] * float(row.norm()))
        expected += min(2.0, max(0.0, 1 - radius / target)) * label / len(scores)
    assert float(radius_hinge(scores, gradient, sensitive, {2.0: target}, lipschitz)) == pytest.approx(
        expected, rel=1e-6
    )


def test_certified_loss_bounds_the_loss_in_the_ball(batch):
    """Scores may fall by target * slope: the loss at any smaller fall is no larger."""
    scores, gradient, single, sensitive, lipschitz = batch
    bound = float(certified_loss(scores, gradient, sensitive, {2.0: 0.2}, lipschitz))
    drop = 0.2 * lipschitz[2.0] * single.flatten(1).norm(dim=1)
    worst = torch.nn.functional.softplus(drop - scores.detach())
    assert bound == pytest.approx(float((worst * sensitive).mean()), rel=1e-6)
    assert bound >= float((torch.nn.functional.softplus(-scores.detach()) * sensitive).mean())


@pytest.mark.parametrize("options", [{}, {"penalise_sensitive_only": True}, {"penalty_max": 0.5}])
def test_penalty_options_change_the_penalty(batch, options):
    scores, gradient, _, sensitive, lipschitz = batch
    base = TrainConfig(loss="cross-entropy", penalty="rms")
    plain = gradient_loss(base, scores, gradient, sensitive, lipschitz)
    config = TrainConfig(loss="cross-entropy", penalty="rms", **options)
    changed = gradient_loss(config, scores, gradient, sensitive, lipschitz)
    assert (float(plain) != float(changed)) == bool(options)


def test_no_sensitive_sample_in_the_batch_is_no_nan(batch):
    scores, gradient, _, sensitive, lipschitz = batch
    nobody = torch.zeros_like(sensitive)
    for config in (
        TrainConfig(loss="cross-entropy", penalty="rms", penalise_sensitive_only=True),
        TrainConfig(loss="radius"),
        TrainConfig(loss="certified"),
    ):
        assert math.isfinite(float(gradient_loss(config, scores, gradient, nobody, lipschitz)))
