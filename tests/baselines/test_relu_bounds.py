"""Interval bounds and linear bounds of ReLU networks."""

import math
from fractions import Fraction
from itertools import product

import pytest
import torch

from asymcert.certify.relu.linear_bounds import Crown, IntervalBounds, Samples
from asymcert.certify.relu.reach import Falls, Reach
from asymcert.certify.relu.relu_bounds import Network, relax
from asymcert.certify.relu.slopes import best_bound, tightened
from asymcert.errors import InputError
from asymcert.models.relu import ReluClassifier
from asymcert.threats.model import ThreatModel
from baselines.relu_models import balanced, random_relu
from contracts.baselines import COST, DIRECTION, MUTABLE, BaselineContract, threats
from contracts.files import reloaded
from reference.mixed_integer import least_change

PARTS = (
    {},
    {"lower": 0, "upper": 1},
    {"lower": 0, "upper": 1, "cost": COST},
    {"upper": 1.5, "mutable": MUTABLE},
    {"lower": -1, "upper": 2, "direction": DIRECTION},
)


class TestIntervalBounds(BaselineContract):
    @pytest.fixture
    def certifier(self):
        return IntervalBounds()

    def model(self, seed):
        return random_relu(seed)


class TestCrown(BaselineContract):
    @pytest.fixture
    def certifier(self):
        return Crown(ascents=3, steps=6)

    def model(self, seed):
        return random_relu(seed)


@pytest.mark.parametrize("norm", [1.0, 1.5, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: " ".join(parts) or "plain")
def test_falls_are_tight_and_never_below_a_change_that_fits(norm, parts):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(5, 6, dtype=torch.float64, generator=generator)
    rows = torch.randn(5, 4, 6, dtype=torch.float64, generator=generator)
    rows[:, 0, 2] = 0.0
    reach = Reach.of(x, ThreatModel(norm=norm, **parts))
    falls = Falls(rows, reach)
    for size in (0.0, 1e-3, 0.1, 1.0, 3.0):
        radius = torch.full((5,), size, dtype=torch.float64)
        worst, bound = falls.worst(radius), falls.at(radius)
        assert (torch.linalg.vector_norm(worst * reach.cost, ord=norm, dim=2) <= size * (1 + 1e-12)).all()
        reached = -(rows * worst).sum(2)
        assert (bound >= reached * (1 - 1e-15)).all()
        assert (bound <= reached * (1 + 1e-9) + 1e-12).all()


def least_bound(falls, radius):
    """By prices of every coordinate; in l1 the least over all caps of prices that can be the best."""
    steep, room = falls.steepness.expand_as(falls.room), falls.room
    if falls.reach.norm == 2:
        return falls.priced(radius)
    if math.isinf(falls.reach.norm):
        return torch.where(steep > 0, steep * room.clamp(max=float(radius[0])), 0.0).sum(2)
    bounds = []
    for cap in (torch.zeros_like(steep[:, :, :1]), *steep.split(1, 2)):
        rest = (steep - cap).clamp(min=0.0)
        priced = torch.where(cap > 0, cap * radius[:, None, None], 0.0)[:, :, 0]
        bounds.append(priced + torch.where(rest > 0, rest * room, 0.0).sum(2))
    return torch.stack(bounds).amin(0)


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("scale", [1e-140, 1.0, 1e130])
def test_sums_give_the_least_of_the_bounds_by_prices(norm, scale):
    """Rooms of nothing, of everything, and of all sizes between; coefficients too, some zero and some alike."""
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(7, 5, 40, dtype=torch.float64, generator=generator)
    rows[:, :, ::7], rows[:, 1], rows[:, 2, :5] = 0.0, 0.5, 1e-9
    low, high = (torch.rand(7, 40, dtype=torch.float64, generator=generator) for _ in range(2))
    low[:, ::5], high[:, ::4], high[0] = 0.0, math.inf, math.inf
    low[3], high[3] = 0.0, 0.0
    x, cost = torch.zeros_like(low), torch.ones(1, 40, dtype=torch.float64)
    falls = Falls(rows * scale, Reach(x, -low * scale, high * scale, cost, norm))
    for size in (0.0, 1e-6, 0.01, 0.3, 2.0, 30.0, math.inf):
        radius = torch.full((7,), size * scale, dtype=torch.float64)
        summed, least = falls.at(radius), least_bound(falls, radius)
        torch.testing.assert_close(summed, least, rtol=1e-12, atol=1e-12 * scale**2)
        if math.isfinite(size):
            assert (summed >= -(rows * scale * falls.worst(radius)).sum(2)).all()
            assert (summed[3] == 0).all()


@pytest.mark.parametrize("norm", [1.0, 2.0])
def test_falls_are_bounded_in_exact_arithmetic(norm):
    """A change that spends the budget on the first coordinates, to the box's end, is one of those that are allowed."""
    generator = torch.Generator().manual_seed(4)
    rows = torch.randn(1, 60, 30, dtype=torch.float64, generator=generator)
    room = torch.rand(1, 30, dtype=torch.float64, generator=generator)
    falls = Falls(rows, Reach(torch.zeros_like(room), -room, room, torch.ones_like(room), norm))
    for size in (0.2, 1.0, 2.5):
        radius = torch.tensor([size], dtype=torch.float64)
        bounds, changes = falls.at(radius)[0], falls.worst(radius)[0]
        for row, bound, change in zip(rows[0].tolist(), bounds.tolist(), changes.tolist(), strict=True):
            moved = [Fraction(part) for part in change]
            spent = sum(abs(part) ** int(norm) for part in moved)
            shrunk = min(Fraction(1), Fraction(size) ** int(norm) / spent)  # at most the root of it, so it fits
            assert Fraction(bound) >= -shrunk * sum(Fraction(a) * b for a, b in zip(row, moved, strict=True))


def test_lines_enclose_the_relu():
    """In exact arithmetic; lines and the ReLU being what they are, the ends and the kink decide."""
    ends = torch.tensor([(-1.0, 2.0), (-3.0, 1e-9), (-1e-9, 5.0), (1.0, 2.0), (-2.0, -1.0), (0.0, 1.0), (-0.1, 0.3)])
    low, high = ends.double().T[:, None]
    for slope in (0.0, 0.4, 1.0):
        lines = relax(low, high, torch.full_like(low, slope))
        for index, (least, most) in enumerate(ends.double().tolist()):
            below, above, offset = (
                Fraction(float(part[0, index])) for part in (lines.slope_low, lines.slope_high, lines.offset)
            )
            for z in (Fraction(least), Fraction(most), min(max(Fraction(0), Fraction(least)), Fraction(most))):
                assert below * z <= max(z, 0) <= above * z + offset


@pytest.mark.parametrize("widths", [(8,), (8, 6), (6, 5, 4)])
def test_enclosures_hold_what_both_types_compute(widths):
    model, x = balanced(1, widths, n=12)
    single = model.float()
    network = Network.of(single, sound=True)
    generator = torch.Generator().manual_seed(1)
    for threat in threats():
        samples = Samples.of(network, x, threat)
        radius = torch.full((len(x),), 0.3, dtype=torch.float64)
        enclosure = tightened(network, samples.reach, samples.intervals(radius), radius)
        bound = best_bound(network, samples.reach, radius, enclosure, 3)
        for _ in range(30):
            draw = torch.randn(x.shape, dtype=torch.float64, generator=generator)
            change = draw.clamp(samples.reach.low / samples.reach.cost, samples.reach.high / samples.reach.cost)
            change = change * (0.3 / threat.size(change).clamp(min=0.3))[:, None]
            values = (x + change).float()
            assert (single.margin(values).double() >= torch.maximum(bound.value, enclosure.margin)).all()
            for index, (weight, bias) in enumerate(single.layers[:-1]):
                values = torch.nn.functional.linear(values.relu() if index else values, weight, bias)
                assert (values.double() >= enclosure.low[index]).all()
                assert (values.double() <= enclosure.high[index]).all()


@pytest.mark.parametrize("widths", [(8,), (6, 5)])
def test_intervals_below_linear_bounds_below_the_programme(widths):
    pytest.importorskip("highspy")
    model, x = balanced(2, widths, n=8)
    above = 0
    for norm, parts in product((1.0, math.inf), (PARTS[2], PARTS[4])):
        threat = ThreatModel(norm=norm, **parts)
        interval = IntervalBounds(steps=8).certify(model, x, [threat])[0].radius
        crown = Crown(steps=8, ascents=8).certify(model, x, [threat])[0]
        assert (crown.radius >= interval).all()
        above += int((crown.radius > 1.01 * interval).sum())
        for index in (crown.sensitive & crown.radius.isfinite()).nonzero()[:2, 0].tolist():
            least = least_change(model, x[index : index + 1], threat, 10.0)
            assert float(crown.radius[index]) <= least.size
            assert abs(float(model.margin(least.point[None]))) < 1e-6 or math.isinf(least.size)
    assert above


def test_a_linear_network_s_radius_is_exact():
    weight = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
    model = ReluClassifier([(weight, torch.zeros(1))], input_shape=(2,))
    x = torch.tensor([[1.0, 0.25]], dtype=torch.float64)  # margin 2
    for norm, size in ((1.0, 0.5), (2.0, 0.4), (math.inf, 2 / 7)):
        for certifier in (IntervalBounds(steps=40), Crown(steps=40)):
            radius = float(certifier.certify(model, x, [ThreatModel(norm=norm)])[0].radius)
            assert size * (1 - 1e-9) < radius < size


def test_radii_are_infinite_where_nothing_admissible_matters():
    model, x = balanced(3, n=12)
    frozen = ThreatModel(norm=2, mutable=torch.zeros(6, dtype=torch.bool))
    for certifier in (IntervalBounds(), Crown()):
        certificate = certifier.certify(model, x, [frozen])[0]
        assert certificate.radius[certificate.margin > 1e-9].isinf().all()


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_room_that_underflows_when_scaled_is_room(side):
    """The box leaves a change of 1e-224, which a cost of 1e-100 makes one of 1e-324, and that undoes the verdict."""
    weight = torch.tensor([[-side * 1e208]], dtype=torch.float64)
    model = ReluClassifier([(weight, torch.zeros(1))], 5e-17, input_shape=(1,))
    x = torch.tensor([[-side * 1e-224]], dtype=torch.float64)
    threat = ThreatModel(norm=1, lower=min(0.0, float(x)), upper=max(0.0, float(x)), cost=1e-100)
    assert bool(model.predict(x))
    assert not bool(model.predict(0.0 * x))
    for certifier in (IntervalBounds(), Crown()):
        assert float(certifier.certify(model, x, [threat])[0].radius) < math.inf


def test_rounding_that_eats_the_margin_leaves_no_radius():
    """In float32 numbers near 2^24 are 1 or 2 apart: the two parts of this score cancel."""
    weight = torch.tensor([[2.0**24], [2.0**24]], dtype=torch.float64)
    layers = [(weight, torch.zeros(2)), (torch.tensor([[1.0, -1.0]]).double(), torch.ones(1))]
    model = ReluClassifier(layers, input_shape=(1,))
    x, threat = torch.tensor([[0.7]], dtype=torch.float64), ThreatModel(norm=2, lower=0, upper=1)
    certifier = Crown(steps=4, ascents=2)
    assert float(certifier.certify(model, x, [threat])[0].radius) > 1e-9
    single = ReluClassifier(layers, input_shape=(1,)).float()
    assert float(certifier.certify(single, x, [threat])[0].radius) < 1e-9
    assert float(Crown(sound=False, steps=4, ascents=2).certify(single, x, [threat])[0].radius) > 1e-9


@pytest.mark.parametrize("certifier", [IntervalBounds(), Crown(ascents=1)], ids=lambda c: c.method)
def test_inputs_that_overflow_in_the_deployed_type_are_not_certified(certifier):
    """The second input has weight 0, but 1e39 is infinite in single precision, and the margin then is no number."""
    layers = [(torch.tensor([[1.0, 0.0]]), torch.ones(1)), (torch.ones(1, 1), torch.zeros(1))]
    x, end = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0.5, 1e40], dtype=torch.float64)
    threat = ThreatModel(norm=2, lower=-end, upper=end)
    single, double = ReluClassifier(layers, input_shape=(2,)).float(), ReluClassifier(layers, input_shape=(2,))
    change = torch.tensor([[0.0, 1e39]], dtype=torch.float64)
    assert bool(single.predict(x))
    assert not bool(single.predict(x + change))
    assert float(certifier.certify(single, x, [threat])[0].radius) <= 1e39
    assert math.isinf(float(certifier.certify(double, x, [threat])[0].radius))


def test_saved_models_come_back(tmp_path):
    model, x = balanced(4, (8, 6), n=12)
    assert isinstance(reloaded(model, x, tmp_path), ReluClassifier)


def test_refusals():
    with pytest.raises(InputError, match="layers"):
        ReluClassifier([], input_shape=(2,))
    with pytest.raises(InputError, match="layer 1"):
        ReluClassifier([(torch.zeros(1, 3), torch.zeros(1))], input_shape=(2,))
    with pytest.raises(InputError, match="finite"):
        ReluClassifier([(torch.full((1, 2), math.nan), torch.zeros(1))], input_shape=(2,))
    with pytest.raises(InputError, match="steps"):
        Crown(steps=-1)
    model, x = balanced(0, (4,), n=1)
    with pytest.raises(InputError, match="l1 or l_inf"):
        least_change(model, x, ThreatModel(norm=2), 1.0)
