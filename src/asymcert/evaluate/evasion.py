"""The columns of a sample that an adversary would change, and the values he would give them, in the table's units."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert._floats import up
from asymcert.attacks import ColumnSearch, score
from asymcert.certify import Certificate, Certifier
from asymcert.certify.base import expect
from asymcert.certify.cuts import Cuts
from asymcert.datasets.columns import Column, NumericColumn
from asymcert.evaluate.explain import column_value, joined, whole_value
from asymcert.evaluate.units import table_of
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat, scaled_value

DIGITS = (3, 5, 8)  # of numbers in a changed row, as few as undo the verdict; else all
Value = float | str


@dataclass(frozen=True)
class ColumnPart:
    """What one column of one sample carries.

    Parameters
    ----------
    column
        Its name in the table.
    value
        As in `ColumnRoom`; those of all its parts where it became several columns, as a date does.
    share
        Of the margin: how much of it the column alone can take away at most, whatever value it is given; rounded up.
    becomes
        Its value in a changed row whose verdict is not sensitive; None where that leaves it as it is, or none is known.
    """

    column: str
    value: Value
    share: float
    becomes: Value | None


def explain_columns(
    model: BinaryClassifier, x: Tensor, threat: ThreatModel, certifier: Certifier
) -> tuple[float, list[ColumnPart]]:
    """Certify a sample, and say what each column carries of its margin and becomes in a row that undoes the verdict.

    That row changes as few columns as the certificate or a beam search could.

    Parameters
    ----------
    model
        Feature-convex classifier of a table.
    x
        One sample, (d,).
    threat
        The adversary, of norm 0.
    certifier
        What certifies.

    Returns
    -------
    tuple
        The radius of the sample, and one `ColumnPart` for each column, the greatest share first.

    Raises
    ------
    InputError
        The model is not a feature-convex one of a table, or the verdict on the sample is not sensitive.
    """
    table, convex = table_of(model.scaling), expect(model, FeatureConvexClassifier, certifier.method)
    certificate = certifier.certify(model, x[None], [threat])[0]
    if not bool(certificate.sensitive):
        remedy = "Choose a sample that is called sensitive."
        raise refuse("x", "a sample with a sensitive verdict", f"margin {float(certificate.margin):.3g}", remedy)
    changed = changed_rows(model, x[None], _with_fewer(model, x[None], certificate))[0]
    shares = carried(convex, x[None], certificate.margin, threat)[0].tolist()
    parts = [
        ColumnPart(name, whole_value(table, name, x), share, _becomes(table, name, changed))
        for name, share in zip(table.whole, shares, strict=True)
    ]
    return float(certificate.radius), sorted(parts, key=lambda part: -part.share)


def carried(model: FeatureConvexClassifier, x: Tensor, margin: Tensor, threat: ThreatModel) -> Tensor:
    """Share of each margin that each column of the table can take away at most, rounded up: float64 (n, columns).

    Parameters
    ----------
    model
        Of a table.
    x
        (n, d), all called sensitive.
    margin
        Theirs, (n,).
    threat
        The adversary, of norm 0. Columns that he cannot change carry nothing.
    """
    table = table_of(model.scaling)
    cuts = Cuts(model, x, threat)
    cuts.add(x)
    drop = cuts.column_drops(torch.ones_like(cuts.value))[0].drop / margin[:, None] * up(4)
    index = threat.columns(model.input_shape).index
    starts = [table.places[positions[0]].start for positions in table.whole.values()]
    if threat.mutable is None:
        return drop[:, index[starts]]
    moves = torch.zeros(drop.shape[1]).index_add(0, index, threat.mutable.expand(table.size).float().cpu()) > 0
    return torch.where(moves.to(drop.device), drop, 0.0)[:, index[starts]]


def _becomes(table: TableThreat, name: str, changed: dict[str, Value]) -> Value | None:
    """New value of a column, or of those parts of it that change."""
    parts = [table.columns[position].name for position in table.whole[name]]
    own = {part: changed[part] for part in parts if part in changed}
    return own[name] if name in own else joined(name, own) or None


def changed_rows(model: BinaryClassifier, x: Tensor, certificate: Certificate) -> list[dict[str, Value]]:
    """For each sample the columns and values that undo its verdict, read from the certificate's counter-example.

    Numbers are rounded as far as the classifier that is run, given the changed row, still denies it; of a text it says
    what of it differs. Nothing where no counter-example is known.

    Parameters
    ----------
    model
        Classifier of a table.
    x
        (n, d).
    certificate
        Of these samples.
    """
    table, none = table_of(model.scaling), [{} for _ in x]
    if certificate.upper is None or certificate.adversarial is None:
        return none
    known = certificate.sensitive & certificate.upper.isfinite()
    for row in known.nonzero().flatten().tolist():
        none[row] = _changed(model, table, x[row], certificate.adversarial[row].to(x), certificate.threat)
    return none


def _with_fewer(model: BinaryClassifier, x: Tensor, certificate: Certificate) -> Certificate:
    """The certificate with the counter-examples that a search finds, where they change less than its own."""
    assert certificate.upper is not None
    less = torch.nextafter(certificate.upper, torch.zeros_like(certificate.upper))
    found = ColumnSearch().run(model, x, certificate.threat, less, torch.Generator())
    own = certificate.adversarial if certificate.adversarial is not None else x.double()
    return replace(
        certificate,
        upper=torch.where(found.success, found.size, certificate.upper),
        adversarial=torch.where(found.success[:, None], found.adversarial, own),
    )


def _changed(
    model: BinaryClassifier, table: TableThreat, x: Tensor, point: Tensor, threat: ThreatModel
) -> dict[str, Value]:
    """Values of the columns of one sample that differ in `point`, both (d,)."""
    places = dict(zip(table.columns, table.places, strict=True))
    moved = {column: place for column, place in places.items() if not torch.equal(x[place], point[place])}
    values: dict[str, Value] = {}
    for digits in (*DIGITS, None):
        rounded = point.clone()
        for column, place in moved.items():
            values[column.name] = _new_value(column, x[place], point[place], digits)
            if isinstance(column, NumericColumn):
                rounded[place] = scaled_value(column, float(values[column.name]), table.dtype)
        found = score(model, x[None], (rounded.double() - x.double())[None], threat, x.new_full((1,), math.inf))
        if bool(found.success) and torch.equal(found.adversarial[0].to(rounded), rounded):
            return values
    return {}


def _new_value(column: Column, x: Tensor, point: Tensor, digits: int | None) -> Value:
    if told := column.difference(x.double().cpu().numpy(), point.double().cpu().numpy()):
        return told
    value = column_value(column, point)
    return float(f"{value:.{digits}g}") if isinstance(value, float) and digits is not None else value


def evasion_text(values: dict[str, Value]) -> str:
    """``age = 30, job = none``; empty where nothing is known."""
    return ", ".join(f"{name} = {str(value).removesuffix('.0')}" for name, value in values.items())
