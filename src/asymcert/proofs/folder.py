"""Proofs of an evaluation's certificates, one file for each sample, in one folder for each curve."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from torch import Tensor

from asymcert.certify import Certificate
from asymcert.certify.base import expect
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.text import TextClassifier
from asymcert.proofs.checker_model import Model
from asymcert.proofs.writer import as_checked, write_proofs
from asymcert.runs.rows import Origin, threat_key
from asymcert.threats.model import ThreatModel

_NUMBER = re.compile(r"[0-9]{6,18}")  # other files are somebody else's


class Proofs:
    """Keeps proofs of the certificates of one evaluation.

    Parameters
    ----------
    root
        Folder to keep them in; None keeps none.
    origin, method
        What identifies the evaluation's rows.
    threats
        The adversaries by `threat_key`.
    """

    def __init__(self, root: str | Path | None, origin: Origin, method: str, threats: Mapping[str, ThreatModel]):
        folders = {} if root is None else {key: _name(origin, method, threat) for key, threat in threats.items()}
        self.folders = {key: Path(root or "", name) for key, name in folders.items()}
        self.checked: Model | None = None  # the evaluation's one model, as the checker reads it

    def finished(self, stored: pl.DataFrame) -> pl.DataFrame:
        """Those of the stored rows that need no proof any more: all, if none are kept."""
        if not self.folders:
            return stored
        parts = []
        for key, folder in self.folders.items():
            proved = [int(path.stem) for path in folder.glob("*.proof") if _NUMBER.fullmatch(path.stem)]
            needless = (pl.col("radius") == 0) | pl.col("index").is_in(proved)
            parts.append(stored.filter(pl.col("threat") == key, needless))
        return pl.concat(parts)

    def keep(self, model: BinaryClassifier, x: Tensor, index: Tensor, certificates: Sequence[Certificate]) -> None:
        """Write ``<position in the split>.proof`` for every positive radius that the checker confirms.

        Parameters
        ----------
        model, x
            What was certified: (n, *input_shape).
        index
            Int64 (n,): positions of the samples in the split.
        certificates
            Of these samples, one for each adversary.
        """
        if not self.folders:
            return
        if not isinstance(model, TextClassifier):
            model = expect(model, FeatureConvexClassifier, "proof")
        self.checked = self.checked or as_checked(model)
        for certificate in certificates:
            write_proofs(self.folders[threat_key(certificate.threat)], model, x, certificate, index, self.checked)


def _name(origin: Origin, method: str, threat: ThreatModel) -> str:
    """A readable name, and a digest of all that identifies the rows."""
    readable = re.sub(r"[^a-z0-9.]+", "-", f"{threat.describe()} {method}".lower()).strip("-")
    identity = repr((*vars(origin).items(), method, threat_key(threat)))
    return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
