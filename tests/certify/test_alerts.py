"""Work on the alerts of a batch alone."""

import pytest
import torch

from asymcert import ThreatModel
from asymcert.certify import Refined, Tangent
from asymcert.certify.cuts import Cuts
from contracts.models import random_mlp


@pytest.mark.parametrize("certifier", [Tangent(), Refined()], ids=lambda certifier: certifier.method)
def test_nothing_is_searched_without_an_alert(certifier, monkeypatch):
    monkeypatch.setattr(Cuts, "add", lambda *_: pytest.fail("a tangent plane"))
    model, x = random_mlp(0)
    (certificate,) = certifier.certify(model.with_threshold(1e9), x, [ThreatModel(norm=2)])
    assert torch.equal(certificate.radius, torch.zeros(len(x), dtype=torch.float64))
    assert torch.equal(certificate.adversarial, x.double())
    with pytest.raises(pytest.fail.Exception, match="a tangent plane"):
        certifier.certify(model.with_threshold(-1e9), x, [ThreatModel(norm=2)])
