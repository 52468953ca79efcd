"""Maps of one's own: constants that are declared, checked on samples, and certificates by them."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from asymcert.attacks import ProjectedGradient
from asymcert.certify import certify
from asymcert.convex import ConvexMLP
from asymcert.errors import InputError
from asymcert.features import CentreAbsolute, Chain, FeatureMap, check_lipschitz, declared
from asymcert.features.declared import stretch
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from contracts.models import feature_maps, seeded

X = torch.rand(40, 6, generator=seeded(0))


class Absolute(nn.Module):
    def forward(self, x):
        return x.abs()


def orthogonal_network():
    """As other libraries build them: weights of plain torch, orthogonal by parametrisation."""
    torch.manual_seed(0)
    first, second = (parametrizations.orthogonal(nn.Linear(6, 6).double()) for _ in range(2))
    return nn.Sequential(first, Absolute(), second, Absolute())


def test_certificates_by_a_declared_constant_hold():
    feature_map = declared(orthogonal_network(), {2: 1.0}, X)
    model = FeatureConvexClassifier(feature_map, ConvexMLP((6,), (8, 4)), input_shape=(6,))
    model = model.with_threshold(float(model.margin(X).median()))
    assert not any(attacked(model, norm) for norm in (1.0, 2.0, math.inf))


def attacked(model, norm):
    """Whether a change inside a certified radius undoes a verdict; half of the inputs are sensitive."""
    certificate = certify(model, X, ThreatModel(norm), sound=False)
    chosen = certificate.radius > 0
    assert int(chosen.sum()) == 20
    sizes = certificate.radius[chosen] * 0.999
    return bool(ProjectedGradient(30, 2).run(model, X[chosen], ThreatModel(norm), sizes, seeded(0)).success.any())


def test_a_convex_score_is_trained_on_its_features():
    feature_map, labels = declared(orthogonal_network(), {2: 1.0}, X), X[:, 0] > X[:, 1]
    features = feature_map(X.double()).float()
    torch.manual_seed(0)
    score = ConvexMLP(tuple(features.shape[1:]), (16, 8))
    optimiser = torch.optim.Adam(score.parameters(), 0.02)
    for _ in range(150):
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(score(features), labels.float())
        loss.backward()
        optimiser.step()
        score.project_()
    model = FeatureConvexClassifier(feature_map, score, input_shape=(6,))
    assert float((model.predict(X) == labels).double().mean()) > 0.85
    model = model.with_threshold(float(model.margin(X).median()))
    assert not any(attacked(model, norm) for norm in (1.0, 2.0, math.inf))


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_networks_of_torchlip(norm):
    """Normalised by an estimate in float32: a little more than 1 is what they keep."""
    torchlip = pytest.importorskip("deel.torchlip")
    torch.manual_seed(0)
    layers = torchlip.SpectralLinear(6, 6), torchlip.FullSort(), torchlip.SpectralLinear(6, 4)
    feature_map = declared(torchlip.Sequential(*layers).vanilla_export(), {2: 1.0001}, X)
    model = FeatureConvexClassifier(feature_map, ConvexMLP((4,), (8, 4)), input_shape=(6,))
    assert not attacked(model.with_threshold(float(model.margin(X).median())), norm)


def test_networks_of_orthogonium():
    layers = pytest.importorskip("orthogonium.layers")
    torch.manual_seed(0)
    layer = layers.OrthoLinear(6, 4)
    for weight in list(layer.parametrizations):
        nn.utils.parametrize.remove_parametrizations(layer, weight)
    feature_map = declared(layer, {2: 1.0001}, X)
    model = FeatureConvexClassifier(feature_map, ConvexMLP((4,), (8, 4)), input_shape=(6,))
    assert not attacked(model.with_threshold(float(model.margin(X).median())), 2.0)


def test_what_it_cannot_do_it_says(tmp_path):
    feature_map = declared(orthogonal_network(), {2: 1.0}, X)
    model = FeatureConvexClassifier(feature_map, ConvexMLP((6,), (4,)), input_shape=(6,))
    with pytest.raises(InputError, match=r"able to bound its rounding.*sound=False"):
        certify(model, X, ThreatModel(2))
    with pytest.raises(InputError, match=r"to be saved, got a declared module\. Keep the code"):
        model.save(tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
    with pytest.raises(InputError, match="features mix inputs"):
        certify(model, X, ThreatModel(2), "tangent")
    with pytest.raises(InputError, match="`input_shape`"):
        feature_map.output_shape((7,))


def test_a_copy_is_certified_whatever_becomes_of_the_module():
    module = orthogonal_network()
    feature_map = declared(module, {2: 1.0}, X)
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(3.0)
    check_lipschitz(feature_map, X)
    assert not any(weight.requires_grad for weight in feature_map.parameters())


@pytest.mark.parametrize("norm", [1.0, 1.5, 2.0, 3.0, math.inf])
def test_constants_in_other_norms_follow(norm):
    layer = nn.Linear(6, 6).double()
    weight = layer.weight.detach()
    own = {2.0: float(torch.linalg.matrix_norm(weight, 2)) + 1e-9, math.inf: float(weight.abs().sum(1).max()) + 1e-9}
    feature_map = declared(layer, own, X)
    assert feature_map.feature_norm(norm) == (2.0 if norm <= 2 else math.inf)
    assert stretch(feature_map, X.double(), norm) <= feature_map.lipschitz(norm)
    only = declared(layer, {2: own[2.0]}, X)
    assert only.feature_norm(norm) == 2.0
    assert 0.3 * only.lipschitz(norm) < stretch(only, X.double(), norm) <= only.lipschitz(norm)


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_a_promise_that_is_broken_is_found(norm):
    """By a thousandth, in a direction that no pair of samples shows."""
    layer = nn.Linear(6, 6).double()
    size = float(torch.linalg.matrix_norm(layer.weight.detach(), norm))
    with pytest.raises(InputError, match=rf"of Lipschitz constant .* in l{norm:g}, .*got distances that grow"):
        declared(layer, {norm: size * 0.999}, X)
    declared(layer, {norm: size}, X)


def test_a_spectral_norm_that_is_estimated_from_below_is_found():
    """Torch's normalisation divides by what few steps of power iteration find, which is too little."""
    torch.manual_seed(0)
    layer = parametrizations.spectral_norm(nn.Linear(80, 80).double())
    with pytest.raises(InputError, match=r"grow by 1\.0\d+\. Declare a greater constant"):
        declared(layer, {2: 1.0}, torch.rand(10, 80, generator=seeded(0)))


