"""Certificates of l_inf-distance nets: never beaten, ordered, honest about rounding."""

import math

import pytest
import torch

from asymcert.attacks import ProjectedGradient
from asymcert.certify.base import Certificate
from asymcert.certify.distance_bounds import MarginBounds
from asymcert.certify.distance_nets import DistanceIntervals, DistanceLipschitz, certify_classes
from asymcert.errors import InputError
from asymcert.linf.net import LinfDistanceNet
from asymcert.models.distance_net import DistanceClassifier
from asymcert.threats.model import ThreatModel

NETS = {
    "connected": {"input_shape": (6,), "width": 10, "depth": 3},
    "classes": {"input_shape": (6,), "width": 10, "depth": 2, "classes": 4},
    "convolutions": {"input_shape": (1, 4, 4), "width": 8, "depth": 2, "convolutions": ((3, 3, 1),)},
    "sorted": {"input_shape": (6,), "width": 10, "depth": 3, "rho": 0.4},
    "head": {"input_shape": (6,), "width": 8, "depth": 2, "head": 5, "classes": 3},
}
CERTIFIERS = [DistanceLipschitz(), DistanceIntervals()]


def classifier(name="connected", seed=0, offset=0.0):
    torch.manual_seed(seed)
    net = LinfDistanceNet(**NETS[name], centre=0.5, deviation=0.3)
    for _ in range(20):
        net(torch.rand(32, *net.input_shape))
    names = tuple(f"class {index}" for index in range(net.classes))
    model = DistanceClassifier(net, classes=names)
    x = torch.rand(400, *net.input_shape, dtype=torch.float64)
    return model.with_threshold(float(model.margin(x).median()) + offset), x


def sensitive_inputs(model, x, n=40):
    return x[model.predict(x)][:n]


def threats(shape):
    """One of every part, all in l_inf, and other norms."""
    position = torch.arange(math.prod(shape)).reshape(shape)
    return [
        ThreatModel(norm=math.inf),
        ThreatModel(norm=math.inf, lower=0, upper=1),
        ThreatModel(norm=math.inf, lower=0, upper=1, cost=0.5 + position % 3),
        ThreatModel(norm=math.inf, upper=1.5, mutable=position % 3 > 0),
        ThreatModel(norm=math.inf, lower=-1, upper=2, direction=position % 3 - 1),
        ThreatModel(norm=2.0, lower=0, upper=1),
        ThreatModel(norm=1.0),
    ]


def find_flip(model, x, radius, threat, tries=300):
    """Whether corners, random points or projected gradients inside the certified ball change the verdict."""
    each = [1] * (x.ndim - 1)
    draws = torch.rand(tries, *x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype) * 2 - 1
    draws[1::2] = draws[1::2].sign()
    x, radius, change = x.repeat(tries, *each), radius.repeat(tries), draws.flatten(0, 1)  # all tries at once
    finite = radius.clamp(max=2.0)
    low, high = threat.interval(x)
    reach = finite.reshape(-1, *each) / threat.cost_for(model.input_shape)
    change = torch.minimum(torch.maximum(change * reach, low), high)
    size = threat.size(change)
    change = change * (finite / size.clamp(min=1e-300)).clamp(max=1.0).reshape(-1, *each) * (1 - 1e-9)
    flipped = ~model.predict(x + change) & (threat.size(change) < radius)
    return flipped.view(tries, -1).any(0)


@pytest.mark.parametrize("certifier", CERTIFIERS, ids=lambda c: c.method)
@pytest.mark.parametrize("name", NETS)
def test_no_change_inside_the_radius_is_found(name, certifier):
    model, x = classifier(name)
    x = sensitive_inputs(model, x)
    for threat in threats(model.input_shape):
        certificate = certifier.certify(model, x, [threat])[0]
        assert (certificate.radius >= 0).all()
        assert not find_flip(model, x, certificate.radius, threat).any(), threat.describe()


@pytest.mark.parametrize("certifier", CERTIFIERS, ids=lambda c: c.method)
def test_projected_gradients_find_nothing_either(certifier):
    model, x = classifier()
    x = sensitive_inputs(model, x)
    threat = ThreatModel(norm=math.inf, lower=0, upper=1)
    radius = certifier.certify(model, x, [threat])[0].radius
    result = ProjectedGradient(steps=40).run(
        model, x, threat, radius.clamp(max=1.0) * (1 - 1e-9), torch.Generator().manual_seed(0)
    )
    assert not result.success.any()


def test_the_search_catches_an_unsound_certificate():
    model, x = classifier()
    x = sensitive_inputs(model, x)
    threat = ThreatModel(norm=math.inf)
    certificate = DistanceIntervals().certify(model, x, [threat])[0]
    assert find_flip(model, x, certificate.radius * 6 + 0.2, threat).any()


