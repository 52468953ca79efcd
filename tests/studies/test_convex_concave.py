"""One convex logit against concave ones: what it computes, its file, its certificate, its training."""

import pytest
import torch

from asymcert.certify import Certificate, ClosedForm, certify
from asymcert.certify.convex_concave import ConvexConcave
from asymcert.convex import ConvexMLP
from asymcert.datasets.many import load_many
from asymcert.errors import InputError
from asymcert.features import Centre, CentreAbsolute
from asymcert.models.convex_concave import ConvexConcaveClassifier
from asymcert.studies.cascade import first_samples
from asymcert.studies.convex_concave import train_convex_concave
from asymcert.threats.model import ThreatModel
from contracts.baselines import INPUTS, BaselineContract
from contracts.files import reloaded
from contracts.models import randomise, seeded


def classifier(seed, feature_map=None):
    generator = seeded(seed)
    feature_map = feature_map or Centre(torch.full((INPUTS,), 0.5))
    features = feature_map.output_shape((INPUTS,))
    scores = [randomise(ConvexMLP(features, hidden), generator) for hidden in [(8, 4), (6,), (5, 4, 3), (7, 5)]]
    names = [f"class {index}" for index in range(4)]
    return ConvexConcaveClassifier(feature_map, scores[0], scores[1:], input_shape=(INPUTS,), classes=names)


class TestClosedForm(BaselineContract):
    samples = 5

    @pytest.fixture
    def certifier(self):
        return ConvexConcave()

    def model(self, seed):
        return classifier(seed)


def test_margin_is_the_convex_logit_less_the_greatest_concave_one():
    model, x = classifier(0).with_threshold(0.25), torch.rand(9, INPUTS, generator=seeded(0)).double()
    logits = model.logits(x)
    assert logits.shape == (9, 4)
    torch.testing.assert_close(logits[:, 0] - logits[:, 1:].amax(1) - 0.25, model.margin(x), rtol=0, atol=0)
    pairs = torch.stack([pair.margin(x) for pair in model.pairs()])
    torch.testing.assert_close(pairs.amin(0), model.margin(x), rtol=1e-12, atol=1e-12)
    assert [pair.other for pair in model.pairs()] == ["class 1", "class 2", "class 3"]


def test_the_convex_logit_is_convex_and_the_others_concave():
    model = classifier(1)
    a, b = torch.randn(2, 200, INPUTS, generator=seeded(1), dtype=torch.float64)
    bend = (model.logits(a) + model.logits(b)) / 2 - model.logits((a + b) / 2)
    assert bool((bend[:, 0] >= -1e-12).all())
    assert bool((bend[:, 1:] <= 1e-12).all())
    assert float(bend[:, 1:].min()) < -1e-3


def test_radius_is_the_least_of_the_pairs_and_grows_with_the_method():
    model, x = classifier(2), torch.rand(40, INPUTS, generator=seeded(2)).double()
    model = model.with_threshold(float(model.margin(x).median()))
    threat = ThreatModel(1, 0, 1)
    pairs = [ClosedForm().certify(pair, x, [threat])[0].radius for pair in model.pairs()]
    radius = certify(model, x, threat).radius
    assert torch.equal(radius, torch.stack(pairs).amin(0).where(model.predict(x), 0.0))
    closed, tangent, refined = (
        certify(model, x, threat, pairwise=name).radius for name in ("closed-form", "tangent", "refined")
    )
    assert bool((closed <= tangent * (1 + 1e-9)).all())
    assert bool((tangent <= refined * (1 + 1e-9)).all())
    assert float(refined.sum()) > float(closed.sum())


def test_the_greatest_radius_of_the_pairs_would_be_wrong():
    """Shows that attacks see a certificate that forgets a class."""

    class Greatest(ConvexConcave):
        def _least(self, margin, threat, pairs):
            radius = torch.stack([pair.radius for pair in pairs]).amax(0).where(margin > 0, 0.0)
            return Certificate(radius, margin, margin, threat, self.method, self.sound)

    contract = TestClosedForm()
    contract.samples = 60
    with pytest.raises(AssertionError):
        contract.test_no_attack_succeeds_inside(Greatest(), torch.float64)


def test_file_keeps_everything(tmp_path):
    model = classifier(3, CentreAbsolute(torch.full((INPUTS,), 0.5))).with_threshold(0.125)
    x = torch.rand(5, INPUTS, generator=seeded(3)).double()
    assert reloaded(model, x, tmp_path).classes == model.classes


def test_refusals():
    shape, mean = (INPUTS,), Centre(torch.zeros(INPUTS))
    score = randomise(ConvexMLP(shape, (4,)), seeded(4))
    with pytest.raises(InputError, match="`classes` must be"):
        ConvexConcaveClassifier(mean, score, [], input_shape=shape, classes=["a"])
    with pytest.raises(InputError, match="convex networks on features"):
        ConvexConcaveClassifier(mean, score, [ConvexMLP((3,), (4,))], input_shape=shape, classes=["a", "b"])
    broken = ConvexMLP(shape, (4,))
    with torch.no_grad():
        broken.hidden[0].weight.neg_()  # pyright: ignore
    with pytest.raises(InputError, match="nonnegative"):
        ConvexConcaveClassifier(mean, score, [broken], input_shape=shape, classes=["a", "b"])
    with pytest.raises(InputError, match="`pairwise` must be"):
        ConvexConcave(pairwise="exact")


def test_training_learns_digits():
    data = first_samples(load_many("digits"), 60)
    model = train_convex_concave(data, 3, hidden=(16,), epochs=6)
    assert (model.sensitive, len(model.classes)) == ("3", 10)
    x, labels = data.test
    right = model.predict(x) == (labels == 3)
    assert float(right[labels == 3].double().mean()) > 0.75
    assert float(right[labels != 3].double().mean()) > 0.75
    assert float(certify(model, x[labels == 3]).radius.median()) > 0.05
    with pytest.raises(InputError, match="`sensitive_class`"):
        train_convex_concave(data, 10)
