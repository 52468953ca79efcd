"""Certificates in words for classifiers of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from asymcert._checks import check_count, option, refuse
from asymcert.certify.base import Certificate, Certifier
from asymcert.certify.refined import Refined
from asymcert.certify.tangent import Tangent
from asymcert.models.base import CHUNK_VALUES, BinaryClassifier
from asymcert.models.text import TextClassifier, WindowCodes
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class Words(Certifier):
    """A text outlasts whatever one of its windows outlasts: its score is the greatest of theirs.

    The whole text is a window that edits anywhere are edits of. A sentence is one where the marks between sentences
    stay as they are, and no added sentence changes it. Windows of what parts of a text decode to prove nothing.

    Parameters
    ----------
    cuts
        Tangent planes for each window: 1 is method ``tangent`` on its features, more are ``refined``.
    sound
        Whether bounds on all rounding errors are subtracted.
    """

    method: ClassVar[str] = "words"
    kind: ClassVar[type[BinaryClassifier]] = TextClassifier
    counts: ClassVar[bool] = True
    edits: ClassVar[bool] = True
    lengths: ClassVar[bool] = False

    cuts: int = option(1, "words: tangent planes for each window.")
    sound: bool = option(True, "Subtract bounds on all rounding errors.")

    def __post_init__(self) -> None:
        check_count("cuts", self.cuts)

    def _check(self, threat: ThreatModel) -> None:
        if threat.edits is None:
            got = "one of columns" if threat.norm == 0 else f"one of norm {threat.norm:g}"
            raise refuse("threat", "of edited words for a classifier of texts", got, "Ask for norm 'words'.")

    def _certificates(self, model: TextClassifier, x: Tensor, threats: Sequence[ThreatModel]) -> list[Certificate]:
        margin = model.margin(x).double().cpu()
        radii = torch.zeros(len(threats), len(x), dtype=torch.float64)
        for owner, window_radii in self._windows(model, x, threats):
            for radius, found in zip(radii, window_radii, strict=True):
                radius.scatter_reduce_(0, owner, found, "amax")
        slope = torch.full_like(margin, torch.nan)
        radii = torch.where(margin > 0, radii, 0.0)
        return [
            Certificate(radius, margin, slope, threat, self.method, self.sound)
            for radius, threat in zip(radii, threats, strict=True)
        ]

    def _windows(
        self, model: TextClassifier, x: Tensor, threats: Sequence[ThreatModel]
    ) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """Of the sensitive windows, some at a time: whose they are, and the radii by threat that they prove."""
        inner = model.inner
        certifier = Tangent(self.sound) if self.cuts == 1 else Refined(self.cuts, sound=self.sound)
        windows = WindowCodes.of(x.to(model.device))
        own = [within_window(threat, model.features) for threat in threats]
        proving = torch.stack([usable(windows, threat) for threat in threats])
        size = max(1, CHUNK_VALUES // model.features)
        for first in range(0, len(windows.owner), size):
            chosen = slice(first, first + size)
            rows = windows.dense(model.features, torch.float64, chosen)
            alert = (inner.margin(rows) > 0) & proving[:, chosen].any(0)
            found = certifier.certify(inner, rows[alert], own)
            radii = torch.stack([certificate.radius for certificate in found])
            radii = torch.where(proving[:, chosen][:, alert], radii, 0.0)
            yield windows.owner[chosen][alert].cpu(), list(radii.cpu())


def within_window(threat: ThreatModel, features: int) -> ThreatModel:
    """What an adversary can do to one window: added sentences leave it as it is."""
    edits = threat.edits
    assert edits is not None
    if edits.kinds:
        return replace(threat, edits=replace(edits, sentences=False))
    return ThreatModel(2.0, lower=0.0, upper=1.0, mutable=torch.zeros(features, dtype=torch.bool))


def usable(windows: WindowCodes, threat: ThreatModel) -> Tensor:
    """Which windows can certify a text against an adversary who edits words: bool (w,)."""
    assert threat.edits is not None
    if threat.edits.sentences:
        return windows.sentences
    return windows.whole | windows.sentences if threat.edits.marks_stay else windows.whole
