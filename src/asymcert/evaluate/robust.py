"""How good a detector stays under attack: caught at few false alarms whatever the change, ROC at the lowest scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from asymcert.evaluate.detection import RATES, Estimate, detection, is_shown
from asymcert.evaluate.surface import Floats, lowest_margins
from asymcert.models.base import BinaryClassifier
from asymcert.models.thresholds import threshold_for_rate
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import POINT_SCHEMA, SERIES, distinct, one_series
from asymcert.runs.tables import CERTIFICATES, POINTS

if TYPE_CHECKING:
    from asymcert.datasets.binary import Split

FEWER_RESAMPLES = 200  # at each of several sizes
OVER_ALL = ("roc_auc", "average_precision", *(f"tpr_at_fpr_{rate:g}" for rate in RATES))


@dataclass(frozen=True)
class OperatingPoint:
    """A classifier at the least threshold that keeps to a rate of false alarms on a split.

    It is another model, with a digest of its own: its certificates are made by the same method as any, and what the
    method promises holds for them.

    Parameters
    ----------
    max_fpr
        The rate.
    model
        The classifier with that threshold.
    """

    max_fpr: float
    model: BinaryClassifier

    @cached_property
    def digest(self) -> str:
        """The digest of the classifier with that threshold."""
        return self.model.digest


def operating_points(model: BinaryClassifier, split: Split, rates: Sequence[float] = RATES) -> list[OperatingPoint]:
    """Those of the rates of false alarms that a split of both classes has enough harmless samples to show."""
    shown = [rate for rate in rates if is_shown(rate, int((~split.y).sum()))]
    if not shown or not bool(split.y.any()):
        return []
    scores = model.scores(split.x)
    thresholds = [threshold_for_rate(scores, split.y, rate) for rate in shown]
    return [OperatingPoint(rate, model.placed_at(t)) for rate, t in zip(shown, thresholds, strict=True)]


def record_points(
    run: RunFolder, points: Sequence[OperatingPoint], *, model_digest: str, data_digest: str, split: str
) -> None:
    """Store which model is the run's at which rate of false alarms on a split, once."""
    lines = [(model_digest, data_digest, split, point.max_fpr, point.model.threshold, point.digest) for point in points]
    rows = pl.DataFrame(lines, schema=POINT_SCHEMA, orient="row")
    run.append(POINTS, rows.join(run.read(POINTS), on=list(POINT_SCHEMA), how="anti"))


def rows_at_points(run: RunFolder, rows: pl.DataFrame) -> Iterator[tuple[float, float, pl.DataFrame]]:
    """Certificates of the same samples, method and threat model at the operating points that a run has.

    Parameters
    ----------
    run
        The run's folder.
    rows
        Evaluation rows of one model, split, method and threat model.

    Yields
    ------
    tuple
        The most false alarms, the threshold, and the rows there; a point that lacks samples is left out.
    """
    same = {name: one_series(rows)[name][0] for name in SERIES}
    wanted = [pl.col(name) == same[name] for name in ("model_digest", "data_digest", "split")]
    points = run.read(POINTS).filter(wanted).unique(maintain_order=True)
    stored = distinct(run.read(CERTIFICATES)) if len(points) else rows
    for point in points.sort("max_fpr", descending=True).iter_rows(named=True):
        at = stored.filter(*(pl.col(name) == value for name, value in (same | {"model_digest": point["at"]}).items()))
        if at.sort("index")["index"].equals(rows.sort("index")["index"]):
            yield point["max_fpr"], point["threshold"], at


def attacked_margins(rows: pl.DataFrame, radius: float) -> tuple[np.ndarray, Floats]:
    """Labels (n,) and margins (n,) where an adversary has moved every sensitive sample by a change of at most a size.

    Sensitive samples have the least margin that their certificate leaves possible, harmless ones their own.

    Raises
    ------
    InputError
        As for `lowest_margins`.
    """
    label = rows["label"].to_numpy()
    return label, np.where(label, lowest_margins(rows, radius), rows["margin"].to_numpy())


def certified_detection(rows: pl.DataFrame, radius: float, resamples: int = FEWER_RESAMPLES) -> dict[str, Estimate]:
    """What `detection` says over all thresholds when every sensitive sample has been changed by at most a size.

    Lower bounds of what any adversary of the threat model leaves: certified ``roc_auc``, ``average_precision`` and
    shares caught at rates of false alarms.

    Parameters
    ----------
    rows
        Closed-form evaluation rows of one model, split and threat model.
    radius
        Size of the changes, finite and nonnegative.
    resamples
        Of the bootstrap.

    Raises
    ------
    InputError
        As for `lowest_margins`, or a class is absent.
    """
    found = detection(*attacked_margins(rows, radius), resamples=resamples)
    return {name: found[name] for name in OVER_ALL}
