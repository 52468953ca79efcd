"""The adversaries that a service answers about, by short names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asymcert._checks import did_you_mean
from asymcert._floats import norm_name
from asymcert.evaluate.labels import COLUMNS, threat_labels
from asymcert.runs.rows import threat_key
from asymcert.serve.refusals import RequestError
from asymcert.threats.model import ThreatModel


@dataclass(frozen=True)
class Offers:
    """Threat models by name, in the order in which they are offered; the first is asked about by default."""

    threats: dict[str, ThreatModel]

    @classmethod
    def of(cls, threats: Sequence[ThreatModel]) -> Offers:
        """Name each by its own name or its norm where that is not ambiguous, else by its label in results."""
        labels = threat_labels([threat_key(threat) for threat in threats])
        short = [_short(threat, label) for threat, label in zip(threats, labels, strict=True)]
        names = [name if short.count(name) == 1 else label for name, label in zip(short, labels, strict=True)]
        return cls(dict(zip(names, threats, strict=True)))

    def chosen(self, names: Sequence[str]) -> dict[str, ThreatModel]:
        """Those of these names, or the first.

        Raises
        ------
        RequestError
            422: a name is not offered.
        """
        for name in names:
            if name not in self.threats:
                hint = did_you_mean(name[:100], self.threats)
                known = ", ".join(map(repr, self.threats))
                raise RequestError(422, f"`threats` must be among {known}, got {name[:100]!r}. {hint}".rstrip())
        return {name: self.threats[name] for name in names or list(self.threats)[:1]}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: what each is, and in what its radii are measured."""
        return {name: {"threat": threat_key(t), "radius_in": _unit(t)} for name, t in self.threats.items()}


def _short(threat: ThreatModel, label: str) -> str:
    if threat.name is not None:
        return threat.name
    if threat.edits is not None:
        return label
    return COLUMNS if threat.norm == 0 else norm_name(threat.norm)


def _unit(threat: ThreatModel) -> str:
    if threat.edits is not None:
        return "edited words"
    return "columns that change" if threat.norm == 0 else f"{norm_name(threat.norm)} of scaled inputs"
