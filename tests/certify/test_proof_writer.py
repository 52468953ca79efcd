"""The writer's proofs say as much as the certificates they were written for."""

import math

import pytest
import torch

from asymcert.certify import Certificate, certify
from asymcert.errors import InputError
from asymcert.features import Centre, CentreAbsolute, Ramps
from asymcert.proofs.checker import Claim, Model, main, read_container
from asymcert.proofs.writer import write_proof, write_proofs
from asymcert.threats.model import ThreatModel
from contracts.models import linear_model, random_mlp
from contracts.proofs import NORMS, conv

PARTS = (
    {},
    {"lower": 0.0, "upper": 1.0},
    {"lower": -0.5, "cost": torch.tensor([0.25, 2.0, 0.5, 1.0, 4.0, 0.125]), "direction": torch.arange(6) % 3 - 1},
)


def claimed(path):
    return float.fromhex(read_container(path, "asymcert-proof")[0]["radius"])


def ratios(model, x, certificate, folder):
    """Radius of each proof over that of its certificate."""
    paths = write_proofs(folder, model, x, certificate)
    assert [path is not None for path in paths] == (certificate.radius > 0).tolist()
    found = []
    for path, radius in zip(paths, certificate.radius.tolist(), strict=True):
        if path is not None:
            found.append(1.0 if claimed(path) == radius == math.inf else claimed(path) / radius)
    return found


@pytest.mark.parametrize(("norm", "method"), [*((p, "tangent") for p in NORMS), (1.0, "refined"), (2.0, "refined")])
def test_the_radius_is_the_certificate_s_for_affine_maps(norm, method, tmp_path):
    model, x = random_mlp(0, feature_map=Centre(torch.full((6,), 0.5)), n=6)
    for parts in PARTS:
        found = ratios(model, x, certify(model, x, ThreatModel(norm, **parts), method), tmp_path)
        assert len(found) >= 4
        assert all(abs(ratio - 1) < 1e-9 for ratio in found), (norm, parts)


@pytest.mark.parametrize("norm", NORMS)
def test_the_radius_is_no_smaller_for_maps_that_bend(norm, tmp_path):
    """Prices cover no change beyond the radius itself, so proofs may say more than the certificate, never less."""
    model, x = random_mlp(2, feature_map=CentreAbsolute(torch.full((6,), 0.5)), n=6)
    for parts in PARTS:
        found = ratios(model, x, certify(model, x, ThreatModel(norm, **parts), "tangent"), tmp_path)
        assert len(found) > 3
        assert min(found) > 1 - 1e-9


