"""How many samples are certified together: enough to hide what each call costs, few enough to see progress."""

from __future__ import annotations

from asymcert.certify import Certifier
from asymcert.models.base import BinaryClassifier

SLOW = {"exact": 16, "refined": 128, "smoothing": 256, "splitting": 256}
USUAL = 256
PER_WORKER = 64  # starting a process takes seconds
KEPT, LEAST_ROWS = 3 * 2**19, 256  # of a table: values of a pass, 12 MiB in float64, of which about ten are held


def between_savings(certifier: Certifier) -> int:
    """Samples of a split: a few seconds' work, which an interruption may cost."""
    workers = getattr(certifier, "workers", 1)
    return PER_WORKER * workers if workers > 1 else SLOW.get(certifier.method, USUAL)


def rows_at_once(model: BinaryClassifier, certifier: Certifier) -> int:
    """Rows of a table, by a method that is not slow as many as fit in little memory."""
    if certifier.method in SLOW:
        return between_savings(certifier)
    return max(LEAST_ROWS, KEPT // model.activations)
