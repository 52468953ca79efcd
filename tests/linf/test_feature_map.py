"""An l_inf-distance net below a convex score is a feature-convex classifier like any other."""

import math
from itertools import pairwise

import pytest
import torch

from asymcert.attacks import ProjectedGradient, score
from asymcert.certify import certify
from asymcert.certify.rounding import Rounding
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.features import FeatureMap
from asymcert.linf.feature_map import DistanceFeatures
from asymcert.linf.net import LinfDistanceNet
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.files import reloaded

NORMS = (1.0, 2.0, 3.5, math.inf)


def build_map(features=5, shape=(6,), **options):
    torch.manual_seed(0)
    net = LinfDistanceNet(shape, classes=features, width=12, depth=3, deviation=0.3, centre=0.2, **options)
    for _ in range(10):
        net(torch.rand(16, *shape))
    return net, DistanceFeatures(net.eval())


def build_model(dtype=torch.float64, rho=0.0):
    _, feature_map = build_map(rho=rho)
    x = torch.rand(60, 6, dtype=torch.float64)
    convex = ConvexMLP((5,), (16, 8))
    model = FeatureConvexClassifier(feature_map, convex, input_shape=(6,))
    return model.with_threshold(float(model.margin(x).median())).to(dtype), x


def test_features_are_the_distances_of_the_trained_net():
    net, feature_map = build_map()
    x = torch.rand(20, 6, dtype=torch.float64)
    torch.testing.assert_close(feature_map(x), net.double().features(x) * 0.3, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1e-3, 0.1, 10.0])
def test_no_change_is_stretched_beyond_the_declared_constant(norm, scale):
    _, feature_map = build_map()
    x = torch.rand(2000, 6, dtype=torch.float64)
    y = x + scale * torch.randn_like(x) * (torch.rand_like(x) < 0.5)
    moved = torch.linalg.vector_norm(feature_map(y) - feature_map(x), ord=feature_map.feature_norm(norm), dim=1)
    limit = feature_map.lipschitz(norm) * torch.linalg.vector_norm(y - x, ord=norm, dim=1)
    assert bool((moved <= limit * (1 + 1e-12) + 1e-14).all())


def test_a_radius_is_never_below_that_of_a_greater_norm():
    model, x = build_model(torch.float64)
    radii = [certify(model, x, ThreatModel(norm)).radius for norm in (1.0, 2.0, 5.0, math.inf)]
    assert int((radii[0] > 0).sum()) > 20
    for small, great in pairwise(radii):
        assert bool((small >= great * (1 - 1e-7)).all())  # rounding errors grow faster in the smaller norms


def test_the_constant_is_attained_in_l_inf():
    _, feature_map = build_map()
    x = torch.rand(2000, 6, dtype=torch.float64)
    y = x + 0.01 * torch.randint(-1, 2, x.shape)
    ratio = (feature_map(y) - feature_map(x)).abs().amax(1) / (y - x).abs().amax(1)
    assert 0.9 < float(ratio[ratio.isfinite()].max()) <= 1 + 1e-9


@pytest.mark.parametrize("method", ["closed-form", "enclosure"])
@pytest.mark.parametrize(("dtype", "rho"), [(torch.float32, 0.0), (torch.float64, 0.0), (torch.float32, 0.4)])
@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_attacks_fail_inside_the_radius(norm, dtype, rho, method):
    model, x = build_model(dtype, rho)
    threat = ThreatModel(norm, lower=0, upper=1)
    certificate = certify(model, x, threat, method)
    chosen = certificate.radius > 0
    assert int(chosen.sum()) > 20
    size = certificate.radius[chosen] * 0.999
    attack = ProjectedGradient(steps=60)
    change = attack.search(model, x[chosen], threat, size, torch.Generator().manual_seed(0))
    assert not bool(score(model, x[chosen], change, threat, size).success.any())


def test_enclosures_are_the_default_and_use_the_box():
    model, x = build_model()
    threat = ThreatModel(math.inf, lower=0, upper=1)
    certificate, closed = certify(model, x, threat), certify(model, x, threat, "closed-form")
    assert certificate.method == "enclosure"
    assert bool((certificate.radius >= closed.radius).all())
    assert float(certificate.radius.sum()) > 1.05 * float(closed.radius.sum())
    frozen = ThreatModel(math.inf, mutable=torch.zeros(6, dtype=torch.bool))
    assert bool(certify(model, x, frozen).radius[closed.radius > 0].isinf().all())


def test_the_radius_by_enclosures_is_attained_by_one_layer():
    """With one input, moving it by half the margin towards the other weight undoes the verdict exactly."""
    net, score = LinfDistanceNet((1,), depth=1), ConvexMLP((2,), ())
    net.layers[0].weight.data = torch.tensor([[-4.0], [4.0]])
    score.first.weight.data, score.first.bias.data = torch.tensor([[1.0, -1.0]]), torch.zeros(1)
    model, x = FeatureConvexClassifier(DistanceFeatures(net), score, input_shape=(1,)), torch.ones(1, 1).double()
    radius = certify(model, x, ThreatModel(math.inf)).radius
    assert 1.0 - 1e-6 < float(radius) < 1.0
    assert model.predict(x - radius[:, None])
    assert not model.predict(x - 1.0)


@pytest.mark.parametrize("rho", [0.0, 0.4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_computed_inside_a_box_lie_in_its_enclosure(dtype, rho):
    feature_map, exact = build_map(rho=rho)[1].to(dtype), build_map(rho=rho)[1].to(dtype).double()
    low, roundoff, least = torch.rand(200, 6, dtype=dtype), torch.finfo(dtype).eps / 2, torch.finfo(dtype).tiny
    for width in (0.0, 1e-6, 0.3):
        high = low + width * torch.rand_like(low)
        least_features, most = exact.enclosure(low.double(), high.double(), roundoff + 2.0**-53, least)
        for share in (0.0, 0.5, 1.0):
            features = feature_map(torch.minimum(low + share * (high - low), high)).double()
            assert bool(((least_features <= features) & (features <= most)).all())
    none, _ = exact.enclosure(low.double(), low.double(), 0.0, 0.0)
    assert dtype == torch.float64 or bool((feature_map(low).double() < none).any())  # narrower bounds would not hold


@pytest.mark.parametrize("rho", [0.0, 0.4])
def test_single_precision_stays_within_the_bound_on_its_rounding(rho):
    """Random weights near cancellation: the float32 pass never errs by more than the closed form allows for."""
    (model, x), (single, _) = build_model(rho=rho), build_model(torch.float32, rho)
    threat = ThreatModel(math.inf, lower=0, upper=1)
    error = Rounding(model, torch.float32).deployed_error(x, threat).fixed
    difference = (single.margin(x).double() - model.margin(x)).abs()
    assert bool((difference <= error).all())
    assert float(error.max()) < 1e-2  # and it says something
    assert float(difference.max()) > 0


@pytest.mark.parametrize("rho", [0.0, 0.4])
def test_saved_it_is_the_same_classifier(tmp_path, rho):
    model, x = build_model(rho=rho)
    reloaded(model, x, tmp_path)


@pytest.mark.parametrize("method", ["tangent", "refined", "exact"])
def test_methods_that_follow_coordinates_refuse_it(method):
    model, x = build_model()
    with pytest.raises(InputError, match="features mix inputs"):
        certify(model, x, ThreatModel(math.inf), method)


def test_a_finite_p_a_head_and_another_shape_are_refused():
    net, feature_map = build_map()
    net.p = 8.0
    with pytest.raises(InputError, match="`net` must be at p = inf"):
        DistanceFeatures(net)
    net.layers[0].p = math.inf  # the net is as its worst layer
    with pytest.raises(InputError, match="`net` must be at p = inf"):
        DistanceFeatures(net)
    with pytest.raises(InputError, match="without a tanh head"):
        build_map(head=4)
    with pytest.raises(InputError, match="`input_shape`"):
        feature_map.output_shape((7,))
    assert isinstance(feature_map, FeatureMap)
