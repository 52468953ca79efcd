"""Kernels for the CPU, compiled on first use by the C++ compiler of the machine; absent where there is none.

Compiled for the processor at hand and kept in the user's cache folder, under a name that changes with the source, the
compiler and the processor.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("native.cpp")
COMPILERS = ("c++", "g++", "clang++")
# Not -ffast-math: linked into a library, it would flush subnormal numbers to zero in the whole process.
FLAGS = ("-O3", "-march=native", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
COMPILE_SECONDS = 120
BLOCK_VALUES = 2**17  # weights per call: 512 kB in float32, so that they stay in the second-level cache
PARALLEL_WORK = 2**21  # differences below which threads cost more than they bring
TYPES = {torch.float32: "float", torch.float64: "double"}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where no compiler is found or it fails."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None or not SOURCE.exists():
        return None
    try:
        return ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, subprocess.SubprocessError):
        return None


def supports(x: Tensor, p: float) -> bool:
    """Whether `x` can be worked on here: powers only in float32, the largest difference in float64 too."""
    known = x.device.type == "cpu" and (x.dtype == torch.float32 or (x.dtype == torch.float64 and p == float("inf")))
    return known and library() is not None


def max_forward(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """l_inf distances (n, m) of rows (n, d) and (m, d), and int32 (n, m), where each is attained first."""
    distance, index = x.new_empty(len(x), len(w)), x.new_empty(len(x), len(w), dtype=torch.int32)
    kernel = _kernel(f"max_forward_{TYPES[x.dtype]}")
    _each_range(lambda _, *span: kernel(*_pointers(x, w, distance, index), *_sizes(x, w), *span), x, w)
    return distance, index


def bounds(low: Tensor, high: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest l_inf distance (n, m) between boxes ``[low, high]`` (n, d) and rows (m, d)."""
    least, most = low.new_empty(len(low), len(w)), low.new_empty(len(low), len(w))
    kernel = _kernel(f"bounds_{TYPES[low.dtype]}")
    _each_range(lambda _, *span: kernel(*_pointers(low, high, w, least, most), *_sizes(low, w), *span), low, w)
    return least, most


def sorted_forward(x: Tensor, w: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` greatest differences of rows (n, d) and (m, d), and int32 where they are: (count, n, m) both."""
    greatest, index = x.new_empty(len(x), len(w), count), x.new_empty(len(x), len(w), count, dtype=torch.int32)
    kernel, arguments = _kernel(f"sorted_forward_{TYPES[x.dtype]}"), _pointers(x, w, greatest, index)
    _each_range(lambda _, *span: kernel(*arguments, ctypes.c_int64(count), *_sizes(x, w), *span), x, w)
    return greatest.movedim(-1, 0), index.movedim(-1, 0)


def sorted_bounds(low: Tensor, high: Tensor, w: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Bounds, (count, n, m), of the `count` greatest differences of points of boxes (n, d) and rows (m, d)."""
    least, most = (low.new_empty(len(low), len(w), count) for _ in range(2))
    kernel, arguments = _kernel(f"sorted_bounds_{TYPES[low.dtype]}"), _pointers(low, high, w, least, most)
    _each_range(lambda _, *span: kernel(*arguments, ctypes.c_int64(count), *_sizes(low, w), *span), low, w)
    return least.movedim(-1, 0), most.movedim(-1, 0)


def power_forward(x: Tensor, w: Tensor, p: float) -> Tensor:
    """l_p distances (n, m) of rows (n, d) and (m, d), float32."""
    distance, kernel = x.new_empty(len(x), len(w)), _kernel("power_forward")
    arguments = _pointers(x, w, distance)
    _each_range(lambda _, *span: kernel(*arguments, ctypes.c_float(p), *_sizes(x, w), *span), x, w)
    return distance


def power_backward(x: Tensor, w: Tensor, distance: Tensor, gradient: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Gradients by `x` (n, d) and `w` (m, d) for the gradient (n, m) of the distances."""
    gradient, kernel, grad_w = gradient.contiguous(), _kernel("power_backward"), torch.zeros_like(w)
    sums = x.new_zeros(_threads(x, w), *x.shape)  # units in different threads share the inputs

    def run(thread: int, *span: ctypes.c_int64) -> None:
        tensors = _pointers(x, w, distance, gradient, sums[thread], grad_w)
        kernel(*tensors, ctypes.c_float(p), *_sizes(x, w), *span)

    _each_range(run, x, w)
    return sums.sum(0) if len(sums) > 1 else sums[0], grad_w


def _compiled(compiler: str) -> Path:
    """The library's file, compiled unless it lies in the cache."""
    macros = subprocess.run(
        [compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, check=True, timeout=60
    )
    identity = hashlib.sha256(SOURCE.read_bytes() + macros.stdout + " ".join((compiler, *FLAGS)).encode()).hexdigest()
    folder = _cache_folder()
    path = folder / f"linf-{identity[:24]}.so"
    if not path.exists():
        handle, partial = tempfile.mkstemp(dir=folder, suffix=".part")
        os.close(handle)
        try:
            command = [compiler, *FLAGS, str(SOURCE), "-o", partial]
            subprocess.run(command, capture_output=True, check=True, timeout=COMPILE_SECONDS)
            os.replace(partial, path)
        finally:
            Path(partial).unlink(missing_ok=True)
    return path


def _cache_folder() -> Path:
    """The user's own folder for compiled kernels."""
    import pooch

    folder = Path(pooch.os_cache("asymcert")) / "kernels"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _kernel(name: str) -> Callable[..., None]:
    loaded = library()
    assert loaded is not None, "asked for a kernel where `supports` is False"
    return getattr(loaded, name)


def _pointers(*tensors: Tensor) -> list[ctypes.c_void_p]:
    assert all(tensor.is_contiguous() for tensor in tensors)
    return [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]


def _sizes(x: Tensor, w: Tensor) -> list[ctypes.c_int64]:
    return [ctypes.c_int64(size) for size in (len(x), len(w), w.shape[1])]


def _threads(x: Tensor, w: Tensor) -> int:
    """Threads that the units are divided among."""
    work = len(x) * w.numel()
    return max(1, min(torch.get_num_threads(), len(w), work // PARALLEL_WORK))


def _each_range(run: Callable[..., None], x: Tensor, w: Tensor) -> None:
    """Call ``run(thread, first unit, last unit)`` for all units, in blocks whose weights stay in the cache."""
    threads, block = _threads(x, w), max(1, BLOCK_VALUES // max(1, w.shape[1]))

    def work(thread: int) -> None:
        last = (thread + 1) * len(w) // threads
        for first in range(thread * len(w) // threads, last, block):
            run(thread, ctypes.c_int64(first), ctypes.c_int64(min(first + block, last)))

    if threads == 1:
        work(0)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))  # the interpreter's lock is released inside the kernels
