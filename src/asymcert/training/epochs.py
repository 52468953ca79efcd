"""What all training loops do in an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from asymcert.errors import RunError

OnEpoch = Callable[[dict[str, Any]], None]  # takes the record of an epoch that has ended


def epoch_seed(seed: int, epoch: int) -> int:
    """Seed of one epoch's generators, so that any epoch can be repeated without those before it."""
    return (seed * 1_000_003 + epoch) % 2**63


def finite_loss(mean: float, epoch: int) -> float:
    """Return an epoch's mean loss; a `RunError` if it is not finite."""
    if not math.isfinite(mean):
        raise RunError(f"training diverged in epoch {epoch + 1} (loss {mean}). Lower `learning_rate`.")
    return mean
