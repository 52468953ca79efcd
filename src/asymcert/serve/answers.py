"""Verdicts, radii and reasons of samples: what `score_table` says of them, by fewer steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from asymcert.certify import Certifier
from asymcert.evaluate.scoring import verdicts
from asymcert.models.base import BinaryClassifier
from asymcert.serve.reading import Readable
from asymcert.serve.reasons import Reasons
from asymcert.texts.codes import portions
from asymcert.threats.model import ThreatModel

Answer = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What is asked of every sample of a batch.

    Parameters
    ----------
    threats
        By name.
    reasons, evasions
        As in `Question`.
    """

    threats: Mapping[str, ThreatModel]
    reasons: bool = False
    evasions: bool = False


def answers(
    model: BinaryClassifier, certifier: Certifier, readable: Readable, asked: Asked, count: int, most: int
) -> list[Answer]:
    """One answer for each of `count` samples, of which `most` are certified at a time.

    An answer has ``verdict`` (name of a class; None where the classifier gives none), ``margin``, ``radii`` by name of
    threat, ``problem`` (why a sample has none of these, else None), and what `Reasons` adds.
    """
    found: dict[int, Answer] = {place: _problem(text) for place, text in readable.problems.items()}
    for chosen in portions(readable.lengths, most):
        x, places = readable.encode(chosen), readable.places[chosen]
        for threat in asked.threats.values():
            inside = ~threat.outside(x)
            for place in places[~inside.numpy()].tolist():
                found[place] = _problem(f"outside the box of {threat.describe()}")
            x, places = x[inside], places[inside.numpy()]
        if len(places):
            found |= zip(places.tolist(), _certified(model, certifier, x, asked), strict=True)
    return [found[place] for place in range(count)]


def _certified(model: BinaryClassifier, certifier: Certifier, x: Tensor, asked: Asked) -> list[Answer]:
    """Answers about inputs (n, *input_shape), inside every box."""
    certificates = certifier.certify(model, x, list(asked.threats.values()))
    radii = [certificate.radius.tolist() for certificate in certificates]
    margins = certificates[0].margin.double().tolist()
    rows = [
        {"verdict": verdict, "margin": margin, "radii": dict(zip(asked.threats, radius, strict=True)), "problem": None}
        for verdict, margin, *radius in zip(verdicts(model, certificates[0]), margins, *radii, strict=True)
    ]
    if asked.reasons or asked.evasions:
        told = Reasons(model, certificates, asked.reasons, asked.evasions).of(x)
        rows = [row | more for row, more in zip(rows, told, strict=True)]
    return rows


def _problem(text: str) -> Answer:
    return {"verdict": None, "margin": None, "radii": {}, "problem": text}
