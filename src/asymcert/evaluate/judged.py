"""All that `asymcert evaluate` and a report say of one curve's detector, clean and certified."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from asymcert.certify.registry import METHODS
from asymcert.evaluate.curves import certified_accuracy_at, round_sizes
from asymcert.evaluate.detection import Estimate, calibration, confusion, detection
from asymcert.evaluate.robust import certified_detection, rows_at_points
from asymcert.evaluate.surface import follows_threshold
from asymcert.models.voting import VotingClassifier
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import SERIES

VOTES = tuple(name for name, each in METHODS.items() if issubclass(each.kind, VotingClassifier))  # no log-odds


@dataclass(frozen=True)
class AtPoint:
    """The detector at the threshold of one rate of false alarms, certified there."""

    max_fpr: float
    threshold: float
    false_positive_rate: float  # that the verdicts there have
    caught: list[Estimate]  # under any change of at most each size, with exact intervals
    rows: pl.DataFrame


@dataclass(frozen=True)
class Judged:
    """One curve's detector: see `detection`, `confusion`, `calibration`, `certified_detection`."""

    threat: str
    sizes: list[float]  # of changes, round, from 0
    detection: dict[str, Estimate]
    confusion: dict[str, int]
    calibration: pl.DataFrame | None  # None where margins are not log-odds
    caught: list[Estimate]  # at the threshold in use, under any change of at most each size, with exact intervals
    certified: list[dict[str, Estimate]]  # at each size; none where the method does not give it
    points: list[AtPoint]

    def to_dict(self) -> dict[str, Any]:
        """What `asymcert evaluate --json` adds to each curve's line.

        ``detection`` has the figures of `detection`, each with ``value``, ``lower`` and ``upper``; ``confusion`` counts
        (see there); ``calibration`` a bin a line (see there), or null; ``caught`` for each ``size`` of the changes the
        share of sensitive samples that no change of at most that size lets pass at the threshold in use, with an exact
        interval for it; ``certified`` the figures of `certified_detection`, for methods that give them; ``at_max_fpr``
        for each rate of false alarms that the samples can show ``max_fpr``, ``threshold``, the ``false_positive_rate``
        and what is ``caught`` there. Figures without a value are null.
        """
        return {
            "detection": _told(self.detection),
            "confusion": self.confusion,
            "calibration": None if self.calibration is None else self.calibration.to_dicts(),
            "caught": self._by_size(each._asdict() for each in self.caught),
            "certified": self._by_size(_told(found) for found in self.certified),
            "at_max_fpr": [
                {
                    "max_fpr": point.max_fpr,
                    "threshold": point.threshold,
                    "false_positive_rate": point.false_positive_rate,
                    "caught": self._by_size(each._asdict() for each in point.caught),
                }
                for point in self.points
            ],
        }

    def _by_size(self, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Each with its size before it; none of nothing."""
        return [{"size": size} | each for size, each in zip(self.sizes, found, strict=False)]


def judge_run(run: RunFolder, rows: pl.DataFrame) -> list[Judged]:
    """Each curve of evaluation rows, by norm, as `summary` has them sorted; none without both classes."""
    if rows["label"].all() or not rows["label"].any():
        return []
    parts = rows.partition_by(SERIES, maintain_order=True)
    return [judge(run, part) for part in sorted(parts, key=lambda part: part["norm"][0])]


def judge(run: RunFolder, rows: pl.DataFrame, sizes: Sequence[float] | None = None) -> Judged:
    """One curve, with what the run holds at operating points.

    Parameters
    ----------
    run
        The run's folder.
    rows
        Evaluation rows of one model, split, method and threat model, of both classes.
    sizes
        Of changes; by default round ones.
    """
    label, margin = rows["label"].to_numpy(), rows["margin"].to_numpy()
    sizes = round_sizes(rows.filter("label")["radius"].to_numpy()) if sizes is None else list(sizes)
    found, odds = detection(label, margin), rows["method"][0] not in VOTES
    return Judged(
        rows["threat"][0],
        sizes,
        found if odds else found | {"brier": Estimate(np.nan, np.nan, np.nan)},
        confusion(label, rows["prediction"].to_numpy()),
        calibration(label, margin) if odds else None,
        _caught(rows, sizes),
        [certified_detection(rows, size) for size in sizes] if follows_threshold(rows) else [],
        [_at_point(*point, sizes) for point in rows_at_points(run, rows)],
    )


def _at_point(max_fpr: float, threshold: float, rows: pl.DataFrame, sizes: Sequence[float]) -> AtPoint:
    alarms = rows.filter(~pl.col("label"))["prediction"].to_numpy()
    return AtPoint(max_fpr, threshold, float(alarms.mean()), _caught(rows, sizes), rows)


def _caught(rows: pl.DataFrame, sizes: Sequence[float]) -> list[Estimate]:
    return [Estimate(*point[1:]) for point in certified_accuracy_at(rows, sizes).rows()]


def _told(found: dict[str, Estimate]) -> dict[str, Any]:
    return {name: each._asdict() for name, each in found.items()}
