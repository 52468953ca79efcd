"""Who does the units: this process, several on this machine, or (in `ray_engine`) those of a cluster."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Self, cast

from asymcert.errors import InputError, RunError
from asymcert.lake.manifest import Record
from asymcert.lake.places import Place
from asymcert.lake.units import Unit
from asymcert.lake.worker import Worker, answer

COMMAND = (sys.executable, "-m", "asymcert.lake")
STARTS = 3  # how often a process may fail to start before the first one does
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
Outcome = tuple[Unit, Record | None]  # None: the process ended while it did the unit


class Engine(ABC):
    """Does units one by one in some order; as a context it ends its processes with the block."""

    @property
    @abstractmethod
    def free(self) -> int:
        """How many units can be given now."""

    @property
    @abstractmethod
    def busy(self) -> int:
        """How many were given and have no outcome yet."""

    @abstractmethod
    def submit(self, unit: Unit, tries: int) -> None:
        """Give a unit; only where one is `free`."""

    @abstractmethod
    def outcomes(self, seconds: float) -> list[Outcome]:
        """What has been done; waits so long for the first.

        Raises
        ------
        RunError
            The destination cannot be written, or no process can start.
        """

    def close(self) -> None:  # noqa: B027 not all have processes
        """End what runs; a commit is whole or not there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Inline(Engine):
    """The process that asks."""

    def __init__(self, dest: Place, source: Place):
        self.worker, self.done = Worker(dest, source), []

    @property
    def free(self) -> int:
        """See `Engine.free`."""
        return 0 if self.done else 1

    @property
    def busy(self) -> int:
        """See `Engine.busy`."""
        return len(self.done)

    def submit(self, unit: Unit, tries: int) -> None:
        """See `Engine.submit`; returns when it is done."""
        self.done.append((unit, read_answer(answer(self.worker, line_of(unit, tries)))))

    def outcomes(self, seconds: float) -> list[Outcome]:
        """See `Engine.outcomes`."""
        done, self.done = self.done, []
        return done


@dataclass(eq=False)
class Process:
    """A worker process, what it has said of its next answer, and the unit that it does."""

    popen: subprocess.Popen[bytes]
    said: bytes = b""
    ready: bool = False
    unit: Unit | None = None


@dataclass
class Pool(Engine):
    """Processes of this machine, one torch thread each; one that is killed is replaced.

    Parameters
    ----------
    dest, source
        The places.
    workers
        How many processes.
    command
        What starts one.
    """

    dest: Place
    source: Place
    workers: int
    command: Sequence[str] = COMMAND
    processes: list[Process] = field(default_factory=list)
    failed_starts: int = 0

    def __post_init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        for _ in range(self.workers):
            self._start()

    @property
    def free(self) -> int:
        """See `Engine.free`."""
        return len(self._idle())

    @property
    def busy(self) -> int:
        """See `Engine.busy`."""
        return sum(process.unit is not None for process in self.processes)

    def submit(self, unit: Unit, tries: int) -> None:
        """See `Engine.submit`."""
        process = self._idle()[0]
        process.unit = unit
        assert process.popen.stdin is not None
        with suppress(BrokenPipeError):  # it has just ended, as its output will say
            process.popen.stdin.write(line_of(unit, tries).encode() + b"\n")
            process.popen.stdin.flush()

    def outcomes(self, seconds: float) -> list[Outcome]:
        """See `Engine.outcomes`."""
        found: list[Outcome] = []
        for key, _ in self.selector.select(seconds):
            process = cast(Process, key.data)
            chunk = os.read(key.fd, 2**16)
            if not chunk:
                found += self._ended(process)
                continue
            *lines, process.said = (process.said + chunk).split(b"\n")
            found += [outcome for line in lines for outcome in self._heard(process, json.loads(line))]
        return found

    def close(self) -> None:
        """See `Engine.close`."""
        for process in self.processes:
            process.popen.kill()
            _shut(process)
        self.processes.clear()
        self.selector.close()

    def _idle(self) -> list[Process]:
        return [process for process in self.processes if process.ready and process.unit is None]

    def _start(self) -> None:
        paths = os.pathsep.join(filter(None, sys.path))
        popen = subprocess.Popen(
            [*self.command, self.dest.address, self.source.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **THREADS, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for the driver
        )
        process = Process(popen)
        assert popen.stdout is not None
        self.selector.register(popen.stdout, selectors.EVENT_READ, process)
        self.processes.append(process)

    def _heard(self, process: Process, said: dict[str, Any]) -> list[Outcome]:
        if "ready" in said:
            process.ready = True
            return []
        unit, process.unit = process.unit, None
        assert unit is not None
        return [(unit, read_answer(said))]

    def _ended(self, process: Process) -> list[Outcome]:
        self.selector.unregister(cast(Any, process.popen.stdout))
        self.processes.remove(process)
        _shut(process)
        self.failed_starts += not process.ready
        if self.failed_starts >= STARTS * self.workers and not any(other.ready for other in self.processes):
            raise RunError("No worker process could start. What they printed says why; try --workers 0.")
        self._start()
        return [] if process.unit is None else [(process.unit, None)]


def _shut(process: Process) -> None:
    for pipe in (process.popen.stdin, process.popen.stdout):
        with suppress(BrokenPipeError):  # of what was written and not read
            cast(Any, pipe).close()
    process.popen.wait()


def line_of(unit: Unit, tries: int) -> str:
    """What a worker is told."""
    return json.dumps({"unit": asdict(unit), "tries": tries})


def read_answer(said: dict[str, Any]) -> Record:
    """The record that a worker answered; a `RunError` where it cannot write."""
    if "stop" in said:
        remedy = "Free space or change permissions, and run the same command again: what is done stays done."
        raise RunError(f"The destination cannot be written: {said['stop']}. {remedy}")
    return Record(**said["record"])


def check_workers(workers: int, *places: Place) -> None:
    """Refuse further processes where a place is in this one's memory."""
    if workers and not all(place.shared for place in places):
        raise InputError("`workers` must be 0 for memory://, which other processes do not see.")
