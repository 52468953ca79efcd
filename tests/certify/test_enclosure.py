"""Certificates by enclosures of the features: the contract, on maps that follow coordinates too."""

import pytest
import torch

from asymcert.certify import ClosedForm
from asymcert.certify.enclosure import Enclosure
from asymcert.errors import InputError
from asymcert.features import FeatureMap
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.certifier import MAPS, CertifierContract
from contracts.models import random_mlp


class TestEnclosure(CertifierContract):
    @pytest.fixture
    def certifier(self):
        return Enclosure()


@pytest.mark.parametrize("feature_map", MAPS, ids=lambda feature_map: type(feature_map).__name__)
def test_features_inside_a_box_lie_in_its_enclosure(feature_map):
    x = torch.rand(100, 6, dtype=torch.float64) * 2 - 0.5
    low, high = x - torch.rand_like(x), x + torch.rand_like(x)
    feature_map = feature_map.double()
    least, most = feature_map.enclosure(low, high, 2.0**-53, 0.0)
    attained = torch.zeros(2)
    for share in torch.linspace(0, 1, 101).tolist():
        features = feature_map(low + share * (high - low))
        assert bool(((least <= features) & (features <= most)).all())
        attained += torch.stack(((features - least < 1e-2).any(), (most - features < 1e-2).any()))
    assert bool((attained > 0).all())


def test_a_box_makes_radii_larger_and_never_smaller():
    model, x = random_mlp(0, feature_map=MAPS[2])
    threat = ThreatModel(torch.inf, lower=0, upper=1)
    enclosed, closed = (kind().certify(model, x, [threat])[0].radius for kind in (Enclosure, ClosedForm))
    assert bool((enclosed >= closed).all())
    assert bool((enclosed > 1.01 * closed).any())


class Opaque(FeatureMap):
    """A map that encloses nothing."""

    def forward(self, x):
        return x

    def lipschitz(self, norm):
        return 1.0

    def output_shape(self, input_shape):
        return input_shape

    def options(self):
        return {}


def test_a_map_without_bounds_and_wrong_steps_are_refused():
    model, x = random_mlp(0)
    model = FeatureConvexClassifier(Opaque(), model.score, input_shape=(6,))
    with pytest.raises(InputError, match="`model` must be one whose feature map encloses its features, got Opaque"):
        Enclosure().certify(model, x, [ThreatModel()])
    with pytest.raises(InputError, match="`steps`"):
        Enclosure(steps=-1)