@pytest.mark.parametrize("name", NETS)
def test_intervals_are_never_below_lipschitz_and_sometimes_above(name):
    model, x = classifier(name)
    above = 0
    for threat in threats(model.input_shape):
        lipschitz = DistanceLipschitz().certify(model, x, [threat])[0]
        interval = DistanceIntervals().certify(model, x, [threat])[0]
        assert (interval.radius >= lipschitz.radius).all(), threat.describe()
        assert torch.equal(interval.margin, lipschitz.margin)
        above += int((interval.radius > lipschitz.radius * 1.01).sum())
    assert above


def test_lipschitz_is_half_the_margin():
    model, x = classifier()
    certificate = DistanceLipschitz(sound=False).certify(model, x, [ThreatModel(norm=math.inf)])[0]
    half = model.margin(x).clamp(min=0) / 2
    torch.testing.assert_close(certificate.radius, half, rtol=2e-9, atol=0)
    assert (certificate.radius <= half).all()
    assert isinstance(certificate, Certificate)
    assert bool((certificate.radius[~model.predict(x)] == 0).all())


def test_the_lipschitz_radius_is_attained_by_one_layer():
    """With one input, moving it by the margin's half towards the other weight undoes the verdict exactly."""
    net = LinfDistanceNet((1,), depth=1)
    net.layers[0].weight.data = torch.tensor([[-4.0], [4.0]])
    model, x = DistanceClassifier(net), torch.tensor([[1.0]], dtype=torch.float64)
    for certifier in CERTIFIERS:
        radius = certifier.certify(model, x, [ThreatModel(norm=math.inf)])[0].radius
        assert 1.0 - 1e-6 < float(radius) < 1.0
        assert model.predict(x - radius[:, None])
        assert not model.predict(x - 1.0)


def test_sound_radii_are_below_unsound_ones_by_little():
    model, x = classifier()
    for dtype, most in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        deployed = model if dtype == torch.float64 else classifier()[0].float()
        for kind in (DistanceLipschitz, DistanceIntervals):
            threat = ThreatModel(norm=math.inf)
            sound = kind(sound=True).certify(deployed, x, [threat])[0]
            loose = kind(sound=False).certify(deployed, x, [threat])[0]
            both = (sound.margin > 1e-3) & (loose.margin > 1e-3)
            gap = (loose.radius - sound.radius)[both]
            assert (gap > -1e-6 * loose.radius[both]).all()
            assert (gap < most + 2e-6 * loose.radius[both]).all()


def test_rounding_that_eats_the_margin_leaves_no_radius():
    """In float32, numbers near 2^24 are 1 or 2 apart: margins below that prove nothing."""
    net = LinfDistanceNet((2,), depth=1)
    net.layers[0].weight.data = torch.tensor([[2.0**24, 0.0], [2.0**24 - 3.0, 0.0]])
    model = DistanceClassifier(net)
    x = torch.tensor([[0.3, 0.1]], dtype=torch.float64)
    single = DistanceClassifier(net).float()
    threat = ThreatModel(norm=math.inf)
    for kind in (DistanceLipschitz, DistanceIntervals):
        assert float(kind().certify(model, x, [threat])[0].radius) > 1.4
        certificate = kind().certify(single, x, [threat])[0]
        assert float(certificate.margin) > 0
        assert float(certificate.radius) < 0.1
        assert float(kind(sound=False).certify(single, x, [threat])[0].radius) > 1.4


def overflowing_head():
    """A constant margin of 1, whose head computes inf - inf in single precision where a feature exceeds 3.4e8."""
    net = LinfDistanceNet((1,), width=2, depth=1, head=1)
    net.layers[0].weight.data.zero_()
    net.head.first.weight.data = torch.tensor([[1e30, -1e30]])
    net.head.first.bias.data.zero_()
    net.head.last.weight.data.zero_()
    net.head.last.bias.data = torch.tensor([0.0, 1.0])
    return DistanceClassifier(net)


@pytest.mark.parametrize("certifier", CERTIFIERS, ids=lambda c: c.method)
def test_numbers_that_overflow_on_the_way_are_not_certified(certifier):
    x, single = torch.zeros(1, 1, dtype=torch.float64), overflowing_head().float()
    assert bool(single.predict(x))
    assert not bool(single.predict(x + 5e9))
    cost = torch.tensor(0.5)
    for threat in (ThreatModel(norm=math.inf, cost=cost), ThreatModel(norm=math.inf, lower=-1e10, upper=1e10)):
        size = float(threat.size(torch.full_like(x, 5e9)))
        assert 1.0 < float(certifier.certify(single, x, [threat])[0].radius) < size
        assert float(certifier.certify(overflowing_head(), x, [threat])[0].radius) > size
    assert float(certifier.certify(single, x + 3e8, [ThreatModel(norm=math.inf)])[0].radius) == 0


