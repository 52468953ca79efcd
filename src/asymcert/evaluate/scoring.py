"""Verdicts and radii for rows of a table that has no labels yet: a number for each alert."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from asymcert._checks import check_count, refuse
from asymcert.certify import Certificate, Certifier
from asymcert.datasets.scaling import TableScaling
from asymcert.evaluate.chunks import rows_at_once
from asymcert.evaluate.evasion import changed_rows, evasion_text
from asymcert.evaluate.labels import COLUMNS, threat_labels
from asymcert.evaluate.units import table_of
from asymcert.models.base import BinaryClassifier
from asymcert.runs.rows import threat_key
from asymcert.texts.codes import portions
from asymcert.threats.model import WORDS, ThreatModel

Rows = NDArray[np.integer[Any]]


def score_table(
    model: BinaryClassifier,
    frame: pl.DataFrame,
    threats: Sequence[ThreatModel],
    certifier: Certifier,
    chunk: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    evasions: bool = False,
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
        Rows certified at a time; by default what fits in little memory, fewer by slow methods.
    progress
        Called with (rows done, rows in all) after every chunk.
    evasions
        Whether to say, where columns are counted, which of them to which values undo a verdict: about a millisecond
        a row.

    Returns
    -------
    polars.DataFrame
        One row for each of the table's, in its order: ``row`` (from 0), ``verdict`` (name of a class, null where the
        certifier abstains), ``margin``, for each adversary a column ``radius, `` and its name: float64, rounded
        down, 0 where the verdict is not sensitive; and ``problem``: why a row has none of these, else null. Where
        columns are counted the column is called ``columns`` (and the adversary's name, if there are several), and with
        `evasions` another one ``evasion of`` that: text, empty where none is known.

    Raises
    ------
    InputError
        The model is not of a table, or the table has no rows.
    DataError
        A column is absent, or holds lists or the like.
    """
    check_count("chunk", 1 if chunk is None else chunk)
    if frame.is_empty():
        raise refuse("frame", "of at least one row", "none")
    table_of(model.scaling)  # refuses a model of other data
    scaling = cast(TableScaling, model.scaling)
    clean, problems = scaling.read(frame)
    readable, names = problems.is_null().arg_true().to_numpy(), _names(threats)
    told = {f"evasion of {name}": n for n, name in enumerate(names) if evasions and threats[n].norm == 0}
    found: list[pl.DataFrame] = []
    for portion in _portions(clean, readable, chunk or rows_at_once(model, certifier)):
        x, rows = scaling.encode(_taken(clean, portion)), portion
        for threat in threats:
            within = ~threat.outside(x).numpy()
            problems = problems.scatter(rows[~within], f"outside the box of {threat.describe()}")
            x, rows = x[within], rows[within]
        if len(rows):
            certificates = certifier.certify(model, x, threats)
            verdicts = _rows(model, certificates, names).with_columns(_evasions(model, x, certificates, told))
            found.append(verdicts.with_columns(row=pl.Series(rows, dtype=pl.Int64)))
        if progress is not None:
            progress(int(np.searchsorted(readable, portion[-1])) + 1, len(readable))
    nothing = _rows(model, [], names).with_columns(pl.lit(None, pl.String).alias(name) for name in told)
    known = pl.concat([nothing.with_columns(row=pl.Series([], dtype=pl.Int64)), *found])
    everything = pl.DataFrame({"row": range(len(frame)), "problem": problems}, schema_overrides={"row": pl.Int64})
    joined = everything.join(known, on="row", how="left").sort("row")
    return joined.select("row", "verdict", "margin", *names, *told, "problem")


def score_batches(
    model: BinaryClassifier,
    frames: Iterable[pl.DataFrame],
    threats: Sequence[ThreatModel],
    certifier: Certifier,
    progress: Callable[[int], None] | None = None,
    evasions: bool = False,
) -> Iterator[pl.DataFrame]:
    """`score_table` of each of a table's frames, whose rows are counted on; progress is told the rows done."""
    before = 0
    for frame in frames:
        told = None if progress is None else partial(_further, progress, before)
        rows = score_table(model, frame, threats, certifier, progress=told, evasions=evasions)
        yield rows.with_columns(pl.col("row") + before)
        before += len(frame)


def _further(progress: Callable[[int], None], before: int, done: int, total: int) -> None:
    progress(before + done)


def _taken(frame: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    """Some rows, ascending; without copying them if none between is left out."""
    first, count = int(rows[0]), len(rows)
    return frame.slice(first, count) if int(rows[-1]) - first + 1 == count else frame[rows]


def _names(threats: Sequence[ThreatModel]) -> list[str]:
    """Columns of radii, one for each adversary."""
    labels = threat_labels([threat_key(threat) for threat in threats])
    alone = sum(threat.norm == 0 for threat in threats) == 1
    return [_name(threat, label, alone) for threat, label in zip(threats, labels, strict=True)]


def _name(threat: ThreatModel, label: str, alone: bool) -> str:
    """What is counted, where one adversary alone counts; else what the adversary is called."""
    if threat.norm != 0:
        return f"radius, {label}"
    what = COLUMNS if threat.edits is None else WORDS
    return what if alone else label


def _evasions(
    model: BinaryClassifier, x: Tensor, certificates: Sequence[Certificate], told: Mapping[str, int]
) -> list[pl.Series]:
    """What undoes each verdict, by the certificates whose numbers `told` has under the columns' names."""
    return [
        pl.Series(name, [evasion_text(values) for values in changed_rows(model, x, certificates[number])], pl.String)
        for name, number in told.items()
    ]


def _portions(clean: pl.DataFrame, rows: Rows, most: int) -> Iterator[Rows]:
    """So many rows at a time; fewer where texts are long."""
    texts = [values.str.len_chars() for values in clean[rows].get_columns() if values.dtype == pl.String]
    lengths = np.max([np.zeros(len(rows), np.int64), *(length.to_numpy() for length in texts)], axis=0).tolist()
    for portion in portions(lengths, most):
        yield rows[portion]


def _rows(model: BinaryClassifier, certificates: Sequence[Certificate], names: Sequence[str]) -> pl.DataFrame:
    """Verdict, margin and radii of some samples, of which each adversary has a certificate."""
    schema = {"verdict": pl.String, "margin": pl.Float64} | dict.fromkeys(names, pl.Float64)
    if not certificates:
        return pl.DataFrame(schema=schema)
    radii = [certificate.radius.cpu().numpy() for certificate in certificates]
    margin = certificates[0].margin.double().cpu().numpy()
    return pl.DataFrame([verdicts(model, certificates[0]), margin, *radii], schema=schema)


def verdicts(model: BinaryClassifier, certificate: Certificate) -> list[str | None]:
    """Names of classes, None where no verdict was given."""
    withheld = torch.zeros_like(certificate.sensitive) if certificate.abstained is None else certificate.abstained
    named = [model.sensitive if sensitive else model.other for sensitive in certificate.sensitive.tolist()]
    return [None if none else name for name, none in zip(named, withheld.tolist(), strict=True)]
