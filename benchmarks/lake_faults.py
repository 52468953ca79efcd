"""Kills and changes that the lakes of `lake.py` must survive or tell."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections import Counter
from pathlib import Path

from lake_data import DAMAGED, THREATS, load

from asymcert import lake
from contracts.changes_of_lakes import KINDS, change
from contracts.lake_runs import kill, start_driver, wait_for, workers_of
from contracts.lakes import outputs

DRIVER_SHARE = 0.2  # of kills
LONGEST_PAUSE = 1.0  # seconds between a record and the kill that follows


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
