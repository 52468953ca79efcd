"""What a certificate of a number of columns must satisfy. A test class inherits `CountContract`."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from asymcert.certify import Certifier
from asymcert.errors import InputError
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import seeded

INPUTS, TRIES = 6, 60
GROUPS = torch.tensor([0, 0, 1, 1, 2, 3])
PLAIN = ThreatModel(norm=0, lower=0, upper=1)
THREATS = (
    PLAIN,
    ThreatModel(norm=0, lower=0, upper=1, groups=GROUPS),
    ThreatModel(norm=0, lower=0, upper=1, cost=torch.tensor([0.3, 1.0, 2.0, 0.5, 1.0, 0.7])),
    ThreatModel(norm=0, lower=0, upper=1, mutable=torch.arange(INPUTS) % 3 > 0),
)


class CountContract:
    """Models come from ``model(seed)``: a classifier of six inputs, sensitive for about half of the unit cube."""

    samples = 10

    @pytest.fixture
    def certifier(self) -> Certifier:
        raise NotImplementedError

    def model(self, seed: int) -> BinaryClassifier:
        raise NotImplementedError

    def verdicts(self, model: BinaryClassifier, x: Tensor) -> Tensor:
        """What the certificates are about, exactly: bool (n,)."""
        return model.predict(x)

    def inputs(self, seed: int) -> Tensor:
        return torch.rand(self.samples, INPUTS, generator=seeded(seed), dtype=torch.float64)

    def test_verdicts_shapes_and_radii(self, certifier):
        model, x = self.model(0), self.inputs(0)
        for threat, certificate in zip(THREATS, certifier.certify(model, x, THREATS), strict=True):
            assert (certificate.threat, certificate.method, len(certificate)) == (threat, certifier.method, len(x))
            agreed = certificate.sensitive == self.verdicts(model, x)
            assert bool((agreed if certificate.abstained is None else agreed | certificate.abstained).all())
            assert bool((certificate.radius[~certificate.sensitive] == 0).all())
        whole = certifier.certify(model, x, [PLAIN])[0].radius
        assert bool((whole[whole.isfinite()] % 1 == 0).all())
        assert bool((whole > 0).any())

    def test_no_change_of_that_many_columns_undoes_a_verdict(self, certifier):
        for seed in range(3):
            model, x = self.model(seed), self.inputs(seed)
            for threat in THREATS:
                certificate = certifier.certify(model, x, [threat])[0]
                for index in certificate.sensitive.nonzero()[:, 0].tolist():
                    self.attacked(model, x[index], threat, float(certificate.radius[index]), seed)

    def attacked(self, model: BinaryClassifier, x: Tensor, threat: ThreatModel, radius: float, seed: int) -> None:
        """Every set of columns that the radius pays for, with random values and the ends of the box."""
        columns = threat.columns((INPUTS,))
        frozen = torch.zeros(INPUTS, dtype=torch.bool) if threat.mutable is None else ~threat.mutable
        groups = range(len(columns.price))
        sets = itertools.chain.from_iterable(itertools.combinations(groups, k) for k in range(len(groups) + 1))
        for chosen in sets:
            if float(columns.price[list(chosen)].sum()) > radius:
                continue
            free = torch.isin(columns.index, torch.tensor(chosen, dtype=torch.int64)) & ~frozen
            values = torch.rand(TRIES, INPUTS, generator=seeded(seed), dtype=torch.float64)
            values = torch.cat((values, values.round()))
            assert bool(self.verdicts(model, torch.where(free, values, x)).all()), (threat.describe(), chosen)

    def test_does_not_depend_on_the_batch(self, certifier):
        model, x = self.model(1), self.inputs(1)
        whole = certifier.certify(model, x, THREATS)
        for certificate, alone in zip(whole, certifier.certify(model, x[3:4], THREATS), strict=True):
            assert torch.equal(alone.radius, certificate.radius[3:4])
        assert [len(none) for none in certifier.certify(model, x[:0], THREATS)] == [0] * len(THREATS)

    def test_refusals(self, certifier):
        model, x = self.model(0), self.inputs(0)
        with pytest.raises(InputError, match="`threat` must be of norm 0 for method"):
            certifier.certify(model, x, [ThreatModel(2)])
        with pytest.raises(InputError, match="`model` must be a"):
            certifier.certify(object(), x, [PLAIN])
        with pytest.raises(InputError, match="inside the box"):
            certifier.certify(model, x + 1, [PLAIN])
        with pytest.raises(InputError, match="finite"):
            certifier.certify(model, x * torch.nan, [PLAIN])
        with pytest.raises(InputError, match="A single sample needs a batch dimension"):
            certifier.certify(model, x[0], [PLAIN])
        with pytest.raises(InputError, match="float32 or float64"):
            certifier.certify(model.bfloat16(), x, [PLAIN])

    def test_one_column_more_would_be_found_out(self, certifier):
        """A certifier that is wrong by one fails the contract."""

        class Wrong(type(certifier)):
            def _certificates(self, model, x, threats):
                found = super()._certificates(model, x, threats)
                return [replace(c, radius=torch.where(c.sensitive, c.radius + 1, 0.0)) for c in found]

        with pytest.raises(AssertionError):
            self.test_no_change_of_that_many_columns_undoes_a_verdict(Wrong(**vars(certifier)))
