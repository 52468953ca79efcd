"""Exact radii: the contract, both bounds, what is refused, and processes."""

import copy
import math
import sys
import time
from typing import ClassVar

import pytest
import torch

import contracts.certifier
from asymcert import ThreatModel
from asymcert.attacks.base import admissible
from asymcert.certify.cuts import Cuts
from asymcert.certify.exact import Exact
from asymcert.certify.refined import Refined
from asymcert.certify.tangent import Tangent
from asymcert.convex import ConvexConvNet, ConvexMLP, SymmetricAverage
from asymcert.errors import InputError
from asymcert.features import Centre, CentreAbsolute, Chain, Identity, Standardise
from contracts.certifier import COST, CertifierContract
from contracts.models import balanced, linear_model, random_mlp, randomise, seeded
from contracts.monotone import monotone, monotone_conv, monotone_mlp

NORMS = (1.0, 2.0, math.inf)
EVERY_PART = {
    "lower": -0.5,
    "upper": 1,
    "cost": COST,
    "mutable": torch.arange(6) != 4,
    "direction": torch.arange(6) % 3 - 1,
}


class TestExact(CertifierContract):
    norms: ClassVar[tuple[float, ...]] = NORMS
    maps = contracts.certifier.MAPS[:2]  # those whose features are convex in the input whatever the weights

    @pytest.fixture
    def certifier(self):
        return Exact()

    def threats(self, d=6):
        """None but the plainest and the fullest: an exact radius takes as long as thousands of others."""
        every, plain = super().threats(d), len(self.norms)
        return every[:plain] + [threat for threat in every[plain:] if threat.direction is not None]

    @pytest.fixture(autouse=True)
    def _monotone_models(self, monkeypatch):
        """Centre-and-absolute networks of the contract become convex in the input, as the method needs."""
        monkeypatch.setattr(contracts.certifier, "random_mlp", monotone_mlp)
        monkeypatch.setattr(contracts.certifier, "random_conv", monotone_conv)


def networks():
    """One of every architecture and kind of map, with inputs in [0, 1]."""
    generator = seeded(31)
    images = torch.rand(6, 1, 6, 6, generator=generator, dtype=torch.float64)
    plain = ConvexConvNet((1, 6, 6), channels=3, depth=2, first_kernel=3, stride=2, passthrough=True)
    average = SymmetricAverage(monotone(randomise(ConvexMLP((2, 6, 6), (8,)), generator), 36), mirror=True, shift=1)
    absolute = Chain(Standardise(0.5), CentreAbsolute(torch.full((6,), 1.0)))
    rows = torch.rand(8, 6, generator=generator, dtype=torch.float64)
    nested = balanced(absolute, monotone(randomise(ConvexMLP((12,), (8,)), generator), 6), rows)
    return {
        "mlp": random_mlp(32, n=8),
        "mlp without passthrough": random_mlp(33, n=8, passthrough=False, feature_map=Centre(torch.full((6,), 0.5))),
        "mlp on centre-absolute": monotone_mlp(34, n=8, feature_map=CentreAbsolute(torch.full((6,), 0.5))),
        "mlp on a chain": (nested, rows),
        "conv": (balanced(Identity(), randomise(plain, generator, 1.5), images), images),
        "conv on centre-absolute": monotone_conv(35, "average", n=6),
        "average on centre-absolute": (balanced(CentreAbsolute(torch.full((1, 6, 6), 0.5)), average, images), images),
    }


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", networks())
def test_the_bounds_meet_for_every_architecture(kind, norm):
    model, x = networks()[kind]
    certificate = Exact().certify(model, x, [ThreatModel(norm, 0.0, 1.0)])[0]
    assert bool((certificate.radius >= certificate.upper * (1 - 1e-4))[certificate.upper.isfinite()].all())
    assert bool(certificate.radius[certificate.upper.isinf()].isinf().all())
    assert bool((certificate.sensitive & certificate.upper.isfinite()).any())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("single", [False, True])
