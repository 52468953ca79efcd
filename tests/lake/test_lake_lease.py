"""One driver at a time: who waits, who takes over, and who notices that it lost the right."""

import importlib
import os
import platform
import time

import pytest

from asymcert import lake
from asymcert.errors import RunError
from asymcert.lake import lease
from asymcert.lake.lease import Lease, last_run
from asymcert.lake.places import Folder
from asymcert.lake.sealed import sealed
from contracts.lake_runs import wait_for
from contracts.lakes import THREATS


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr(lease, "LOOK", 0.02)
    monkeypatch.setattr(lease, "SILENCE", 1.0)
    monkeypatch.setattr(importlib.import_module("asymcert.lake.status"), "SILENCE", 1.0)


@pytest.fixture
def dest(tmp_path):
    return Folder(tmp_path)


def another(dest, number=1, **facts):
    """A record that some other driver left."""
    facts = {"state": "working", "host": "elsewhere", "pid": 1, "beat": 7, "source": "x", "heard": 0.5, **facts}
    dest.replace(f"runs/{number:05d}.json", sealed(facts))


def test_a_lease_is_heard_of_and_ends(dest):
    held = Lease.take(dest, {"source": "x"})
    wait_for(lambda: last_run(dest)[1]["beat"] > 2)
    held.tell(rows=5)
    held.end("finished")
    number, run = last_run(dest)
    assert (number, run["state"], run["rows"], run["pid"]) == (1, "finished", 5, os.getpid())


def test_a_silent_driver_elsewhere_is_waited_for_and_replaced(dest):
    another(dest)
    told = []
    Lease.take(dest, {"source": "x"}, told.append).end("finished")
    assert [run["host"] for run in told] == ["elsewhere"]
    assert last_run(dest)[0] == 2


def test_a_driver_that_is_heard_of_is_waited_for(dest):
    first = Lease.take(dest, {"source": "x"})

    def release(run):
        assert run["pid"] == os.getpid()
        first.end("stopped")

    Lease.take(dest, {"source": "x"}, release).end("finished")
    assert last_run(dest)[0] == 2


def test_a_dead_process_here_is_not_waited_for(dest, monkeypatch):
    monkeypatch.setattr(lease, "SILENCE", 1e9)
    another(dest, host=platform.node(), pid=2**22 + 1)  # beyond the greatest number of a process
    Lease.take(dest, {"source": "x"}).end("finished")
    assert last_run(dest)[0] == 2


def test_a_lost_lease_is_noticed(dest):
    held = Lease.take(dest, {"source": "x"})
    held.check()
    another(dest, 2)
    wait_for(lambda: held._lost)
    with pytest.raises(RunError, match="a driver on elsewhere took over"):
        held.check()
    held.end("stopped")
    assert last_run(dest)[1]["host"] == "elsewhere"


def test_a_destination_that_cannot_be_written_is_noticed(dest, monkeypatch):
    held = Lease.take(dest, {"source": "x"})

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dest, "replace", full)
    held.check()
    wait_for(lambda: held._lost)
    with pytest.raises(RunError, match=r"cannot be written: .*No space left"):
        held.check()
    held.end("stopped")


def test_status_tells_that_a_driver_is_silent(tmp_path, model, source):
    lake.certify(model, source, tmp_path / "dest", THREATS, workers=0)
    another(Folder(tmp_path / "dest"), 2, heard=time.time() - 2)
    assert lake.status(tmp_path / "dest").state == "silent"
    another(Folder(tmp_path / "dest"), 2, heard=time.time())
    assert lake.status(tmp_path / "dest").state == "working"
