"""Samples of the exact method, spread over processes."""

from __future__ import annotations

import functools
import math
import multiprocessing
import multiprocessing.context
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert.certify.cutting_planes import Bounds, CuttingPlanes
from asymcert.certify.planes import Planes
from asymcert.errors import ModelFileError
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel

PIECE = 8  # samples that a process takes at a time, at most


@dataclass(frozen=True)
class Limits:
    """Relative gap, seconds and cuts at which a sample is done."""

    tolerance: float
    time_limit: float | None
    max_cuts: int


class Solver:
    """Finds bounds for one input after another, in this process."""

    def __init__(self, model: FeatureConvexClassifier, sound: bool, limits: Limits):
        self.model, self.sound, self.limits = model, sound, limits
        self.planes = Planes(model, sound)

    def bounds(self, x: Tensor, threat: ThreatModel) -> list[Bounds]:
        """Bounds of sensitive inputs (n, *input_shape)."""
        found = []
        for sample in x.unsqueeze(1):
            deadline = time.monotonic() + (math.inf if self.limits.time_limit is None else self.limits.time_limit)
            loop = CuttingPlanes(self.model, self.planes, sample, threat)
            found.append(loop.run(self.limits.tolerance, deadline, self.limits.max_cuts))
        return found


class PoolSolver(Solver):
    """Shares the inputs out to processes, which read the model from a file.

    Use within `solver`, which ends the processes.
    """

    def __init__(
        self, model: FeatureConvexClassifier, sound: bool, limits: Limits, pool: ProcessPoolExecutor, path: Path
    ):
        super().__init__(model, sound, limits)
        self.pool, self.path = pool, path

    def bounds(self, x: Tensor, threat: ThreatModel) -> list[Bounds]:
        """As in one process: each input is solved on its own.

        Raises
        ------
        InputError
            The processes could not start.
        """
        size = min(PIECE, max(1, len(x) // 8))
        deployed = str(self.model.dtype).removeprefix("torch."), str(self.model.device)
        job = functools.partial(_solve_piece, str(self.path), deployed, self.sound, self.limits, threat.to_dict())
        try:
            pieces = list(self.pool.map(job, [piece.cpu().numpy() for piece in x.split(size)]))
        except BrokenProcessPool:
            remedy = "Put the script's code under `if __name__ == '__main__':`, or use workers=1."
            raise refuse("workers", "1 where no further process can start", "a process that ended", remedy) from None
        return [_from_arrays(arrays, x.device) for piece in pieces for arrays in piece]


@contextmanager
def solver(model: FeatureConvexClassifier, sound: bool, limits: Limits, workers: int) -> Iterator[Solver]:
    """A solver in this process, or in `workers` new ones that end with the block.

    Raises
    ------
    InputError
        Several processes for a model with parts that model files cannot hold.
    """
    if workers == 1:
        yield Solver(model, sound, limits)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        try:
            FeatureConvexClassifier.load(path)
        except ModelFileError as error:
            raise refuse("workers", "1 for a model that files cannot hold", workers, str(error)) from error
        with ProcessPoolExecutor(workers, _context(), torch.set_num_threads, (1,)) as pool:
            try:
                yield PoolSolver(model, sound, limits, pool, path)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _context() -> multiprocessing.context.BaseContext:
    """How processes start: where possible from a server that has imported all it needs and serves later calls too.

    A fork of this process would copy its threads' locks.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


@functools.lru_cache(maxsize=1)
def _solver_for(path: str, deployed: tuple[str, str], sound: bool, limits: Limits) -> Solver:
    """The model as it is deployed; kept by the process from piece to piece."""
    dtype, device = deployed
    model = FeatureConvexClassifier.load(path).to(device=device, dtype=getattr(torch, dtype))
    return Solver(model, sound, limits)


def _solve_piece(
    path: str,
    deployed: tuple[str, str],
    sound: bool,
    limits: Limits,
    threat: dict[str, Any],
    x: np.ndarray[Any, np.dtype[np.float64]],
) -> list[tuple[float, float, Any, Any, Any]]:
    """What a process runs: bounds as numbers and arrays."""
    solver = _solver_for(path, deployed, sound, limits)
    found = solver.bounds(torch.from_numpy(x), ThreatModel.from_dict(threat))
    return [_to_arrays(bounds) for bounds in found]


def _to_arrays(bounds: Bounds) -> tuple[float, float, Any, Any, Any]:
    """Tensors would be sent by way of shared memory and open files, of which there is a limited number."""
    adversarial, anchors, weights = (
        part.cpu().numpy() for part in (bounds.adversarial, bounds.anchors, bounds.weights)
    )
    return bounds.radius, bounds.upper, adversarial, anchors, weights


def _from_arrays(arrays: tuple[float, float, Any, Any, Any], device: torch.device) -> Bounds:
    radius, upper, *tensors = arrays
    adversarial, anchors, weights = (torch.from_numpy(array).to(device) for array in tensors)
    return Bounds(radius, upper, adversarial, anchors, weights)
