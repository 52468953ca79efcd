"""Verdicts and radii for rows of a table that has no labels yet: a number for each alert."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import torch

from asymcert._checks import check_count
from asymcert.binary import BinaryClassifier
from asymcert.certify import Certificate, Certifier
from asymcert.evaluate.labels import threat_labels
from asymcert.evaluate.rows import threat_key
from asymcert.evaluate.units import table_of
from asymcert.threat import ThreatModel


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
        One row for each of the table's, in its order: ``row`` (from 0), ``verdict`` (name of a class), ``margin``, and
        for each adversary a column ``radius, `` and its name: float64, rounded down, 0 where the verdict is not
        sensitive.

    Raises
    ------
    InputError
        The model is not of a table, or a row lies outside an adversary's box.
    DataError
        A column is absent or of another type, or a value is missing or infinite.
    """
    check_count("chunk", chunk)
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
    names = threat_labels([threat_key(threat) for threat in threats])
    radii = {
        f"radius, {name}": torch.cat([certificates[position].radius for certificates in found]).cpu().numpy()
        for position, name in enumerate(names)
    }
    verdicts = [model.sensitive if margin > 0 else model.other for margin in margins.tolist()]
    return pl.DataFrame({"row": range(len(x)), "verdict": verdicts, "margin": margins.numpy(), **radii})
