"""Evaluation: rows in a run folder, certified-accuracy curves, and the trade-off surface."""

from asymcert.evaluate.curves import binomial_interval, certified_accuracy, certified_accuracy_at, summary
from asymcert.evaluate.formatting import ceil_format, floor_format, floor_percent, floor_significant
from asymcert.evaluate.run import evaluate
from asymcert.evaluate.surface import Surface, surface
from asymcert.evaluate.units import radius_in_units
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import check_rows, distinct, make_rows, threat_key

__all__ = [
    "RunFacts",
    "RunFolder",
    "Surface",
    "binomial_interval",
    "ceil_format",
    "certified_accuracy",
    "certified_accuracy_at",
    "check_rows",
    "distinct",
    "evaluate",
    "floor_format",
    "floor_percent",
    "floor_significant",
    "make_rows",
    "radius_in_units",
    "summary",
    "surface",
    "threat_key",
]