def test_the_upper_bound_is_an_admissible_flip_of_the_deployed_verdict(norm, single):
    model, x = random_mlp(36)
    if single:
        model, x = copy.deepcopy(model).float(), x.float()
    for parts in ({}, {"lower": 0, "upper": 1}, EVERY_PART):
        certificate = Exact().certify(model, x, [ThreatModel(norm, **parts)])[0]
        found = certificate.sensitive & certificate.upper.isfinite()
        assert int(found.sum()) > 3
        point, start = certificate.adversarial[found], x[found].double()
        assert not bool(model.predict(point).any())
        assert torch.equal(point.to(model.dtype).double(), point)
        assert bool(admissible(start, point, certificate.threat, certificate.upper[found]).all())
        assert bool((certificate.radius <= certificate.upper).all())


def test_insensitive_samples_have_radius_and_upper_bound_zero():
    model, x = random_mlp(37)
    certificate = Exact().certify(model, x, [ThreatModel(1)])[0]
    other = ~certificate.sensitive
    assert bool(other.any())
    assert certificate.radius[other].tolist() == certificate.upper[other].tolist() == [0.0] * int(other.sum())
    assert torch.equal(certificate.adversarial[other], x[other])


@pytest.mark.parametrize("norm", NORMS)
def test_grows_with_the_method(norm):
    model, x = random_mlp(38, n=40)
    threat = ThreatModel(norm, 0.0, 1.0)
    tangent, refined, exact = (kind.certify(model, x, [threat])[0] for kind in (Tangent(), Refined(), Exact()))
    assert bool((tangent.radius <= refined.radius).all())
    assert bool((refined.radius * (1 - 1e-4) <= exact.radius).all())
    assert bool((refined.radius <= exact.upper).all())
    assert float((exact.radius - tangent.radius).nan_to_num(0.0).max()) > 0.01


