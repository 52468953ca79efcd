"""Drivers of lakes as processes of their own, to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DRIVER = """
import sys
from asymcert import ThreatModel, lake, load

model, source, dest, engine, workers = sys.argv[1:]
threats = [ThreatModel(1, 0.0, 1.0), ThreatModel(2, 0.0, 1.0)]
found = lake.certify(load(model), source, dest, threats, keep=["id"], engine=engine, workers=int(workers))
print(found.done, found.failed, found.rows)
"""


def start_driver(
    model: Path, source: Path, dest: Path, engine: str = "local", workers: int = 2
) -> subprocess.Popen[str]:
    """A process that certifies a lake as the tests do, and prints what is done, has failed, and how many rows."""
    arguments = [model, source, dest, engine, workers]
    command = [sys.executable, "-c", DRIVER, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers_of(dest: Path, driver: int | None = None) -> list[int]:
    """Processes that do units of a destination, whoever started them, and a driver's tasks of Ray."""
    found = []
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        own = b"asymcert.lake" in words and str(dest).encode() in words
        if own or (driver is not None and words[0].startswith(b"ray::do")):
            found.append((int(folder.name), own))
    return [process for process, own in found if own or _descends(process, driver, parents)]


def _descends(process: int, ancestor: int | None, parents: dict[int, int]) -> bool:
    while process not in (ancestor, 0, 1):
        process = parents.get(process, 0)
    return process == ancestor


def kill(process: int) -> bool:
    """SIGKILL; False if it has ended already."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, seconds: float = 60.0):
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value
