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
    """Verdict, margin and certified radii of every row of a table.

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
        certifier abstains), ``margin``, and for each adversary a column ``radius, `` and its name: float64, rounded
        down, 0 where the verdict is not sensitive.

    Raises
    ------
    InputError
        The model is not of a table, the table has no rows, or one lies outside an adversary's box.
    DataError
        A column is absent or of another type, or a value is missing or infinite.
    """
    check_count("chunk", chunk)
    if frame.is_empty():
        raise refuse("frame", "of at least one row", "none")
    table, scaling = table_of(model.scaling), model.scaling
    assert scaling is not None  # table_of has seen to it
    x = scaling.transform(frame)
    for threat in threats:
        table.check_inside(threat, x)
    found: list[list[Certificate]] = []
    for start in range(0, len(x), chunk):
        found.append(certifier.certify(model, x[start : start + chunk], threats))
        if progress is not None:
            progress(min(start + chunk, len(x)), len(x))
    margins = torch.cat([certificates[0].margin for certificates in found]).double().cpu()
    verdicts = [verdict for certificates in found for verdict in _verdicts(model, certificates[0])]
    names = threat_labels([threat_key(threat) for threat in threats])
    radii = {
        f"radius, {name}": torch.cat([certificates[position].radius for certificates in found]).cpu().numpy()
        for position, name in enumerate(names)
    }
    schema = {"row": pl.Int64, "verdict": pl.String}
    columns = {"row": range(len(x)), "verdict": verdicts, "margin": margins.numpy(), **radii}
    return pl.DataFrame(columns, schema_overrides=schema)


def _verdicts(model: BinaryClassifier, certificate: Certificate) -> list[str | None]:
    """Names of classes, None where no verdict was given."""
    withheld = torch.zeros_like(certificate.sensitive) if certificate.abstained is None else certificate.abstained
    named = [model.sensitive if sensitive else model.other for sensitive in certificate.sensitive.tolist()]
    return [None if none else name for name, none in zip(named, withheld.tolist(), strict=True)]
