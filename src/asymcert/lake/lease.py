"""One driver at a time: numbered records of runs, of which the last one's driver works while it is heard of."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable
from typing import Any

from asymcert.errors import DataError, RunError
from asymcert.lake.places import Place
from asymcert.lake.sealed import REMEDY, sealed, unsealed

FOLDER = "runs"
BEAT = 2.0  # seconds between signs of life
SILENCE = 20.0  # seconds without one after which a driver counts as gone
LOOK = 0.5  # seconds between two looks at another driver's record
TOLD = {"source": str, "host": str, "pid": int, "state": str, "beat": int, "heard": float}  # by every run's record
WORKING, FINISHED, STOPPED = "working", "finished", "stopped"


class Lease:
    """The right to give out a destination's units, held by the last of the records ``runs/00001.json`` and so on.

    The holder's record changes every two seconds. A driver that finds it unchanged for longer, by its own clock, or
    sees that the holder's process on this machine is gone, makes the next record, which only one can.

    Parameters
    ----------
    dest
        The destination.
    number
        Of the record, which must be this driver's.
    facts
        What the record says of the run.
    """

    def __init__(self, dest: Place, number: int, facts: dict[str, Any]):
        self.dest, self.number, self.facts = dest, number, facts
        self._lost: str | None = None
        self._heard = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beats, daemon=True)
        self._thread.start()

    @classmethod
    def take(cls, dest: Place, facts: dict[str, Any], waiting: Callable[[dict[str, Any]], None] | None = None) -> Lease:
        """Wait until no other driver works on the destination, and be the one that does.

        Parameters
        ----------
        dest
            The destination.
        facts
            Of the run, JSON-able.
        waiting
            Called once with the other driver's record, if there is one.
        """
        facts = {
            **facts,
            "host": platform.node(),
            "pid": os.getpid(),
            "state": WORKING,
            "beat": 0,
            "heard": time.time(),
        }
        seen, since, told = None, time.monotonic(), False
        while True:
            number, last = last_run(dest)
            if last != seen:
                seen, since = last, time.monotonic()
            if last is None or _is_over(last) or time.monotonic() - since > SILENCE:
                if dest.create(_name(number + 1), sealed(facts)):
                    return cls(dest, number + 1, facts)
                continue
            if waiting is not None and not told:
                waiting(last)
            told = True
            time.sleep(LOOK)

    def check(self) -> None:
        """Refuse to go on once another driver has taken over or the record cannot be written (`RunError`)."""
        if self._lost is not None:
            raise RunError(self._lost)

    def tell(self, **facts: Any) -> None:
        """What the next sign of life says."""
        self.facts = {**self.facts, **facts}

    def end(self, state: str) -> None:
        """Let the next driver work."""
        self._end.set()
        self._thread.join()
        if self._lost is None:
            self.tell(state=state)
            self._beat()

    def _beats(self) -> None:
        while self._lost is None and not self._end.wait(BEAT):
            self._beat()

    def _beat(self) -> None:
        try:
            number, other = last_run(self.dest)
            if number > self.number and other is not None:
                self._lost = f"{self.dest.address}: a driver on {other['host']} took over from this one. Let it work."
                return
            self.tell(beat=self.facts["beat"] + 1, heard=time.time())
            self.dest.replace(_name(self.number), sealed(self.facts))
            self._heard = time.monotonic()
        except (OSError, DataError) as error:
            if time.monotonic() - self._heard < SILENCE / 2:  # a store may be out of reach for a moment
                return
            remedy = "Free space or change permissions, and run the same command again: what is done stays done."
            self._lost = f"The destination cannot be written: {error}. {remedy}"


def last_run(dest: Place) -> tuple[int, dict[str, Any] | None]:
    """Number and record of the last run; 0 and None if there is none. A `DataError` for a record that is none."""
    names = [entry.path for entry in dest.entries(FOLDER)]
    numbers = [int(name[len(FOLDER) + 1 : -5]) for name in names if is_run(name)]
    if not numbers:
        return 0, None
    name = _name(max(numbers))
    run = unsealed(dest.read(name), f"{dest.address}/{name}")
    if any(type(run.get(key)) is not kind for key, kind in TOLD.items()):
        raise DataError(f"{dest.address}/{name}: no record of a run, which tells {', '.join(TOLD)}. {REMEDY}")
    return max(numbers), run


def is_run(path: str) -> bool:
    """Whether a path is that of a run's record."""
    digits = path.removeprefix(f"{FOLDER}/").removesuffix(".json")
    return digits.isdecimal() and path == _name(int(digits))


def _name(number: int) -> str:
    return f"{FOLDER}/{number:05d}.json"


def _is_over(run: dict[str, Any]) -> bool:
    """Whether a run says so, or its process on this machine is gone."""
    if run["state"] != WORKING or run["host"] != platform.node() or os.name != "posix":
        return run["state"] != WORKING
    try:
        os.kill(run["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
