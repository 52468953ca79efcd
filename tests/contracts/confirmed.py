"""Proofs of every radius of a certificate: confirmed, and refused where they claim more."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from torch import Tensor

from asymcert.certify import certify
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.proofs.checker import Claim
from asymcert.proofs.checker_model import read_container
from asymcert.proofs.checker_network import RefusedError
from asymcert.proofs.writer import as_checked, write_proofs
from asymcert.threats.model import ThreatModel


def check_confirmed(
    model: FeatureConvexClassifier,
    x: Tensor,
    threats: Sequence[ThreatModel],
    folder: Path,
    least: float,
    longer: Callable[[ThreatModel], float],
) -> int:
    """Proven radii are `least` to 1 times the tangent certificate's, and `longer` times them refused; how many."""
    checked, found = as_checked(model), 0
    for number, threat in enumerate(threats):
        certificate = certify(model, x, threat, "tangent")
        for row, path in enumerate(write_proofs(folder / str(number), model, x, certificate)):
            if path is None:
                assert certificate.radius[row] == 0
                continue
            claim = Claim(checked, *read_container(path, "asymcert-proof"))
            claim.check()
            assert least < claim.radius / float(certificate.radius[row]) < 1 + 1e-6
            claim.radius *= longer(threat)
            with pytest.raises(RefusedError):
                claim.check()
            found += 1
    return found
