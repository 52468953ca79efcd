"""Workers and drivers that are killed: no row is lost, none is doubled, and what kills every worker is set aside."""

import random
import signal
import sys
import time

import pytest

from asymcert import lake
from asymcert.errors import RunError
from asymcert.lake.addresses import place_at, source_at
from asymcert.lake.engines import Pool
from asymcert.lake.job import Job
from asymcert.lake.units import units_of
from contracts.lake_runs import kill, start_driver, wait_for, workers_of
from contracts.lakes import THREATS, make_lake, outputs

SIZES = (20_000, 30_000, 1, 8192, 0, 25_000, 3000, 16_385)

POISONED = """
import os, sys
from asymcert.lake import worker

do = worker.Worker.do
def deadly(self, unit, tries):
    return os.kill(os.getpid(), 9) if unit.path.endswith("003.parquet") else do(self, unit, tries)

worker.Worker.do = deadly
worker.main(sys.argv[1], sys.argv[2], sys.stdin, sys.stdout)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory, model):
    """A folder with a lake of larger files, a model file, and an undisturbed run's outputs."""
    folder = tmp_path_factory.mktemp("kills")
    make_lake(folder / "source", SIZES, damaged=2)
    model.save(folder / "model")
    lake.certify(model, folder / "source", folder / "undisturbed", THREATS, keep=["id"], workers=0)
    return folder


def check(place, dest):
    assert outputs(dest) == outputs(place / "undisturbed")
    assert lake.verify(dest, 0.05).findings == []


def test_killed_workers_are_replaced(place, tmp_path):
    driver = start_driver(place / "model", place / "source", tmp_path / "dest")
    draw = random.Random(0)
    for _ in range(4):
        workers = wait_for(lambda: workers_of(tmp_path / "dest") or driver.poll() is not None)
        if workers is not True:
            kill(draw.choice(workers))
        time.sleep(0.7)
    out, error = driver.communicate(timeout=120)
    assert driver.returncode == 0, error
    assert out.split() == [str(len(SIZES)), "2", str(sum(SIZES))]
    check(place, tmp_path / "dest")


def test_a_killed_driver_is_continued(place, tmp_path, model):
    driver = start_driver(place / "model", place / "source", tmp_path / "dest", workers=1)
    wait_for(lambda: list((tmp_path / "dest" / "done").rglob("*.json")))
    assert driver.poll() is None
    kill(driver.pid)
    driver.communicate()
    wait_for(lambda: not workers_of(tmp_path / "dest"))  # they end with what they do
    kept = len(list((tmp_path / "dest" / "done").rglob("*.json")))
    found = lake.certify(model, place / "source", tmp_path / "dest", THREATS, keep=["id"], workers=0)
    assert kept >= 1
    assert (found.done, found.failed) == (len(SIZES), 2)
    assert found.rows < sum(SIZES)
    check(place, tmp_path / "dest")


def test_two_drivers_take_turns(place, tmp_path):
    drivers = [start_driver(place / "model", place / "source", tmp_path / "dest", workers=1) for _ in range(2)]
    said = [driver.communicate(timeout=120)[0].split() for driver in drivers]
    assert [(done, failed) for done, failed, _ in said] == [(str(len(SIZES)), "2")] * 2
    assert sum(int(rows) for *_, rows in said) == sum(SIZES)  # in both runs together
    check(place, tmp_path / "dest")


def test_status_while_another_process_works(place, tmp_path):
    driver = start_driver(place / "model", place / "source", tmp_path / "dest", workers=1)
    wait_for(lambda: list((tmp_path / "dest" / "done").rglob("*.json")))
    during = lake.status(tmp_path / "dest")
    driver.communicate(timeout=120)
    after = lake.status(tmp_path / "dest")
    assert (during.state, during.pid) == ("working", driver.pid)
    assert during.units in (None, len(SIZES) + 2)  # told with the next heartbeat
    assert 1 <= during.done < after.done == len(SIZES)
    assert (after.state, after.failed, after.rows, after.left) == ("finished", 2, sum(SIZES), None)
    assert len(after.failures) == 2


def test_a_unit_that_kills_three_workers_is_set_aside(model, tmp_path, monkeypatch):
    source = make_lake(tmp_path / "source", (5, 6, 7, 8, 9))
    command = (sys.executable, "-c", POISONED)
    monkeypatch.setattr("asymcert.lake.driver.Pool", lambda *given: Pool(*given, command))
    found = lake.certify(model, source, tmp_path / "dest", THREATS, workers=1)
    assert (found.done, found.failed) == (4, 1)
    (failure,) = found.failures
    assert (failure.path, failure.tries) == ("day=1/003.parquet", 3)
    assert "worker process ended 3 times" in failure.error
    monkeypatch.undo()
    assert lake.certify(model, source, tmp_path / "dest", THREATS, workers=0, retry_failed=True).failures == []


def test_workers_that_cannot_start_stop_the_run(model, tmp_path):
    source, dest = make_lake(tmp_path / "source", (5,)), place_at(tmp_path / "dest")
    pool = Pool(dest, source_at(source).place, 2, (sys.executable, "-c", ""))
    with pool, pytest.raises(RunError, match="No worker process could start"):
        wait_for(lambda: pool.outcomes(1.0))


def test_interrupted_workers_stay_until_the_driver_ends_them(model, tmp_path):
    source = make_lake(tmp_path / "source", (5,))
    lake.certify(model, source, tmp_path / "dest", THREATS, workers=0)
    dest = place_at(tmp_path / "dest")
    (unit,), job = units_of(source_at(source)), Job.read(dest)
    with Pool(dest, source_at(source).place, 1) as pool:
        while not pool.free:
            pool.outcomes(1.0)
        pool.submit(unit, 1)
        process = pool.processes[0].popen
        ((_, record),) = wait_for(lambda: pool.outcomes(1.0))
        assert record.key == unit.key(job)
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL
