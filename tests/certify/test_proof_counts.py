"""Proofs of how many columns an adversary must change: as many as the certificate says, and no more."""

import math

import numpy as np
import pytest
import torch

from asymcert.certify import certify
from asymcert.convex import ConvexMLP
from asymcert.features import Ramps
from asymcert.proofs.checker import Claim, main, read_container
from asymcert.proofs.checker_network import RefusedError
from asymcert.proofs.writer import as_checked, write_proofs
from asymcert.threats.model import ThreatModel
from contracts.models import balanced, randomise, seeded

D = 9
PLACE = torch.arange(D)
CHOICE = PLACE >= 6
THREATS = {
    "free": ThreatModel(0),
    "box": ThreatModel(0, lower=0.0, upper=1.0, direction=(PLACE < 3).to(torch.int8)),
    "groups": ThreatModel(0, groups=PLACE // 2, mutable=PLACE != 1),
    "category": ThreatModel(0, lower=0.0, upper=1.0, groups=PLACE.clamp(max=6), exclusive=CHOICE),
    "prices": ThreatModel(0, groups=PLACE.clamp(max=6), exclusive=CHOICE, cost=1.0 + PLACE.clamp(max=6) % 3),
}


def inputs(count, seed=0):
    x = torch.rand(count, D, generator=seeded(seed), dtype=torch.float64) ** 6
    x[:, CHOICE] = torch.eye(3).double()[torch.randint(3, (count,), generator=seeded(seed + 1))]
    return x


def classifier():
    x = inputs(400, 5)
    feature_map = Ramps.fit(x, 8)
    score = randomise(ConvexMLP(feature_map.output_shape((D,)), (12, 6)), seeded(2))
    return balanced(feature_map, score, x, 0.05)


@pytest.fixture(params=THREATS)
def proved(request, tmp_path):
    """Model, certificate and the contents of each proof that there is."""
    model, x, threat = classifier(), inputs(40), THREATS[request.param]
    certificate = certify(model, x, threat)
    model.save(tmp_path / "model")
    paths = write_proofs(tmp_path / "proofs", model, x, certificate)
    assert main([str(tmp_path / "model"), *(str(path) for path in paths if path)]) == 0
    return model, certificate, [None if path is None else read_container(path, "asymcert-proof") for path in paths]


def test_the_radius_is_the_certificate_s(proved):
    _, certificate, proofs = proved
    known = certificate.radius.tolist()
    assert len(set(known)) > 1
    for proof, radius in zip(proofs, known, strict=True):
        claimed = 0.0 if proof is None else float.fromhex(proof[0]["radius"])
        assert claimed == pytest.approx(radius, rel=1e-9)


def test_more_is_refused(proved):
    model, _, proofs = proved
    checked, refused = as_checked(model), 0
    for proof in proofs:
        if proof is None or float.fromhex(proof[0]["radius"]) == math.inf:
            continue
        metadata, tensors = proof
        for radius in (float.fromhex(metadata["radius"]) + 1.0, math.inf):
            with pytest.raises(RefusedError, match="does not follow"):
                Claim(checked, {**metadata, "radius": radius.hex()}, tensors).check()
            refused += 1
    assert refused > 10


def test_parts_that_are_none(tmp_path):
    model, x = classifier(), inputs(40)
    certificate = certify(model, x, THREATS["prices"])
    path = next(path for path in write_proofs(tmp_path, model, x, certificate) if path)
    metadata, tensors = read_container(path, "asymcert-proof")
    dear = tensors["cost"].copy()
    dear[-1] += 1.0
    wrong = (
        ({"cost": dear}, "differ in price"),
        ({"exclusive": np.arange(D) > 6}, "and others are not"),
        ({"exclusive": np.arange(D) == 0, "groups": np.arange(D)}, "not one 1 and zeros"),
        ({"groups": tensors["groups"][:4]}, "wrong shape"),
        ({"groups": tensors["groups"].astype(float)}, "wrong type"),
    )
    for changed, reason in wrong:
        with pytest.raises(RefusedError, match=reason):
            Claim(as_checked(model), metadata, {**tensors, **changed})
    with pytest.raises(RefusedError, match="not counted in this norm"):
        Claim(as_checked(model), {**metadata, "norm": "inf"}, tensors)
