"""Verdicts and radii for rows of a table that has no labels yet: a number for each alert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import polars as pl
import torch
from torch import Tensor

from asymcert._checks import check_count, refuse
from asymcert.certify import Certificate, Certifier
from asymcert.datasets.scaling import TableScaling
from asymcert.evaluate.labels import threat_labels
from asymcert.evaluate.units import table_of
from asymcert.models.base import BinaryClassifier
from asymcert.runs.rows import threat_key
from asymcert.threats.model import ThreatModel


def score_table(
    model: BinaryClassifier,
    frame: pl.DataFrame,
    threats: Sequence[ThreatModel],
    certifier: Certifier,
    chunk: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Verdict, margin and certified radii of every row of a table; a row that cannot be read stops no other.

    Parameters
    ----------
    model
        Classifier of a table.
    frame
        The columns of training, by name; others, such as the label, are ignored.
    threats
        The adversaries, all different.
    certifier
        What certifies.
    chunk
        Rows certified at a time.
    progress
        Called with (rows done, rows in all) after every chunk.

    Returns
    -------
    polars.DataFrame
        One row for each of the table's, in its order: ``row`` (from 0), ``verdict`` (name of a class, null where the
        certifier abstains), ``margin``, for each adversary a column ``radius, `` and its name: float64, rounded
        down, 0 where the verdict is not sensitive; and ``problem``: why a row has none of these, else null.

    Raises
    ------
    InputError
        The model is not of a table, or the table has no rows.
    DataError
        A column is absent, or holds lists or the like.
    """
    check_count("chunk", chunk)
    if frame.is_empty():
        raise refuse("frame", "of at least one row", "none")
    table_of(model.scaling)  # refuses a model of other data
    scaling = cast(TableScaling, model.scaling)
    x, problems = _inputs(scaling, frame, threats)
    rows = problems.is_null().arg_true()
    found: list[list[Certificate]] = []
    for start in range(0, len(x), chunk):
        found.append(certifier.certify(model, x[start : start + chunk], threats))
        if progress is not None:
            progress(min(start + chunk, len(x)), len(x))
    names = [f"radius, {name}" for name in threat_labels([threat_key(threat) for threat in threats])]
    known = (
        pl.concat([_rows(model, certificates, names) for certificates in found]) if found else _rows(model, [], names)
    )
    known = known.with_columns(row=rows.cast(pl.Int64))
    everything = pl.DataFrame({"row": range(len(frame)), "problem": problems}, schema_overrides={"row": pl.Int64})
    joined = everything.join(known, on="row", how="left").sort("row")
    return joined.select("row", "verdict", "margin", *names, "problem")


def _inputs(scaling: TableScaling, frame: pl.DataFrame, threats: Sequence[ThreatModel]) -> tuple[Tensor, pl.Series]:
    """Inputs of the rows that can be certified, and what is wrong with each row of the table, null where nothing is."""
    clean, problems = scaling.read(frame)
    readable = problems.is_null().arg_true()
    x = scaling.encode(clean[readable]) if len(readable) else torch.empty(0, len(scaling.feature_names))
    inside = torch.ones(len(x), dtype=torch.bool)
    for threat in threats:
        within = _inside(threat, x)
        beyond = readable.filter(pl.Series((inside & ~within).numpy()))
        problems = problems.scatter(beyond, f"outside the box of {threat.describe()}")
        inside &= within
    return x[inside], problems


def _inside(threat: ThreatModel, x: Tensor) -> Tensor:
    """Which inputs (n, d) are in the threat model's box."""
    inside = torch.ones_like(x, dtype=torch.bool)
    if threat.lower is not None:
        inside &= x >= torch.as_tensor(threat.lower).to(x)
    if threat.upper is not None:
        inside &= x <= torch.as_tensor(threat.upper).to(x)
    return inside.all(1)


def _rows(model: BinaryClassifier, certificates: Sequence[Certificate], names: Sequence[str]) -> pl.DataFrame:
    """Verdict, margin and radii of some samples, of which each adversary has a certificate."""
    schema = {"verdict": pl.String, "margin": pl.Float64} | dict.fromkeys(names, pl.Float64)
    if not certificates:
        return pl.DataFrame(schema=schema)
    radii = [certificate.radius.cpu().numpy() for certificate in certificates]
    margin = certificates[0].margin.double().cpu().numpy()
    return pl.DataFrame([_verdicts(model, certificates[0]), margin, *radii], schema=schema)


def _verdicts(model: BinaryClassifier, certificate: Certificate) -> list[str | None]:
    """Names of classes, None where no verdict was given."""
    withheld = torch.zeros_like(certificate.sensitive) if certificate.abstained is None else certificate.abstained
    named = [model.sensitive if sensitive else model.other for sensitive in certificate.sensitive.tolist()]
    return [None if none else name for name, none in zip(named, withheld.tolist(), strict=True)]