def test_weights_that_are_orthogonal_in_single_precision_only_are_found():
    torch.manual_seed(0)
    layer = parametrizations.orthogonal(nn.Linear(6, 6))
    with pytest.raises(InputError, match=r"grow by 1\.000000\d+\. Declare a greater constant"):
        declared(layer, {2: 1.0}, X)
    declared(layer, {2: 1.00001}, X)


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("name", feature_maps(4, seeded(0)))
def test_the_package_s_own_maps_pass_and_are_measured_closely(name, norm):
    feature_map = feature_maps(4, seeded(0))[name].double()
    x = torch.rand(20, 4, generator=seeded(1)).double() * 4
    check_lipschitz(feature_map, x)
    assert stretch(feature_map, x, norm) == pytest.approx(feature_map.lipschitz(norm), rel=1e-6)


def test_a_map_that_moves_nothing_and_chains_are_measured_too():
    assert stretch(declared(nn.Threshold(9.0, 0.0), {2: 0.0}, X), X.double(), 2.0) == 0.0
    chained = Chain(CentreAbsolute(torch.full((6,), 9.0)), declared(nn.Identity(), {2: 1.0}, X.repeat(1, 2)))
    assert isinstance(chained, FeatureMap)
    assert stretch(chained, X.double(), 2.0) == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize(
    ("lipschitz", "message"),
    [
        ({}, "`lipschitz` must be a constant"),
        ({2: -1.0}, "`lipschitz`"),
        ({0.5: 1.0}, "`norm`"),
        ({2: math.inf}, "`lips"),
    ],
)
def test_refuses(lipschitz, message):
    with pytest.raises(InputError, match=message):
        declared(nn.Identity(), lipschitz, X)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="`module's values` must be finite"):
        declared(nn.Threshold(9.0, math.nan), {2: 1.0}, X)


def test_a_module_that_cannot_run_in_float64_is_refused():
    with pytest.raises(InputError, match=r"`module` must be able to run on `x` in float64.*remove_parametrizations"):
        declared(nn.Linear(5, 5), {2: 1.0}, X)
