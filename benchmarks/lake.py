"""Lakes: what a run costs, what it survives, and what `verify` finds.

    PYTHONPATH=tests python benchmarks/lake.py [--engines local,ray] [--kills 50] [--changes 200]

1. Cost: CPU seconds a row and bytes of outputs and records, of 100 files of 1 to 50,000 rows with 20 numbers and a
   category, three of them damaged, by one process; units per second of files with one row each; memory of a worker.
2. Listing: seconds to list the manifest of 10,000 and of 100,000 records, in a folder and in memory.
3. Requests to an object store for a unit, by their kind, where MOTO_SERVER names a server.
4. Driver: units per second that it plans, gives out and counts, and its memory for each, with an engine that answers at
   once.
5. Kills: for each engine, a worker or (one time in five) the driver is killed by SIGKILL after some record was added,
   until that was so 50 times; the driver is started again, with new destinations as needed. Each destination must hold
   the bytes of an undisturbed run, and `verify` must find nothing in it.
6. Changes: 200 times an output or a record is changed, and undone when `verify` has found it.

Last results, one run of all, seven minutes, two shared cores (load 2), PyTorch 2.13, polars 2.1, ray 2.60, obstore
0.12; docs/lake.md says what follows from them:

    97 files with 597755 rows, and 3 damaged
    cost: 7.60e-06 CPU seconds a row, 134,131 rows/s, 21.8 units/s, 20 bytes of output a row, 434 of manifest a unit
    overhead: 75 units/s of one row, 13.6 CPU milliseconds a unit
    memory: a worker takes 428 MiB for 300,000 rows, 492 MiB for 3,000,000
    listing, folder: 10000 records in 0.18 s, 17.6 microseconds each
    listing, memory: 10000 records in 0.04 s, 4.0 microseconds each
    listing, folder: 100000 records in 2.23 s, 22.3 microseconds each
    listing, memory: 100000 records in 0.43 s, 4.3 microseconds each
    driver: 100000 units in 3.0 CPU seconds, 33,153 units/s, 564 bytes each
    requests: 1.15 GET, 2.00 HEAD, 2.05 PUT a unit, of 100 in 3 s
    kills, local: 9 of drivers, 41 of workers, in 8 runs, 138 s: outputs equal to the byte, nothing to find
    kills, ray: 13 of drivers, 37 of workers, in 4 runs, 228 s: outputs equal to the byte, nothing to find
    changes: 200 of 200 found, 33 or 34 of each kind; 0.05 s a verification
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import resource
import shutil
import statistics
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from lake_data import DAMAGED, THREATS, load, make, rows
from lake_faults import changes, kills

from asymcert import lake
from asymcert.lake.addresses import place_at
from asymcert.lake.engines import Engine, Outcome
from asymcert.lake.manifest import DONE, Manifest, Record, place_of
from asymcert.lake.sealed import digest_of, sealed
from asymcert.lake.units import Unit
from contracts.lake_runs import workers_of
from contracts.object_servers import SERVER, s3_server

METHOD = re.compile(r'"(GET|PUT|HEAD|POST|DELETE) ')  # in the log of a server
MOST_ROWS = 50_000
FILES = 97


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", default="local,ray")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--rows", type=int, default=MOST_ROWS)
    parser.add_argument("--large", type=int, default=300_000)
    parser.add_argument("--records", type=int, default=100_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made = make(place, arguments.files, arguments.rows)
        print(f"{arguments.files} files with {made} rows, and {DAMAGED} damaged", flush=True)
        print(cost(place), flush=True)
        print(overhead(place), flush=True)
        print(memory(place, arguments.large), flush=True)
        for count in (arguments.records // 10, arguments.records):
            print(listing(place / "listed", count), listing("memory://listed", count), sep="\n", flush=True)
            shutil.rmtree(place / "listed")
        print(driving(place, arguments.records), flush=True)
        if SERVER is not None:
            print(requests(place), flush=True)
        for engine in filter(None, arguments.engines.split(",")):
            print(kills(place, engine, arguments.kills), flush=True)
        if arguments.changes:
            print(changes(place, arguments.changes), flush=True)


def cost(place: Path) -> str:
    """The undisturbed run, and what it took."""
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = lake.certify(load(place), place / "source", place / "undisturbed", THREATS, keep=["id"], workers=0)
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - start
    assert found.failed == DAMAGED
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    status = lake.status(place / "undisturbed")
    sizes = [path.stat().st_size for path in (place / "undisturbed" / DONE).rglob("*.json")]
    return (
        f"cost: {spent / found.rows:.2e} CPU seconds a row, {found.rows / seconds:,.0f} rows/s, "
        f"{found.done / seconds:.1f} units/s, {status.bytes / found.rows:.0f} bytes of output a row, "
        f"{statistics.mean(sizes):.0f} bytes of manifest a unit"
    )


def overhead(place: Path, units: int = 300) -> str:
    """What a unit costs beside its rows: files of one row each."""
    for number in range(units):
        path = place / "small" / f"{number}.parquet"
        path.parent.mkdir(exist_ok=True)
        rows(1, number).write_parquet(path)
    spent, start = time.process_time(), time.perf_counter()
    lake.certify(load(place), place / "small", place / "small-out", THREATS, keep=["id"], workers=0)
    spent, seconds = time.process_time() - spent, time.perf_counter() - start
    return f"overhead: {units / seconds:.0f} units/s of one row, {1000 * spent / units:.1f} CPU milliseconds a unit"


def memory(place: Path, count: int) -> str:
    """Greatest resident size of a worker process, for one file of so many rows, and for one of ten times as many."""
    sizes = []
    for number in (count, 10 * count):
        path, dest, seen = place / f"large-{number}" / "a.parquet", place / f"large-out-{number}", [0.0]
        path.parent.mkdir()
        rows(number, 0).write_parquet(path)
        watch = partial(watched, dest, seen)
        lake.certify(load(place), path.parent, dest, THREATS, keep=["id"], workers=1, progress=watch)
        sizes.append(max(seen))
        shutil.rmtree(path.parent)
    return f"memory: a worker takes {sizes[0]:.0f} MiB for {count:,} rows, {sizes[1]:.0f} MiB for {10 * count:,}"


def watched(dest: Path, seen: list[float], state: lake.Progress) -> None:
    """Keep the greatest resident size of a destination's workers so far, in MiB."""
    for worker in workers_of(dest):
        status = Path(f"/proc/{worker}/status").read_text()
        seen.append(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def listing(address: str | Path, count: int) -> str:
    """Seconds to list so many records."""
    dest = place_at(address)
    for number in range(count):
        record = Record(digest_of(number), f"day=0/{number:09d}.parquet", 10**6, "1", 0, 1, host="a")
        if isinstance(address, Path):
            path = address / place_of(DONE, record.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sealed(vars(record)))  # without the flush to disk that a run makes
        else:
            dest.create(place_of(DONE, record.key), sealed(vars(record)))
    start = time.perf_counter()
    assert len(Manifest(dest).keys(DONE)) == count
    seconds = time.perf_counter() - start
    kind = "folder" if isinstance(address, Path) else "memory"
    return f"listing, {kind}: {count} records in {seconds:.2f} s, {1e6 * seconds / count:.1f} microseconds each"


def requests(place: Path, units: int = 100) -> str:
    """Requests of a run on S3, for each of its units."""
    with s3_server(place / "log") as address:
        source = place_at(f"{address}/in")
        for number in range(units):
            source.replace(f"{number}.parquet", (place / "small" / f"{number}.parquet").read_bytes())
        before = Counter(METHOD.findall((place / "log").read_text()))
        start = time.perf_counter()
        lake.certify(load(place), f"{address}/in", f"{address}/out", THREATS, workers=0)
        seconds = time.perf_counter() - start
        counts = Counter(METHOD.findall((place / "log").read_text())) - before
    told = ", ".join(f"{count / units:.2f} {method}" for method, count in sorted(counts.items()))
    return f"requests: {told} a unit, of {units} in {seconds:.0f} s"


class Instant(Engine):
    """Says of every unit that it is done."""

    free = 1000

    def __init__(self):
        self.given: list[Unit] = []
        self.resident = 0  # when all is planned

    @property
    def busy(self) -> int:
        """See `Engine.busy`."""
        return len(self.given)

    def submit(self, unit: Unit, tries: int) -> None:
        """See `Engine.submit`."""
        self.given.append(unit)

    def outcomes(self, seconds: float) -> list[Outcome]:
        """See `Engine.outcomes`."""
        self.resident = self.resident or resident()
        given, self.given = self.given, []
        return [(unit, Record.of("", unit, rows=1, tries=1)) for unit in given]


def driving(place: Path, count: int) -> str:
    """What a unit costs the driver."""
    source = place_at("memory://many")
    for number in range(count):
        source.create(f"day={number % 365}/{number:09d}.parquet", b"x")
    before, start, engine = resident(), time.process_time(), Instant()
    with mock.patch.object(importlib.import_module("asymcert.lake.driver"), "_engine", return_value=engine):
        found = lake.certify(load(place), source.address, place / "driven", THREATS)
    assert found.done == count
    seconds = time.process_time() - start
    size = (engine.resident - before) / count
    return f"driver: {count} units in {seconds:.1f} CPU seconds, {count / seconds:,.0f} units/s, {size:.0f} bytes each"


def resident() -> int:
    """Resident size of this process, in bytes."""
    return 1024 * int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