@pytest.mark.parametrize("norm", NORMS)
def test_the_radius_is_the_certificate_s_for_steep_ramps(norm, tmp_path):
    """Also where nothing limits the adversary, and infinite where all that he can do does not suffice."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(200, 6, generator=generator, dtype=torch.float64) ** 12
    model, _ = random_mlp(2, feature_map=Ramps.fit(x, 12))
    assert float(1.0 / model.feature_map.width.min()) > 1e5  # pyright: ignore
    model = model.with_threshold(float((model.margin(x) + model.threshold).quantile(0.2)))
    for parts in PARTS:
        found = ratios(model, x[:6], certify(model, x[:6], ThreatModel(norm, **parts), "tangent"), tmp_path)
        assert len(found) > 3
        assert min(found) > 1 - 1e-6
    easy = model.with_threshold(model.threshold - 100.0)
    paths = write_proofs(tmp_path, easy, x[:2], certify(easy, x[:2], ThreatModel(norm), "tangent"))
    assert [claimed(path) for path in paths] == [math.inf, math.inf]


def test_the_radius_is_no_smaller_for_images(tmp_path):
    model, x = conv(7, pool_size=2, passthrough=True)
    for norm in (1.0, 2.0, math.inf):
        found = ratios(model, x, certify(model, x, ThreatModel(norm, lower=0, upper=1), "tangent"), tmp_path)
        assert min(found) > 1 - 1e-7  # small margins, of which the bounds on rounding are a larger part


def test_the_radius_is_about_the_certificate_s_in_single_precision(tmp_path):
    model, x = random_mlp(4, n=6)
    model = model.float()
    for norm in NORMS:
        found = ratios(model, x, certify(model, x, ThreatModel(norm), "tangent"), tmp_path)
        assert min(found) > 0.999


def test_a_closed_form_certificate_is_proved_by_its_tangent_plane(tmp_path):
    model, x = random_mlp(1)
    certificate = certify(model, x, ThreatModel(2, lower=0, upper=1))
    assert certificate.anchors is None
    assert min(ratios(model, x, certificate, tmp_path)) > 1 - 1e-9


def test_files_are_confirmed_and_named_by_sample(tmp_path):
    model, x = random_mlp(3)
    model.save(tmp_path / "model")
    certificate = certify(model, x, ThreatModel(1, lower=0, upper=1), "refined")
    paths = write_proofs(tmp_path / "proofs", model, x, certificate)
    for index, path in enumerate(paths):
        assert path is None or path.name == f"{index:06d}.proof"
    assert main([str(tmp_path / "model"), *(str(path) for path in paths if path is not None)]) == 0


def test_an_input_that_cannot_be_evaded_has_an_infinite_radius(tmp_path):
    weight = torch.tensor([1.0, -2.0]).double()
    model, x = linear_model(weight, -3.0), torch.tensor([0.5, 0.5]).double()
    for norm in NORMS:
        threat = ThreatModel(norm, lower=0, upper=1)
        assert write_proof(tmp_path / "p", model, x, threat, x[None], torch.ones(1)) == math.inf
        radius = write_proof(tmp_path / "p", model, x, ThreatModel(norm), x[None], torch.ones(1))
        assert 0 < radius < math.inf


def test_a_constant_score_is_proved_as_far_as_the_classifier_runs(tmp_path):
    """Beyond some size the deployed classifier overflows, so the radius is huge but finite where there is no box."""
    model, x = linear_model(torch.zeros(2).double(), -1.0), torch.zeros(2).double()
    model.save(tmp_path / "model")
    for norm in NORMS:
        radius = write_proof(tmp_path / "p", model, x, ThreatModel(norm), x[None], torch.ones(1))
        assert 1e200 < radius < math.inf
        assert main([str(tmp_path / "model"), str(tmp_path / "p")]) == 0


def test_what_cannot_be_proved_is_an_error(tmp_path):
    model, x = random_mlp(0)
    worst, best = x[model.margin(x).argmin()], x[model.margin(x).argmax()]
    wrong = ((worst, [1.0], "margin is not positive"), (best, [0.5], "of sum 1"), (best, [-1.0], "nonnegative"))
    for row, weights, reason in wrong:
        with pytest.raises(InputError, match=reason):
            write_proof(tmp_path / "p", model, row, ThreatModel(), row[None], torch.tensor(weights))
    with pytest.raises(InputError, match="outside its box"):
        write_proof(tmp_path / "p", model, best, ThreatModel(lower=2.0), best[None], torch.ones(1))
    with pytest.raises(InputError, match="inputs that were certified"):
        write_proofs(tmp_path, model, x[:1], certify(model, x[:2]))
    assert list(tmp_path.iterdir()) == []


def test_a_margin_within_rounding_errors_proves_nothing(tmp_path):
    model, x = random_mlp(0)
    row = x[:1]
    close = model.with_threshold(math.nextafter(float(model.score(model.feature_map(row))), -9.0))
    assert bool(close.predict(row))
    radius = torch.ones(1).double()
    unsound = Certificate(radius, radius, radius, ThreatModel(), "closed-form")
    earlier = tmp_path / "000007.proof"
    earlier.touch()
    assert write_proofs(tmp_path, close, row, unsound, index=torch.tensor([7])) == [None]
    assert not earlier.exists()
    with pytest.raises(InputError, match="within the bound on rounding errors"):
        write_proof(tmp_path / "p", close, row[0], ThreatModel(), row, torch.ones(1))


def test_parts_of_the_threat_model_are_stored_as_given(tmp_path):
    model, x = random_mlp(0)
    row = x[model.margin(x).argmax()]
    threat = ThreatModel(
        1.5, lower=0.0, cost=torch.arange(1, 7), direction=torch.tensor(0), mutable=torch.arange(6) > 0
    )
    write_proof(tmp_path / "p", model, row, threat, row[None], torch.ones(1))
    metadata, tensors = read_container(tmp_path / "p", "asymcert-proof")
    assert float.fromhex(metadata["norm"]) == 1.5
    assert {name: tensors[name].shape for name in ("lower", "cost", "direction", "mutable")} == {
        "lower": (),
        "cost": (6,),
        "direction": (),
        "mutable": (6,),
    }
    model.save(tmp_path / "model")
    Claim(Model(tmp_path / "model"), metadata, tensors).check()


def test_no_samples_and_what_is_no_batch(tmp_path):
    model, x = random_mlp(0)
    for method in ("closed-form", "refined"):
        none = certify(model, x[:0], method=method)
        assert write_proofs(tmp_path, model, x[:0], none) == []
    for sample in (torch.tensor(1.0), x[0]):
        with pytest.raises(InputError, match="A single sample needs a batch dimension"):
            write_proofs(tmp_path, model, sample, none)
