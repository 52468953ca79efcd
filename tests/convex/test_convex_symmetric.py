"""The average over mirror images and shifts: what it computes, and that all guarantees carry over."""

import pytest
import torch

from asymcert.certify import ClosedForm
from asymcert.convex import ConvexConvNet, ConvexMLP, SymmetricAverage, symmetrise
from asymcert.errors import InputError, ModelFileError
from asymcert.features import CentreAbsolute
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.convexity import assert_convex
from contracts.files import reloaded
from contracts.models import balanced, randomise, seeded


@pytest.fixture
def base():
    return randomise(
        ConvexConvNet((2, 6, 6), channels=3, depth=3, first_kernel=3, passthrough=True), seeded(0), 1.5
    ).double()


@pytest.fixture
def model(base) -> FeatureConvexClassifier:
    x = torch.rand(24, 1, 6, 6, generator=seeded(1)).double()
    return balanced(CentreAbsolute(torch.full((1, 6, 6), 0.5)), SymmetricAverage(base, True, 1), x)


def shifted(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Edge-padded shift of one (c, h, w) image, pixel by pixel."""
    rows = (torch.arange(image.shape[1]) + down).clamp(0, image.shape[1] - 1)
    columns = (torch.arange(image.shape[2]) + right).clamp(0, image.shape[2] - 1)
    return image[:, rows][:, :, columns]


@torch.no_grad()
def test_is_the_mean_over_eighteen_images(base):
    images = torch.rand(5, 2, 6, 6, generator=seeded(2)).double()
    moves = [(down, right) for down in (-2, 0, 2) for right in (-2, 0, 2)]
    for index, image in enumerate(images):
        seen = [shifted(image, *move) for move in moves]
        seen += [picture.flip(2) for picture in seen]
        expected = base(torch.stack(seen)).mean()
        got = SymmetricAverage(base, True, 2)(images)[index]
        assert torch.allclose(got, expected, rtol=1e-12)


@torch.no_grad()
def test_mirrored_images_score_the_same(base):
    images = torch.rand(5, 2, 6, 6, generator=seeded(3)).double()
    score = SymmetricAverage(base, mirror=True)
    assert torch.allclose(score(images), score(images.flip(3)), rtol=1e-12)
    assert not torch.allclose(base(images), base(images.flip(3)), rtol=1e-3)


def test_is_convex(base):
    assert_convex(SymmetricAverage(base, True, 1), (2, 6, 6), seeded(4))


def test_gradients_in_the_certificate_are_the_averages_own(model):
    """The closed form against finite differences along the steepest direction."""
    x = torch.rand(24, 1, 6, 6, generator=seeded(1)).double()
    point = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(model(point).sum(), point)
    step = 1e-6 * gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    rise = (model.margin(x + step) - model.margin(x - step)) / 2e-6
    assert torch.allclose(rise, gradient.flatten(1).norm(dim=1), rtol=1e-4)
    assert float(ClosedForm().certify(model, x, [ThreatModel(2)])[0].radius.max()) > 0


def test_saved_and_loaded_unchanged(model, tmp_path):
    x = torch.rand(6, 1, 6, 6, generator=seeded(5))
    assert isinstance(reloaded(model, x, tmp_path).score, SymmetricAverage)


def test_negative_weight_of_the_base_is_refused_also_in_a_file(model, tmp_path, base):
    with torch.no_grad():
        model.score.base.hidden[0].weight[0, 0, 0, 0] = -1.0
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match=r"base\.hidden\.0\.weight"):
        FeatureConvexClassifier.load(tmp_path / "model.safetensors")


def test_symmetrise_adds_nothing_unless_asked(base):
    assert symmetrise(base, False, 0) is base
    assert isinstance(symmetrise(base, False, 1), SymmetricAverage)


def test_tables_and_bad_shifts_are_refused(base):
    with pytest.raises(InputError, match="`base` must be a score of images"):
        SymmetricAverage(ConvexMLP((4,)))
    with pytest.raises(InputError, match="`shift` must be"):
        SymmetricAverage(base, shift=-1)