@pytest.mark.parametrize("norm", NORMS)
def test_the_radius_follows_from_anchors_and_weights(norm):
    model, x = random_mlp(39, n=8)
    threat = ThreatModel(norm, 0.0, 1.0, COST)
    certificate = Exact().certify(model, x, [threat])[0]
    assert bool((certificate.weights >= 0).all())
    torch.testing.assert_close(certificate.weights.sum(1), torch.ones(8).double(), rtol=0, atol=1e-12)
    for index in certificate.sensitive.nonzero().flatten().tolist():
        cuts = Cuts(model, x[index : index + 1], threat)
        for anchor in certificate.anchors[index]:
            cuts.add(anchor[None])
        proven = cuts.radius(certificate.weights[index : index + 1]).radius
        torch.testing.assert_close(proven, certificate.radius[index : index + 1], rtol=1e-9, atol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_infinite_where_the_box_admits_no_evasion(norm):
    model, x = random_mlp(40)
    least = min(float(model.margin(torch.rand(4000, 6, generator=seeded(s)).double()).min()) for s in range(3))
    always = model.with_threshold(model.threshold + least - 0.5)
    certificate = Exact().certify(always, x, [ThreatModel(norm, 0.0, 1.0)])[0]
    assert certificate.radius.tolist() == certificate.upper.tolist() == [math.inf] * len(x)
    frozen = Exact().certify(model, x, [ThreatModel(norm, 0.0, 1.0, mutable=torch.zeros(6, dtype=torch.bool))])[0]
    assert bool(frozen.radius[frozen.sensitive].isinf().all())


@pytest.mark.parametrize("norm", NORMS)
def test_a_constant_score_is_certified_everywhere(norm):
    model, x = linear_model(torch.zeros(3), -1.0), torch.rand(4, 3)
    assert Exact().certify(model, x, [ThreatModel(norm, 0.0, 1.0)])[0].radius.tolist() == [math.inf] * 4
    assert Exact(sound=False).certify(model, x, [ThreatModel(norm)])[0].radius.tolist() == [math.inf] * 4


@pytest.mark.parametrize("scale", [1e-100, 1e-20, 1e10, 1e100])
@pytest.mark.parametrize("norm", NORMS)
def test_scales_of_weights_and_inputs_do_not_matter(scale, norm):
    weight, x = torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([[1.0, -1.0, 2.0]]).double()
    length = float(torch.linalg.vector_norm(weight, ord=ThreatModel(norm).dual_norm))
    cases = [(linear_model(weight * scale, 2.0 * scale), x, 2.0 / length)]
    if scale < 1e15:  # beyond, no attack looks for a flip
        cases.append((linear_model(weight, 2.0 * scale), x * scale, 2.0 * scale / length))
    for model, inputs, radius in cases:
        certificate = Exact().certify(model, inputs, [ThreatModel(norm)])[0]
        assert float(certificate.radius) == pytest.approx(radius, rel=1e-6)
        assert float(certificate.upper) == pytest.approx(radius, rel=1e-4)
        assert certificate.radius <= certificate.upper


def test_a_time_limit_returns_valid_bounds():
    model, x = random_mlp(41, 20, (64, 32))
    for norm in NORMS:
        threat = ThreatModel(norm, 0.0, 1.0)
        exact = Exact().certify(model, x, [threat])[0]
        tangent = torch.cat([Tangent().certify(model, row[None], [threat])[0].radius for row in x])
        start = time.monotonic()
        hurried = Exact(time_limit=0.0).certify(model, x, [threat])[0]
        assert time.monotonic() - start < 5
        few = Exact(max_cuts=2).certify(model, x, [threat])[0]
        for certificate in (hurried, few):
            assert bool((tangent <= certificate.radius).all())
            assert bool((certificate.radius <= exact.upper).all())
            assert bool((certificate.upper >= exact.radius).all())
            assert not bool(model.predict(certificate.adversarial[certificate.upper.isfinite()]).any())
        assert bool((hurried.radius < exact.radius * (1 - 1e-3)).any())


def test_a_finer_tolerance_closes_the_gap_further():
    model, x = random_mlp(42, 20, (64, 32))
    gaps = []
    for tolerance in (0.1, 1e-3, 1e-6):
        certificate = Exact(tolerance).certify(model, x, [ThreatModel(2)])[0]
        gap = (1 - certificate.radius / certificate.upper)[certificate.sensitive]
        assert float(gap.max()) <= tolerance
        gaps.append(float(gap.mean()))
    assert gaps == sorted(gaps, reverse=True)


def test_several_processes_find_the_same():
    model, x = random_mlp(43, n=20)
    model, threats = model.float(), [ThreatModel(norm, 0.0, 1.0, COST) for norm in NORMS]
    alone, shared = (Exact(workers=count).certify(model, x.float(), threats) for count in (1, 2))
    for one, other in zip(alone, shared, strict=True):
        for part in ("radius", "upper", "margin", "adversarial", "anchors", "weights"):
            assert torch.equal(getattr(one, part), getattr(other, part)), part


class Doubled(Identity):
    """A map that model files do not know."""


def test_refuses_several_processes_for_a_model_that_files_cannot_hold():
    model, x = random_mlp(44, feature_map=Doubled())
    with pytest.raises(InputError, match="`workers` must be 1"):
        Exact(workers=2).certify(model, x, [ThreatModel(1)])


@pytest.mark.parametrize("norm", [1.5, 3.0])
def test_refuses_other_norms_and_names_refined(norm):
    model, x = random_mlp(45)
    with pytest.raises(InputError, match=r"`norm` must be 1, 2 or inf.*refined"):
        Exact().certify(model, x, [ThreatModel(1), ThreatModel(norm)])


def test_refuses_a_missing_solver(monkeypatch):
    model, x = random_mlp(47)
    monkeypatch.setitem(sys.modules, "clarabel", None)
    Exact().certify(model, x[:2], [ThreatModel(1)])
    with pytest.raises(InputError, match=r"clarabel.*asymcert\[exact\].*another method"):
        Exact().certify(model, x[:2], [ThreatModel(2)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0.0}, "`tolerance`"),
        ({"tolerance": math.nan}, "`tolerance`"),
        ({"time_limit": -1.0}, "`time_limit`"),
        ({"workers": 0}, "`workers`"),
        ({"max_cuts": 0}, "`max_cuts`"),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(InputError, match=message):
        Exact(**options)


def test_without_rounding_bounds_the_radius_is_nearly_the_same():
    model, x = random_mlp(48)
    for norm in NORMS:
        sound, plain = (Exact(sound=sound).certify(model, x, [ThreatModel(norm)])[0] for sound in (True, False))
        assert (sound.sound, plain.sound) == (True, False)
        torch.testing.assert_close(sound.radius, plain.radius, rtol=1e-8, atol=0)
