"""What every certifier must satisfy. A test class inherits `CertifierContract` and provides the certifier."""

from __future__ import annotations

import inspect
import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from asymcert.attacks import ProjectedGradient, RandomSearch, RoundingAttack
from asymcert.attacks.base import admissible
from asymcert.attacks.projection import dual_direction
from asymcert.certify import Certificate, Certifier
from asymcert.errors import InputError
from asymcert.features import (
    Centre,
    CentreAbsolute,
    Chain,
    FeatureMap,
    Hinges,
    Identity,
    Ramps,
    SoftThreshold,
    Standardise,
)
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import cancelling_model, dyadic, folded_model, linear_model, random_conv, random_mlp, seeded
from contracts.references import exact_linear_radius, flipping_size, grid_radius, program_change

COST = torch.tensor([0.25, 2.0, 0.5, 1.0, 4.0, 0.125], dtype=torch.float64)


MEAN = torch.full((6,), 0.5)
MAPS = (Identity(), Centre(MEAN), CentreAbsolute(MEAN), Chain(Centre(MEAN), Standardise(2.0)))
MAPS += (SoftThreshold(MEAN, 0.1), Hinges(MEAN, 2), Ramps.fit(torch.linspace(0, 1, 24).reshape(4, 6), 3))


def check_empty(certifier: Certifier, model: BinaryClassifier, x: Tensor, threats: list[ThreatModel]) -> None:
    """No samples: certificates hold what those of one sample hold, for none, and so do answers and attacks.

    Where no sample is sensitive nothing is certified.
    """
    for certificate in certifier.certify(model.with_threshold(1e9), x[:2], threats):
        assert torch.equal(certificate.radius, torch.zeros(len(x[:2]), dtype=torch.float64))
    assert model.margin(x[:0]).shape == model.predict(x[:0]).shape == model.margin_at_most(x[:0]).shape == (0,)
    assert model(x[:0].to(model.dtype)).shape == (0,)
    for attack in (ProjectedGradient(2, 2), RandomSearch(2), RoundingAttack(2, 2, 2)):
        result = attack.run(model, x[:0], threats[0], torch.zeros(0), seeded(0))
        assert (result.adversarial.shape, result.success.dtype, len(result)) == (x[:0].shape, torch.bool, 0)
    pairs = zip(certifier.certify(model, x[:1], threats), certifier.certify(model, x[:0], threats), strict=True)
    for one, none in pairs:
        assert (none.threat, none.method, len(none)) == (one.threat, one.method, 0)
        for name in ("radius", "margin", "slope", "upper", "abstained"):
            part = getattr(one, name)
            if part is not None:
                assert getattr(none, name).shape == (0,), name
                assert getattr(none, name).dtype == part.dtype, name
        if one.adversarial is not None:
            assert none.adversarial.shape == x[:0].shape
        if one.anchors is not None:
            assert none.anchors.shape == (0, none.weights.shape[1], *x.shape[1:])


