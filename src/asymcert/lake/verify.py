"""Whether a destination holds what was certified, all of it and nothing else."""

from __future__ import annotations

import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from asymcert._checks import check_number
from asymcert.errors import AsymcertError, DataError, RunError
from asymcert.lake import job as jobs
from asymcert.lake.addresses import place_at, source_at
from asymcert.lake.job import Job
from asymcert.lake.lease import is_run, last_run
from asymcert.lake.manifest import DONE, FAILED, ROWS, Manifest, Record, key_of, place_of
from asymcert.lake.places import PARTIAL, Place
from asymcert.lake.sealed import unsealed
from asymcert.lake.status import job_of
from asymcert.lake.units import units_of
from asymcert.lake.worker import Worker

PARTIAL_NAME = re.compile(rf"{PARTIAL}/[0-9a-f]{{32}}")


@dataclass(frozen=True)
class Finding:
    """Something that is not as a lake run left it: a path of the destination, or of the source, and what is wrong."""

    path: str
    problem: str


@dataclass(frozen=True)
class Verification:
    """What was looked at, and what is wrong.

    Parameters
    ----------
    units, rows
        Done, by sound records.
    failed
        Units that failed, which is no finding.
    recomputed
        Rows that were certified again.
    findings
        By path.
    """

    units: int
    rows: int
    failed: int
    recomputed: int
    findings: list[Finding]


def verify(
    dest: str | Path,
    recompute: float = 0.0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Read every file of a destination again, and certify a sample of its rows again.

    Found are outputs, records, job and model that were changed, cut off, renamed, exchanged or taken away, files that
    are no lake run's, and units of the source that are neither done nor failed.

    Parameters
    ----------
    dest
        As for `asymcert.lake.certify`; no run should be working there.
    recompute
        Share of the batches of rows that are certified again, from 0 to 1; at least one batch unless it is 0.
    seed
        Of the choice of batches.
    progress
        Called with (records done, records in all).

    Returns
    -------
    Verification
        With the findings.

    Raises
    ------
    RunError
        The place holds no lake run.
    """
    check_number("recompute", recompute, 0.0, 1.0)
    place = place_at(dest)
    found: list[Finding] = []
    try:
        job = job_of(place)
    except DataError as error:
        return Verification(0, 0, 0, 0, [Finding(jobs.FILE, str(error))])
    check = _Check(place, job, Manifest(place), found)
    done, failed = check.records(DONE), check.records(FAILED)
    for number, record in enumerate(done.values(), 1):
        check.output(record)
        if progress is not None:
            progress(number, len(done))
    check.strangers()
    check.gaps()
    recomputed = check.again(list(done.values()), recompute, seed) if check.model() and recompute > 0 else 0
    found.sort(key=lambda finding: (finding.path, finding.problem))
    rows = sum(record.rows for record in done.values())
    return Verification(len(done), rows, len(failed.keys() - done.keys()), recomputed, found)


@dataclass(frozen=True)
class _Check:
    """One verification, with what it has found so far."""

    place: Place
    job: Job
    manifest: Manifest
    findings: list[Finding]

    def find(self, path: str, problem: str) -> None:
        self.findings.append(Finding(path, problem))

    def records(self, folder: str) -> dict[str, Record]:
        """Sound records by their key; what is wrong with others is found."""
        sound: dict[str, Record] = {}
        for key in sorted(self.manifest.keys(folder)):
            path = place_of(folder, key)
            try:
                record = self.manifest.record(folder, key)
            except AsymcertError as error:
                self.find(path, str(error))
                continue
            if record.key == key == record.unit.key(self.job) and bool(record.error) == (folder == FAILED):
                sound[key] = record
            else:
                self.find(path, "is the record of another unit or job.")
        return sound

    def output(self, record: Record) -> None:
        """Whether an output is what its record says."""
        path = place_of(ROWS, record.key)
        if not record.output:
            return
        try:
            content = self.place.read(path)
        except FileNotFoundError:
            self.find(path, f"is missing, the output for {record.path}.")
            return
        if len(content) != record.bytes:
            self.find(path, f"has {len(content)} bytes instead of {record.bytes}.")
        elif hashlib.sha256(content).hexdigest() != record.output:
            self.find(path, "has other contents than were written.")

    def model(self) -> bool:
        """Whether the model is the job's."""
        try:
            self.job.load_model(self.place)
        except (AsymcertError, OSError) as error:
            self.find(jobs.MODEL, str(error))
            return False
        return True

    def strangers(self) -> None:
        """Files that no run wrote, outputs without a record, and changed records of runs."""
        done = self.manifest.keys(DONE)
        for entry in self.place.entries():
            key = key_of(entry)
            if key is not None:
                if entry.path.startswith(ROWS) and key not in done:
                    self.find(entry.path, "has no record: nobody vouches for it.")
            elif is_run(entry.path):
                self._sealed(entry.path)
            elif entry.path not in (jobs.FILE, jobs.MODEL) and not PARTIAL_NAME.fullmatch(entry.path):
                self.find(entry.path, "is no file of a lake run.")

    def gaps(self) -> None:
        """Units of the source without a record."""
        try:
            source = source_at(last_source(self.place))
            units = units_of(source)
        except (AsymcertError, OSError) as error:
            self.find("", f"The source cannot be listed, so gaps were not looked for: {error}")
            return
        known = self.manifest.keys(DONE) | self.manifest.keys(FAILED)
        for unit in units:
            if unit.key(self.job) not in known:
                self.find(unit.path, f"is not certified, part {unit.part + 1} of {unit.parts}.")

    def again(self, records: list[Record], share: float, seed: int) -> int:
        """Certify a sample of batches again; returns how many rows."""
        size = self.job.batch
        batches = [(n, batch) for n, record in enumerate(records) for batch in range(-(-record.rows // size))]
        count = min(len(batches), max(1, round(share * len(batches))))
        chosen: dict[int, set[int]] = defaultdict(set)
        for place in np.random.default_rng(seed).choice(len(batches), count, replace=False) if batches else ():
            chosen[batches[place][0]].add(batches[place][1])
        worker = Worker(self.place, source_at(last_source(self.place)).place) if chosen else None
        return sum(self._same(worker, records[n], some) for n, some in sorted(chosen.items()) if worker)

    def _same(self, worker: Worker, record: Record, chosen: set[int]) -> int:
        """Whether some batches of an output come out the same; returns their rows."""
        rows, path = 0, place_of(ROWS, record.key)
        try:
            stored = pl.read_parquet(io.BytesIO(self.place.read(path)))
            for batch, frame in worker.scored(record.unit, chosen):
                rows += frame.height
                if not frame.equals(stored.slice(batch * self.job.batch, frame.height)):
                    self.find(path, f"differs in batch {batch} from what {record.path} gives now.")
        except (AsymcertError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            self.find(path, f"cannot be compared: {error}")
        return rows

    def _sealed(self, path: str) -> None:
        try:
            unsealed(self.place.read(path), path)
        except DataError as error:
            self.find(path, str(error))


def last_source(place: Place) -> str:
    """Address of the source as the last run had it."""
    _, run = last_run(place)
    if run is None:
        raise RunError(f"{place.address}: holds no record of a run. Restore runs/, or certify again.")
    return run["source"]
