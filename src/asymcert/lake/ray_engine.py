"""Units as tasks of a Ray cluster."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import Any

from asymcert.errors import DependencyError, RunError
from asymcert.lake.addresses import place_at
from asymcert.lake.engines import THREADS, Engine, Outcome, check_workers, line_of, read_answer
from asymcert.lake.places import Place
from asymcert.lake.units import Unit
from asymcert.lake.worker import Worker, answer

AHEAD = 2  # units given for each that can run: the next is there when one ends


class RayTasks(Engine):
    """A task for each unit; every process of the cluster reads source and destination itself.

    Parameters
    ----------
    dest, source
        The places.
    workers
        Units at a time, by default as many as the cluster has processors.
    address
        Of the cluster; by default one is started here, and ended with the run.

    Raises
    ------
    DependencyError
        Ray is not installed.
    RunError
        The cluster cannot be reached.
    """

    def __init__(self, dest: Place, source: Place, workers: int | None, address: str | None):
        try:
            import ray
        except ImportError:
            raise DependencyError(
                "`engine` ray needs the package ray. Install it: pip install 'asymcert[ray]'."
            ) from None
        check_workers(1, dest, source)
        self.ray, self.dest, self.source = ray, dest.address, source.address
        self.own = not ray.is_initialized()
        if self.own:
            _join(ray, workers, address)
        self.workers = workers or int(ray.cluster_resources().get("CPU", 1))
        self.task = ray.remote(num_cpus=1, max_retries=0)(do)
        self.given: dict[Any, Unit] = {}

    @property
    def free(self) -> int:
        """See `Engine.free`."""
        return max(0, AHEAD * self.workers - len(self.given))

    @property
    def busy(self) -> int:
        """See `Engine.busy`."""
        return len(self.given)

    def submit(self, unit: Unit, tries: int) -> None:
        """See `Engine.submit`."""
        self.given[self.task.remote(self.dest, self.source, line_of(unit, tries))] = unit

    def outcomes(self, seconds: float) -> list[Outcome]:
        """See `Engine.outcomes`."""
        done, _ = self.ray.wait(list(self.given), num_returns=1, timeout=seconds)
        return [self._outcome(task, self.given.pop(task)) for task in done]

    def close(self) -> None:
        """See `Engine.close`."""
        for task in self.given:
            self.ray.cancel(task, force=True)
        if self.own:
            self.ray.shutdown()

    def _outcome(self, task: Any, unit: Unit) -> Outcome:
        try:
            return unit, read_answer(self.ray.get(task))
        except self.ray.exceptions.RayTaskError as error:
            raise RunError(f"A Ray worker could not begin: {error.cause}. Check that it reaches both places.") from None
        except self.ray.exceptions.RayError:  # its process or its machine is gone
            return unit, None


def do(dest: str, source: str, line: str) -> dict[str, Any]:
    """What a task runs: a worker's answer to a line."""
    return answer(_worker(dest, source), line)


@lru_cache(maxsize=1)
def _worker(dest: str, source: str) -> Worker:
    """Kept by a process from task to task."""
    import torch

    torch.set_num_threads(1)
    return Worker(place_at(dest), place_at(source))


def _join(ray: Any, workers: int | None, address: str | None) -> None:
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} if address is None else {}
    own = {"num_cpus": workers or os.cpu_count(), "include_dashboard": False} if address is None else {}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {**THREADS, **paths}},
            **own,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"No Ray cluster at {address or 'this machine'}: {reason}. Check --address.") from error
