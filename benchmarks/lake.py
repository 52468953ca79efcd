"""Lakes: what a run costs, what it survives, and what `verify` finds.

    PYTHONPATH=tests python benchmarks/lake.py [--engines local,ray] [--kills 50] [--changes 200]

1. Cost: CPU seconds a row and bytes of outputs and records, of 100 files of 1 to 50,000 rows with 20 numbers and a
   category, three of them damaged, by one process; units per second of files with one row each; memory of a worker.
2. Listing: seconds to list the manifest of 10,000 and of 100,000 records, in a folder and in memory.
3. Driver: units per second that it plans, gives out and counts, and its memory for each, with an engine that answers at
   once.
4. Kills: for each engine, a worker or (one time in five) the driver is killed by SIGKILL after some record was added,
   until that was so 50 times; the driver is started again, with new destinations as needed. Each destination must hold
   the bytes of an undisturbed run, and `verify` must find nothing in it.
5. Changes: 200 times an output or a record is changed, and undone when `verify` has found it.

Last results: see docs/lake.md for what follows from them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import resource
import shutil
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import torch
from lake_data import DAMAGED, THREATS, load, make, rows

from asymcert import lake
from asymcert.lake.addresses import place_at
from asymcert.lake.engines import Engine, Outcome
from asymcert.lake.manifest import DONE, Manifest, Record, place_of
from asymcert.lake.sealed import digest_of, sealed
from asymcert.lake.units import Unit
from contracts.changes_of_lakes import KINDS, change
from contracts.lake_runs import kill, start_driver, wait_for, workers_of
from contracts.lakes import outputs

MOST_ROWS = 50_000
FILES = 97
DRIVER_SHARE = 0.2  # of kills
LONGEST_PAUSE = 1.0  # seconds between a record and the kill that follows


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
        path = place / f"large-{number}" / "a.parquet"
        path.parent.mkdir()
        rows(number, 0).write_parquet(path)
        lake.certify(load(place), path.parent, place / f"large-out-{number}", THREATS, keep=["id"], workers=1)
        sizes.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
        shutil.rmtree(path.parent)
    return f"memory: a worker takes {sizes[0]:.0f} MiB for {count:,} rows, {sizes[1]:.0f} MiB for {10 * count:,}"


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


class Instant(Engine):
    """Says of every unit that it is done."""

    free = 1000

    def __init__(self):
        self.given: list[Unit] = []

    @property
    def busy(self) -> int:
        """See `Engine.busy`."""
        return len(self.given)

    def submit(self, unit: Unit, tries: int) -> None:
        """See `Engine.submit`."""
        self.given.append(unit)

    def outcomes(self, seconds: float) -> list[Outcome]:
        """See `Engine.outcomes`."""
        given, self.given = self.given, []
        return [(unit, Record.of("", unit, rows=1, tries=1)) for unit in given]


def driving(place: Path, count: int) -> str:
    """What a unit costs the driver."""
    source = place_at("memory://many")
    for number in range(count):
        source.create(f"day={number % 365}/{number:09d}.parquet", b"x")
    before, start = resident(), time.process_time()
    with mock.patch.object(importlib.import_module("asymcert.lake.driver"), "_engine", return_value=Instant()):
        found = lake.certify(load(place), source.address, place / "driven", THREATS)
    assert found.done == count
    seconds = time.process_time() - start
    size = (resident() - before) / count
    return f"driver: {count} units in {seconds:.1f} CPU seconds, {count / seconds:,.0f} units/s, {size:.0f} bytes each"


def resident() -> int:
    """Greatest resident size of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def kills(place: Path, engine: str, wanted: int, seed: int = 0) -> str:
    """Kill workers and drivers so many times; the bytes must be those of the undisturbed run."""
    draw, done, start, rounds = random.Random(seed), Counter[str](), time.perf_counter(), 0
    expected = outputs(place / "undisturbed")
    while done.total() < wanted:
        dest = place / f"{engine}-{rounds}"
        rounds += 1
        _disturbed(place, dest, engine, wanted, draw, done)
        found = lake.certify(load(place), place / "source", dest, THREATS, keep=["id"], workers=0, retry_failed=True)
        assert [failure.path for failure in found.failures] == [f"damaged-{n}.parquet" for n in range(DAMAGED)]
        assert outputs(dest) == expected
        assert lake.verify(dest, 0.01).findings == []
    seconds = time.perf_counter() - start
    told = ", ".join(f"{count} of {what}s" for what, count in sorted(done.items()))
    return f"kills, {engine}: {told}, in {rounds} runs, {seconds:.0f} s: outputs equal to the byte, nothing to find"


def _disturbed(place: Path, dest: Path, engine: str, wanted: int, draw: random.Random, done: Counter[str]) -> None:
    """One destination, until it is finished, or was disturbed often enough and is finished then."""
    while True:
        driver = start_driver(place / "model", place / "source", dest, engine)
        while driver.poll() is None:
            _next_record(driver, dest)
            time.sleep(draw.uniform(0, LONGEST_PAUSE))
            if done.total() < wanted and driver.poll() is None:
                _kill_one(driver, dest, draw, done)
        error = driver.communicate()[1]
        if driver.returncode == 0:
            return
        assert driver.returncode == -9, error


def _next_record(driver, dest: Path) -> None:
    """Wait for a record more, or for the driver's end."""
    seen = records(dest)
    wait_for(lambda: driver.poll() is not None or records(dest) > seen, 240)


def _kill_one(driver, dest: Path, draw: random.Random, done: Counter[str]) -> None:
    if draw.random() < DRIVER_SHARE:
        done["driver"] += kill(driver.pid)
        driver.wait()
        return
    workers = workers_of(dest, driver.pid)
    if workers:
        done["worker"] += kill(draw.choice(workers))


def records(dest: Path) -> int:
    """Units that are done or failed."""
    return sum(1 for _ in dest.glob("done/*/*.json")) + sum(1 for _ in dest.glob("failed/*/*.json"))


def changes(place: Path, wanted: int, seed: int = 0) -> str:
    """Change a destination so many times; each must be found, and nothing once it is undone."""
    draw, dest, found = random.Random(seed), place / "undisturbed", Counter[str]()
    whole = {path: path.read_bytes() for path in dest.rglob("*") if path.is_file()}
    seconds = []
    for number in range(wanted):
        kind = KINDS[number % len(KINDS)]
        what = change(dest, kind, draw)
        start = time.perf_counter()
        assert lake.verify(dest).findings, what
        seconds.append(time.perf_counter() - start)
        found[kind] += 1
        restore(dest, whole)
    assert lake.verify(dest).findings == []
    told = json.dumps(dict(sorted(found.items())))
    return f"changes: {found.total()} of {wanted} found, {told}; {statistics.median(seconds):.2f} s a verification"


def restore(dest: Path, whole: dict[Path, bytes]) -> None:
    """Undo what was done to a destination."""
    for path in dest.rglob("*"):
        if path.is_file() and path not in whole:
            path.unlink()
    for path, content in whole.items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
