"""Seconds of several tasks that are compared with each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch


def alternate(tasks: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median seconds of each task after one warm-up, the tasks taking turns so that a noisy moment hits all."""
    seconds: list[list[float]] = [[] for _ in tasks]
    for turn in range(repeats + 1):
        for task, measured in zip(tasks, seconds, strict=True):
            start = time.perf_counter()
            task()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                measured.append(time.perf_counter() - start)
    return [statistics.median(measured) for measured in seconds]
