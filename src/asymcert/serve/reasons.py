"""What carries a verdict, and the cheapest changed row that is known to undo it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from asymcert.certify import Certificate
from asymcert.evaluate.evasion import carried, changed_rows
from asymcert.evaluate.explain import whole_value
from asymcert.evaluate.units import table_of
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.serve.refusals import RequestError
from asymcert.threats.model import ThreatModel

MOST_COLUMNS = 20  # that carry one verdict


def counted(threats: Sequence[ThreatModel]) -> int | None:
    """Which adversary counts columns; None if none does."""
    return next((place for place, t in enumerate(threats) if t.norm == 0 and t.edits is None), None)


def check_reasons(model: BinaryClassifier, threats: Sequence[ThreatModel]) -> None:
    """Refuse, with status 422, to say what carries a verdict where columns are not counted."""
    if counted(threats) is None:
        raise _left_out("these threats", "Put the one that counts columns among `threats`: see GET /v1/model.")
    if not isinstance(model, FeatureConvexClassifier):
        raise _left_out("this kind of model", "Only feature-convex ones of tables and texts know them.")


def _left_out(where: str, remedy: str) -> RequestError:
    return RequestError(422, f"`reasons` and `evasions` must be left out for {where}, got one of them. {remedy}")


@dataclass(frozen=True)
class Reasons:
    """What is told of certified inputs besides verdict and radii.

    Parameters
    ----------
    model
        Feature-convex classifier of a table.
    certificates
        Of the inputs; one of them counts columns.
    shares
        Whether to tell ``reasons``: columns with ``value`` and ``share``, see `ColumnPart`, the greatest first.
    changes
        Whether to tell ``evasion``: the columns to change, each with its new value; empty where none is known.
    """

    model: BinaryClassifier
    certificates: Sequence[Certificate]
    shares: bool
    changes: bool

    def of(self, x: Tensor) -> list[dict[str, Any]]:
        """For each input (n, d) what is told."""
        place = counted([certificate.threat for certificate in self.certificates])
        assert place is not None
        certificate = self.certificates[place]
        told: list[dict[str, Any]] = [{} for _ in x]
        if self.shares:
            for each, reasons in zip(told, self._shares(x, certificate), strict=True):
                each["reasons"] = reasons
        if self.changes:
            for each, values in zip(told, changed_rows(self.model, x, certificate), strict=True):
                each["evasion"] = values
        return told

    def _shares(self, x: Tensor, certificate: Certificate) -> list[list[dict[str, Any]]]:
        """Columns that carry each sensitive verdict; none of other verdicts."""
        found: list[list[dict[str, Any]]] = [[] for _ in x]
        rows = certificate.sensitive.nonzero().flatten()
        if len(rows):
            assert isinstance(self.model, FeatureConvexClassifier)
            shares = carried(self.model, x[rows], certificate.margin[rows], certificate.threat).tolist()
            for row, share in zip(rows.tolist(), shares, strict=True):
                found[row] = self._listed(x[row], share)
        return found

    def _listed(self, x: Tensor, shares: Sequence[float]) -> list[dict[str, Any]]:
        table = table_of(self.model.scaling)
        named = sorted(zip(table.whole, shares, strict=True), key=lambda each: -each[1])[:MOST_COLUMNS]
        return [
            {"column": name, "value": whole_value(table, name, x), "share": share} for name, share in named if share > 0
        ]