class CertifierContract:
    """Override the fixture `certifier`; to be excused from a check, override it with `pytest.skip(reason)`."""

    norms: ClassVar[tuple[float, ...]] = (1.0, 1.3, 2.0, 3.0, math.inf)
    maps: ClassVar[tuple[FeatureMap, ...]] = MAPS

    @pytest.fixture
    def certifier(self) -> Certifier:
        raise NotImplementedError

    def threats(self, d: int = 6) -> list[ThreatModel]:
        """Adversaries on d inputs in [0, 1]: plain, boxed, and every other part with every exact norm."""
        plain = [ThreatModel(norm=p) for p in self.norms]
        every = [p for p in self.norms if p in (1.0, 2.0, math.inf)]
        mutable, direction = torch.arange(d) % 3 > 0, torch.arange(d) % 3 - 1
        return [
            *plain,
            *(ThreatModel(norm=p, lower=0, upper=1) for p in every),
            *(ThreatModel(norm=p, cost=COST[:d]) for p in every),
            *(ThreatModel(norm=p, lower=-0.5, upper=1, cost=COST[:d], direction=direction) for p in every),
            *(ThreatModel(norm=p, upper=2.0, mutable=mutable) for p in every),
        ]

    def certify(
        self, certifier: Certifier, model: FeatureConvexClassifier, x: Tensor, p: float, **parts
    ) -> Certificate:
        return certifier.certify(model, x, [ThreatModel(norm=p, **parts)])[0]

    # What a certificate looks like

    def test_one_certificate_for_each_threat_model_with_the_deployed_verdict(self, certifier):
        model, x = random_mlp(0)
        threats = self.threats()
        certificates = certifier.certify(model, x, threats)
        assert [certificate.threat for certificate in certificates] == threats
        for certificate in certificates:
            assert len(certificate) == len(x)
            assert certificate.method == certifier.method
            assert certificate.radius.dtype == torch.float64
            assert bool((certificate.radius >= 0).all())
            assert torch.equal(certificate.sensitive, model.predict(x))

    def test_radius_is_zero_where_the_verdict_is_not_sensitive(self, certifier):
        model, x = random_mlp(1)
        tie = model.with_threshold(float(model.margin(x[:1]) + model.threshold))
        for certificate in certifier.certify(tie, x, self.threats()):
            assert bool((certificate.radius[~tie.predict(x)] == 0).all())
            assert certificate.radius[0] == 0  # a tie is not sensitive

    def test_certifies_something(self, certifier):
        model, x = random_mlp(2)
        for certificate in certifier.certify(model, x, self.threats()):
            assert bool((certificate.radius[certificate.sensitive] > 0).any())

    def test_an_empty_batch_gives_empty_certificates(self, certifier):
        for feature_map in self.maps:
            model, x = random_mlp(2, feature_map=feature_map)
            check_empty(certifier, model, x, self.threats())

    # What it may look at and touch

    def test_takes_no_labels(self, certifier):
        assert list(inspect.signature(certifier.certify).parameters) == ["model", "x", "threats"]

    def test_leaves_modes_gradients_and_inputs_as_they_were(self, certifier):
        model, x = random_mlp(3, feature_map=CentreAbsolute(torch.full((6,), 0.5)))
        model.score.train()
        before, inputs, digest = [module.training for module in model.modules()], x.clone(), model.digest
        with torch.no_grad():
            certifier.certify(model, x, [ThreatModel(norm=p) for p in self.norms])
            assert not torch.is_grad_enabled()
        assert [module.training for module in model.modules()] == before
        assert all(parameter.grad is None for parameter in model.parameters())
        assert torch.equal(x, inputs)
        assert not x.requires_grad
        assert model.digest == digest

    def test_does_not_depend_on_the_batch(self, certifier):
        model, x = random_mlp(4, feature_map=CentreAbsolute(torch.full((6,), 0.5)))
        order = torch.randperm(len(x), generator=seeded(4))
        threats = self.threats()
        whole, moved = certifier.certify(model, x, threats), certifier.certify(model, x[order], threats)
        single = [certifier.certify(model, row[None], threats) for row in x[:6]]
        for index, certificate in enumerate(whole):
            torch.testing.assert_close(moved[index].radius, certificate.radius[order], rtol=1e-9, atol=0)
            alone = torch.cat([certificates[index].radius for certificates in single])
            torch.testing.assert_close(alone, certificate.radius[:6], rtol=1e-9, atol=0)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_refuses_values_that_are_not_finite(self, certifier, value):
        model, x = random_mlp(5)
        x[3, 2] = value
        with pytest.raises(InputError, match=r"`x` must be finite.*\[3, 2\]"):
            certifier.certify(model, x, [ThreatModel()])

    @pytest.mark.parametrize("shape", [(6,), (4, 5), (4, 6, 1), ()])
    def test_refuses_another_shape(self, certifier, shape):
        model, _ = random_mlp(5)
        with pytest.raises(InputError, match=r"`x` must be a real tensor of shape \(n, 6\)"):
            certifier.certify(model, torch.zeros(shape), [ThreatModel()])

    def test_refuses_an_input_outside_its_box_and_parts_of_another_shape(self, certifier):
        model, x = random_mlp(5)
        with pytest.raises(InputError, match="inside the box"):
            certifier.certify(model, x + 0.5, [ThreatModel(lower=0, upper=1)])
        with pytest.raises(InputError, match="`cost` must be broadcastable"):
            certifier.certify(model, x, [ThreatModel(cost=COST[:5])])

    # What it claims

    def test_no_attack_succeeds_inside_the_radius(self, certifier):
        attack = ProjectedGradient(steps=12, restarts=2)
        maps = (None, CentreAbsolute(torch.full((6,), 0.5)))
        for model, x in [random_mlp(seed, feature_map=kind) for seed, kind in enumerate(maps)]:
            for certificate in certifier.certify(model, x, self.threats()):
                result = attack.run(model, x, certificate.threat, 0.999 * certificate.radius, seeded(0))
                assert not bool(result.success.any()), certificate.threat.describe()

    def test_no_attack_succeeds_on_images(self, certifier):
        attack = ProjectedGradient(steps=12, restarts=2)
        for pool in ("max", "average"):
            model, x = random_conv(6, pool)
            for certificate in certifier.certify(model, x, [ThreatModel(p, 0.0, 1.0) for p in self.norms]):
                result = attack.run(model, x, certificate.threat, 0.999 * certificate.radius, seeded(0))
                assert not bool(result.success.any()), certificate.threat.describe()

    def test_never_above_the_exact_radius_of_a_linear_score(self, certifier):
        """Weights, inputs and threshold are dyadic, so the margin has no rounding, and the radius is rational."""
        generator = seeded(7)
        for p in (1.0, math.inf):
            for cost in (torch.ones(6).double(), COST):
                weight, x = dyadic((6,), generator), dyadic((32, 6), generator)
                model = linear_model(weight, 1.5)
                truth = exact_linear_radius(weight, x, 1.5, cost, p)
                certified = self.certify(certifier, model, x, p, cost=cost).radius.tolist()
                for radius, exact in zip(certified, truth, strict=True):
                    assert radius <= exact, f"p = {p}: {radius} above {float(exact)}"

    def test_never_above_the_exact_radius_where_large_terms_cancel(self, certifier):
        """Products of up to 2^44 that nearly cancel: exact in float64 and out of reach of single precision."""
        generator = seeded(17)
        large, small, left = dyadic((3,), generator) * 2**20, dyadic((3,), generator), dyadic((24, 3), generator)
        weight = torch.cat((large + small, -large))
        x = torch.cat((left, left), dim=1) * 2**20
        threshold = float((left @ small).quantile(0.25).round() * 2**20)
        for p in (1.0, math.inf):
            truth = exact_linear_radius(weight, x, threshold, torch.ones(6).double(), p)
            certified = self.certify(certifier, linear_model(weight, threshold), x, p).radius
            for radius, exact in zip(certified.tolist(), truth, strict=True):
                assert radius <= exact, f"p = {p}: {radius} above {float(exact)}"

    def test_no_rounding_attack_succeeds_at_the_very_radius(self, certifier):
        """Of sizes less than the radius, to the last bit, in single and in double precision."""
        attack = RoundingAttack(roundings=10, flips=10, steps=4)
        threats = [ThreatModel(1), ThreatModel(2), ThreatModel(math.inf), ThreatModel(2, -1.0, 2.0)]
        for dtype in (torch.float32, torch.float64):
            model, x = cancelling_model(1, dtype)
            for certificate in certifier.certify(model, x[:12], threats):
                below = torch.nextafter(certificate.radius, torch.zeros_like(certificate.radius))
                result = attack.run(model, x[:12], certificate.threat, below, seeded(0))
                assert not bool(result.success.any()), f"{certificate.threat.describe()} in {dtype}"

    def test_the_upper_bound_is_the_size_of_a_flip(self, certifier):
        """What a certificate says about the other side is a fact about the deployed classifier."""
        model, x = random_mlp(15)
        for certificate in certifier.certify(model, x, self.threats()):
            if certificate.upper is None:
                continue
            assert certificate.adversarial is not None
            known = certificate.sensitive & certificate.upper.isfinite()
            flipped, start = certificate.adversarial[known], x[known]
            assert not bool(model.predict(flipped).any()), certificate.threat.describe()
            fits = admissible(start, flipped, certificate.threat, certificate.upper[known])
            assert bool(fits.all()), certificate.threat.describe()

    def test_never_above_a_linear_score_s_flip_in_any_norm(self, certifier):
        generator = seeded(8)
        weight, x = dyadic((6,), generator), dyadic((16, 6), generator)
        self._never_above_flips(certifier, linear_model(weight, 1.5), x, weight / COST, COST)
        self._never_above_flips(certifier, linear_model(weight, 1.5), x, weight, torch.ones(6).double())

    def test_never_above_the_flip_where_the_map_stretches_fully(self, certifier):
        generator = seeded(9)
        weight = dyadic((6,), generator).abs() + 0.5
        x = 8.0 + dyadic((16, 6), generator) / 16  # far above the kinks at 0
        margin = folded_model(weight, 0.0).margin(x)
        model = folded_model(weight, float(margin.min()) - 1.0)
        self._never_above_flips(certifier, model, x, weight, torch.ones(6).double())

    def test_never_above_the_programme_of_the_whole_network(self, certifier):
        for seed, hidden, feature_map in ((10, (8,), None), (11, (8, 4), Centre(torch.full((5,), 0.5)))):
            model, x = random_mlp(seed, 5, hidden, feature_map, n=10)
            for p in (1.0, math.inf):
                for parts in ({}, {"lower": 0, "upper": 1}, {"lower": -1, "cost": COST[:5]}):
                    threat = ThreatModel(norm=p, **parts)
                    certificate = certifier.certify(model, x, [threat])[0]
                    for index in certificate.sensitive.nonzero().flatten().tolist():
                        change = program_change(model, x[index], threat)
                        if change is not None:
                            flip = flipping_size(model, x[index], torch.from_numpy(change), threat)
                            assert certificate.radius[index] <= flip, f"{threat.describe()}, sample {index}"

    @pytest.mark.parametrize("d", [1, 2])
    def test_never_above_brute_force_in_low_dimension(self, certifier, d):
        for seed, feature_map in enumerate((None, CentreAbsolute(torch.full((d,), 0.5)))):
            model, x = random_mlp(12 + seed, d, (12, 6), feature_map, n=8)
            for p in self.norms:
                for parts in ({}, {"lower": 0, "upper": 1}, {"cost": COST[:d]}):
                    threat = ThreatModel(norm=p, **parts)
                    certificate = certifier.certify(model, x, [threat])[0]
                    for index, radius in enumerate(certificate.radius.tolist()):
                        assert certificate.margin[index] <= 0 or radius <= grid_radius(model, x[index], threat, 4.0)

    def _never_above_flips(self, certifier, model, x, slope, cost):
        """`slope` is the gradient by scaled coordinates: the worst change goes along its dual direction."""
        for p in self.norms:
            certificate = self.certify(certifier, model, x, p, cost=cost)
            worst = _worst_direction(slope, p)
            for index in certificate.sensitive.nonzero().flatten().tolist():
                drop = model.margin(x[index : index + 1]) - model.margin(x[index : index + 1] + 2**-10 * worst / cost)
                change = 2**-10 * worst / cost * (certificate.margin[index] / drop)
                flip = flipping_size(model, x[index], change, certificate.threat)
                assert flip < math.inf
                assert certificate.radius[index] <= flip, f"p = {p}, sample {index}"


def _worst_direction(slope: Tensor, norm: float) -> Tensor:
    """Change of steepest descent in scaled coordinates, of largest entry 1."""
    if norm == 1:
        return -torch.where(slope.abs() == slope.abs().max(), slope.sign(), 0.0)
    return dual_direction(slope[None], norm)[0]
