"""Evaluation: rows in a run folder, certified-accuracy curves, and the trade-off surface."""

from asymcert.evaluate.curves import binomial_interval, certified_accuracy, certified_accuracy_at, summary
from asymcert.evaluate.formatting import ceil_format, floor_format, floor_percent, floor_significant
from asymcert.evaluate.gate import Drop, drops
from asymcert.evaluate.run import evaluate
from asymcert.evaluate.same_rows import SameRows, certified, same_rows
from asymcert.evaluate.surface import Surface, surface
from asymcert.evaluate.units import radius_in_units
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import check_rows, distinct, make_rows, threat_key

__all__ = [
    "Drop",
    "RunFacts",
    "RunFolder",
    "SameRows",
    "Surface",
    "binomial_interval",
    "ceil_format",
    "certified",
    "certified_accuracy",
    "certified_accuracy_at",
    "check_rows",
    "distinct",
    "drops",
    "evaluate",
    "floor_format",
    "floor_percent",
    "floor_significant",
    "make_rows",
    "radius_in_units",
    "same_rows",
    "summary",
    "surface",
    "threat_key",
]
