"""Why a verdict stands: which columns carry its margin, and which of them would have to change to what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert.certify import certify
from asymcert.certify.cuts import Cuts, Planes
from asymcert.datasets.columns import WordColumn, unnamed
from asymcert.estimator.units import Threat, on_inputs
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat


@dataclass(frozen=True)
class Explanation:
    """One verdict, column by column.

    Parameters
    ----------
    margin
        Of the sensitive verdict; there is no verdict to explain where it is not positive, and all else is empty.
    columns
        No change of so many columns, by whatever amount, undoes the verdict; in prices, where columns have them.
    carries
        For each column the most that a change of it alone takes from the margin, the greatest first: 0 where none
        takes anything, such as for columns that cannot change.
    changes
        Columns that, changed from the first value to the second together, do undo the verdict; empty where no such
        change was found.
    """

    margin: float
    columns: float
    carries: dict[str, float]
    changes: dict[str, tuple[Any, Any]]


def explanations(model: FeatureConvexClassifier, frame: pl.DataFrame, threat: Threat) -> list[Explanation]:
    """Explain the verdicts on rows of a table against an adversary who changes columns.

    Raises
    ------
    InputError
        The adversary is measured otherwise, the model reads running text, or its feature map mixes inputs.
    """
    assert model.scaling is not None
    adversary = on_inputs(threat, model)
    if adversary.norm != 0:
        raise refuse("threat", "of norm 0, for a count of columns", f"norm {adversary.norm:g}")
    if any(isinstance(column, WordColumn) for column in model.scaling.columns):
        raise refuse("X", "of numbers and categories to be explained", "running text")
    frame = model.scaling.impute(frame)
    x = model.scaling.encode(frame, np.float64)
    certificate = certify(model, x, adversary)
    drops = _drops(model, x, adversary)
    changed, undone = _changed(model, frame, x, certificate.adversarial)
    found = []
    for row in range(len(x)):
        if not certificate.sensitive[row]:
            found.append(Explanation(float(certificate.margin[row]), 0.0, {}, {}))
            continue
        order = drops[row].argsort(descending=True, stable=True).tolist()
        carries = {frame.columns[place]: float(drops[row, place]) for place in order}
        pairs = {name: (frame[name][row], changed[name][row]) for name in frame.columns} if undone[row] else {}
        changes = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        found.append(Explanation(float(certificate.margin[row]), float(certificate.radius[row]), carries, changes))
    return found


def _drops(model: FeatureConvexClassifier, x: Tensor, threat: ThreatModel) -> Tensor:
    """The most that the tangent plane at each input falls by a change of one column: (n, columns)."""
    planes, parts = Planes(model, sound=True), []
    with model.undisturbed(), torch.no_grad():
        for chunk in planes.chunks(x):
            cuts = Cuts(planes, chunk, threat)
            cuts.add(chunk)
            parts.append(cuts.column_drops(torch.ones_like(cuts.value))[0].drop)
    return torch.cat(parts)


def _changed(
    model: FeatureConvexClassifier, frame: pl.DataFrame, x: Tensor, adversarial: Tensor | None
) -> tuple[pl.DataFrame, Tensor]:
    """Rows changed as the certificate says, and whether the verdict on them, read anew, is no longer sensitive."""
    assert model.scaling is not None
    assert adversarial is not None
    columns = {}
    for column, place in zip(model.scaling.columns, TableThreat(model.scaling).places, strict=True):
        moved = (adversarial[:, place] != x[:, place]).any(1).numpy()
        before = unnamed(frame.get_column(column.name))
        after = pl.Series(column.decode(adversarial[:, place].numpy()), dtype=before.dtype)
        columns[column.name] = before.zip_with(pl.Series(~moved), after)
    changed = pl.DataFrame(columns)
    return changed, model.margin(model.scaling.encode(changed, np.float64)) <= 0
