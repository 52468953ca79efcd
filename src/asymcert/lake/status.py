"""How far a destination is, also while others work on it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from asymcert.errors import RunError
from asymcert.lake.addresses import place_at
from asymcert.lake.job import Job
from asymcert.lake.lease import SILENCE, WORKING, last_run
from asymcert.lake.manifest import DONE, Manifest, Record
from asymcert.lake.places import Place


@dataclass(frozen=True)
class Status:
    """What a destination holds.

    Parameters
    ----------
    state
        ``"working"``, ``"finished"`` or ``"stopped"``, as the last run's record says; ``"silent"`` where it says the
        first, but has not changed for a while: the driver was probably killed.
    units
        Of the source, as the last run found it; None before it has.
    done, failed
        Of all units, also of files that have changed since.
    rows, problems, bytes
        In the outputs; the second has no verdict.
    host, pid
        Of the last run's driver.
    rate
        Rows per second of the last run.
    left
        Seconds that the last run needs for the rest, by units; None if it does not work.
    failures
        Records of what failed and was not done since, by path.
    """

    state: str
    units: int | None
    done: int
    failed: int
    rows: int
    problems: int
    bytes: int
    host: str
    pid: int
    rate: float
    left: float | None
    failures: list[Record]


def status(dest: str | Path) -> Status:
    """Read how far a destination is; nothing is written.

    Parameters
    ----------
    dest
        As for `asymcert.lake.certify`.

    Raises
    ------
    RunError
        No lake run has begun there.
    DataError
        A record was changed.
    """
    place = place_at(dest)
    job_of(place)
    _, run = last_run(place)
    if run is None:
        raise RunError(f"{place.address}: no run has begun. Start one with `asymcert lake certify`.")
    manifest = Manifest(place)
    done, failures = list(manifest.records(DONE)), manifest.failures()
    seconds = run.get("seconds", 0.0)
    settled = run.get("done", 0) + run.get("failed", 0) - run.get("before", 0)
    rest = run["units"] - run["done"] - run["failed"] if "units" in run else 0
    working = run["state"] == WORKING and time.time() - run["heard"] < SILENCE
    return Status(
        state="silent" if run["state"] == WORKING and not working else run["state"],
        units=run.get("units"),
        done=len(done),
        failed=len(failures),
        rows=sum(record.rows for record in done),
        problems=sum(record.problems for record in done),
        bytes=sum(record.bytes for record in done),
        host=run["host"],
        pid=run["pid"],
        rate=run.get("rows", 0) / seconds if seconds else 0.0,
        left=rest * seconds / settled if working and settled else None,
        failures=failures,
    )


def job_of(place: Place) -> Job:
    """The job of a destination; a `RunError` if it has none."""
    try:
        return Job.read(place)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{place.address}: holds no lake run. Make one with `asymcert lake certify`.") from None
