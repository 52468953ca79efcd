"""Verdicts and radii for rows of a table that has no labels yet: a number for each alert."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import torch

from asymcert._checks import check_count, refuse
from asymcert.certify import Certificate, Certifier
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
        The model is not of a table, the table has no rows, or one lies outside an adversary's box.
    DataError
        A column is absent, or holds lists or the like.
    """
    check_count("chunk", chunk)
    if frame.is_empty():
        raise refuse("frame", "of at least one row", "none")
    table, scaling = table_of(model.scaling), model.scaling
    assert scaling is not None  # table_of has seen to it
    clean, problems = scaling.read(frame)
    rows = problems.is_null().arg_true()
    x = scaling.encode(clean[rows]) if len(rows) else torch.empty(0, *model.input_shape)
    for threat in threats:
        table.check_inside(threat, x)
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
    joined = everything.join(known, on="row", how="left", maintain_order="left")
    return joined.select("row", "verdict", "margin", *names, "problem")


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
