"""The run of a lake: what is missing is given to an engine until all is done or failed."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asymcert._checks import check_choice, check_count, refuse
from asymcert.certify import certifier_for, default_method
from asymcert.lake.addresses import Source, absolute, check_apart, place_at, source_at
from asymcert.lake.engines import Engine, Inline, Pool, check_workers
from asymcert.lake.job import Job
from asymcert.lake.lease import FINISHED, STOPPED, Lease
from asymcert.lake.manifest import DONE, FAILED, Manifest, Record
from asymcert.lake.places import Place
from asymcert.lake.units import Unit, units_of
from asymcert.models.base import BinaryClassifier
from asymcert.runs.run import Run
from asymcert.threats.model import ThreatModel

ENGINES = ("local", "ray")
CRASHES = 3  # of its process that make a unit poison
WAIT = 0.5  # seconds for outcomes, between two looks at the lease
POISON = f"its worker process ended {CRASHES} times while it did this. Check the file, or give workers more memory."


@dataclass
class Progress:
    """How far a run is.

    Parameters
    ----------
    units
        Of the source.
    done, failed
        Of those, also in earlier runs.
    rows, problems
        Certified in this run, and how many of those have no verdict.
    seconds
        Since it began to certify.
    stale
        Outputs of files that have changed or gone since; they stay.
    failures
        Records of the units that failed, by path.
    """

    units: int
    done: int
    failed: int
    rows: int = 0
    problems: int = 0
    seconds: float = 0.0
    stale: int = 0
    failures: list[Record] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0


def certify(
    model: BinaryClassifier | str | Path,
    source: str | Path,
    dest: str | Path,
    threats: Sequence[ThreatModel],
    method: str | None = None,
    *,
    keep: Sequence[str] = (),
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
    waiting: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> Progress:
    """Certify every row of every table of a lake; what an earlier run has done is not done again.

    Parameters
    ----------
    model
        Classifier of a table, or a run's folder.
    source
        A folder, a file, a glob, or an address that begins with ``file://``, ``s3://``, ``gs://``, ``az://`` or
        ``memory://``. Hidden files, also those that begin with ``_``, are left out.
    dest
        A place of its own for outputs and records, see docs/lake.md; nothing is ever deleted there.
    threats
        The adversaries, all different.
    method, options
        As for `asymcert.certify`.
    keep
        Columns that outputs repeat, such as a key.
    engine
        ``"local"`` for processes of this machine, ``"ray"`` for tasks of a Ray cluster.
    workers
        Processes, by default as many as processors; 0 works in this one. With Ray units at a time, by default as many
        as the cluster has processors.
    address
        Of a Ray cluster; by default one is started here.
    retry_failed
        Whether to try again what failed.
    progress
        Called about twice a second.
    waiting
        Called once with the record of another driver that works on `dest`, which is waited for.

    Returns
    -------
    Progress
        What is done now, with the failures.

    Raises
    ------
    InputError
        An argument does not fit, or the source holds no table.
    RunError
        `dest` belongs to another job, cannot be written, or was taken over by another driver.
    DependencyError
        Ray or obstore is not installed.
    """
    check_choice("engine", engine, ENGINES)
    if workers is not None:
        check_count("workers", workers, 0)
    model = model if isinstance(model, BinaryClassifier) else Run(model).model
    wanted, target = source_at(source), place_at(dest)
    check_apart(wanted, target)
    job = Job.of(model, threats, certifier_for(method or default_method(model, threats), **options), keep)
    job.store(target, model)
    lease = Lease.take(target, {"source": absolute(source), "started": time.time()}, waiting)
    try:
        plan = _Plan.of(wanted, Manifest(target), job, retry_failed)
        with _engine(engine, workers, address, target, wanted.place, len(plan.missing)) as crew:
            _work(plan, crew, lease, progress)
        lease.end(FINISHED)
    except BaseException:
        lease.end(STOPPED)
        raise
    plan.state.failures = [failure for failure in plan.manifest.failures() if failure.key in plan.keys]
    return plan.state


@dataclass
class _Plan:
    """What is to be done, and how far that is."""

    manifest: Manifest
    job: Job
    keys: set[str]
    missing: deque[Unit]
    state: Progress
    crashes: Counter[Unit] = field(default_factory=Counter)

    @classmethod
    def of(cls, source: Source, manifest: Manifest, job: Job, retry_failed: bool) -> _Plan:
        units = {unit.key(job): unit for unit in units_of(source)}
        if not units:
            raise refuse("source", "a place with tables", f"none in {source.place.address}", "Check the address.")
        done = manifest.keys(DONE)
        failed = manifest.keys(FAILED) - done
        settled = done if retry_failed else done | failed
        missing = deque(unit for key, unit in units.items() if key not in settled)
        old = len(units.keys() & failed) if not retry_failed else 0
        state = Progress(len(units), len(units.keys() & done), old, stale=len(done - units.keys()))
        return cls(manifest, job, set(units), missing, state)

    def settle(self, unit: Unit, record: Record | None) -> None:
        """Count an outcome; a unit whose process ended is missing again, but for the third time."""
        if record is None:
            self.crashes[unit] += 1
            if self.crashes[unit] < CRASHES:
                self.missing.append(unit)
                return
            record = Record.of(unit.key(self.job), unit, error=f"{unit.path}: {POISON}", tries=CRASHES)
            self.manifest.fail(record)
        if record.error:
            self.state.failed += 1
        else:
            self.state.done += 1
            self.state.rows += record.rows
            self.state.problems += record.problems


def _work(plan: _Plan, engine: Engine, lease: Lease, progress: Callable[[Progress], None] | None) -> None:
    start, state = time.monotonic(), plan.state
    lease.tell(units=state.units, before=state.done + state.failed)
    while plan.missing or engine.busy:
        lease.check()
        while plan.missing and engine.free:
            unit = plan.missing.popleft()
            engine.submit(unit, plan.crashes[unit] + 1)
        for unit, record in engine.outcomes(WAIT):
            plan.settle(unit, record)
        state.seconds = time.monotonic() - start
        told = {name: getattr(state, name) for name in ("done", "failed", "rows", "problems", "seconds")}
        lease.tell(**told)
        if progress is not None:
            progress(state)


def _engine(engine: str, workers: int | None, address: str | None, dest: Place, source: Place, units: int) -> Engine:
    if address is not None and engine != "ray":
        raise refuse("address", "left out for the local engine", repr(address), "Use --engine ray.")
    if engine == "ray":
        from asymcert.lake.ray_engine import RayTasks

        return RayTasks(dest, source, workers, address)
    if workers is None:
        workers = (os.cpu_count() or 1) if dest.shared and source.shared else 0
    check_workers(workers, dest, source)
    return Pool(dest, source, min(workers, units)) if workers else Inline(dest, source)
