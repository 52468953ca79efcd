"""Counters of a service for Prometheus; with several workers they are shared through a folder."""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # the library's own variable
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """What is counted, on a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        name = "asymcert_"
        self.requests = Counter(f"{name}requests", "Requests answered.", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            f"{name}request_seconds", "Time from request to answer.", ["route"], buckets=SECONDS, registry=registry
        )
        self.rows = Counter(f"{name}rows", "Rows, by outcome.", ["outcome"], registry=registry)
        self.batch = Histogram(f"{name}batch_rows", "Rows certified together.", buckets=ROWS, registry=registry)
        self.reloads = Counter(f"{name}reloads", "Reloads of the model.", ["outcome"], registry=registry)
        self.ready = Gauge(
            f"{name}ready", "1 where the model can be asked.", registry=registry, multiprocess_mode="livemin"
        )

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        if SHARED not in os.environ:
            return generate_latest(self.registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)
        return generate_latest(shared)
