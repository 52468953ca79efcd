"""What users give to be drawn: evaluation rows, or a certificate, which knows no labels."""

from __future__ import annotations

import polars as pl
import torch

from asymcert._checks import refuse
from asymcert.certify import Certificate
from asymcert.report.series import Series, by_unit, series_of
from asymcert.runs.rows import Origin, check_rows, make_rows

UNKNOWN = Origin("none", "none", "none", 0)


def rows_of(given: pl.DataFrame | Certificate) -> pl.DataFrame:
    """Evaluation rows themselves, or those of a certificate, in which every alert is taken for right.

    Raises
    ------
    InputError
        It is neither, or the rows are damaged.
    """
    if isinstance(given, Certificate):
        return make_rows(given, torch.arange(len(given)), given.sensitive.cpu(), UNKNOWN, 0.0)
    if not isinstance(given, pl.DataFrame):
        remedy = "Read rows by `RunFolder(path).read('certificates')`."
        raise refuse("given", "evaluation rows or a Certificate", type(given).__name__, remedy)
    return check_rows(given)


def panel_of(rows: pl.DataFrame) -> list[Series]:
    """The curves of rows whose radii are measured in one unit.

    Raises
    ------
    InputError
        There are no sensitive samples, or radii in several units.
    """
    panels = by_unit(series_of(rows, {}))
    if len(panels) != 1:
        remedy = "Filter them, for example by `rows.filter(pl.col('norm') == 2)`." if panels else ""
        raise refuse("given", "of sensitive samples, radii in one unit", ", ".join(panels) or "none of them", remedy)
    return next(iter(panels.values()))