@pytest.mark.parametrize("certifier", CERTIFIERS, ids=lambda c: c.method)
def test_numbers_that_overflow_between_layers_are_not_certified(certifier):
    """The first layer computes x + 3e38; the second, and with it the margin, is small again."""
    net = LinfDistanceNet((1,), width=1, depth=3)
    for layer, weight in zip(net.layers, (-3e38, 3.4e38, 0.0), strict=True):
        layer.weight.data.fill_(weight)
    net.layers[-1].weight.data[0] = -1e37
    x, threat = torch.tensor([[3.95e37]], dtype=torch.float64), ThreatModel(norm=math.inf, lower=3.9e37, upper=4.2e37)
    single = DistanceClassifier(net).float()
    assert bool(single.predict(x))
    assert not bool(single.predict(x + 1.5e36))
    assert float(certifier.certify(single, x, [threat])[0].radius) == 0
    assert float(certifier.certify(DistanceClassifier(net), x, [threat])[0].radius) > 1.5e36


@pytest.mark.parametrize("name", NETS)
def test_enclosures_hold_for_single_precision(name):
    """Margins in float32, of inputs rounded to float32, lie above the bound; narrower ones would not."""
    model, x = classifier(name)
    single = classifier(name)[0].float()
    exact = classifier(name)[0].float().double()
    bounds = MarginBounds.of(exact, torch.float32, sound=True)
    chosen = torch.full((len(x),), model.sensitive_class)
    least = bounds.margin(*bounds.point(x), chosen, model.threshold)
    difference = single.margin(x).double() - least
    assert (difference >= 0).all()
    assert (difference < 1e-3).all()
    none = MarginBounds.of(exact, torch.float32, sound=False)
    assert (single.margin(x).double() < none.margin(x, x, chosen, model.threshold)).any()


def test_nothing_admissible_means_an_infinite_radius():
    model, x = classifier()
    x = sensitive_inputs(model, x)
    frozen = ThreatModel(norm=math.inf, mutable=torch.zeros(6, dtype=torch.bool))
    radius = DistanceIntervals().certify(model, x, [frozen])[0].radius
    assert torch.isinf(radius).any()
    assert radius[model.margin(x) > 1e-3].isinf().all()


def test_many_samples_and_none():
    model, x = classifier()
    for certifier in CERTIFIERS:
        whole = certifier.certify(model, x, [ThreatModel(norm=math.inf)])[0]
        assert len(whole) == len(x)
        assert torch.equal(certifier.certify(model, x[7:9], [ThreatModel(norm=math.inf)])[0].radius, whole.radius[7:9])
        assert len(certifier.certify(model, x[:0], [ThreatModel(norm=math.inf)])[0]) == 0


def test_classes_keep_their_prediction():
    model, x = classifier("classes")
    threat = ThreatModel(norm=math.inf, lower=0, upper=1)
    for method in ("lipschitz", "interval"):
        done = certify_classes(model, x, threat, method)
        assert torch.equal(done.prediction, model.predict_class(x))
        radius = done.certificate.radius
        assert (radius > 0).float().mean() > 0.9
        assert len(done.prediction.unique()) > 1
        for turn in range(100):
            step = torch.randn(x.shape, generator=torch.Generator().manual_seed(turn), dtype=x.dtype).sign()
            near = (x + step * radius[:, None] * (1 - 1e-9)).clamp(0, 1)
            assert torch.equal(model.predict_class(near), done.prediction)


def test_refusals():
    model, x = classifier()
    net = LinfDistanceNet((6,), width=8, depth=2)
    net.p = 900.0
    finite = DistanceClassifier(net)
    for certifier in CERTIFIERS:
        with pytest.raises(InputError, match="p = inf"):
            certifier.certify(finite, x, [ThreatModel(norm=math.inf)])
        with pytest.raises(InputError, match="DistanceClassifier"):
            certifier.certify(object(), x, [ThreatModel(norm=math.inf)])
        with pytest.raises(InputError, match="box"):
            certifier.certify(model, x + 1, [ThreatModel(norm=math.inf, upper=1)])
        with pytest.raises(InputError, match="float32 or float64"):
            certifier.certify(classifier()[0].bfloat16(), x, [ThreatModel(norm=math.inf)])
    with pytest.raises(InputError):
        DistanceIntervals(steps=-1)
