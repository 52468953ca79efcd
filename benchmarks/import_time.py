"""Seconds that ``import asymcert``, and all names that it offers, take beyond PyTorch's own import.

    python benchmarks/import_time.py [--repeats 7] [--most 0.5]

Fresh processes take turns: ``import torch`` alone, then ``import torch`` and after it ``import asymcert``, which is
timed by itself. The first run compiles, as an installation does. Medians are compared with --most; the exit code is 1
where they exceed it.

Last result, two shared cores (load 3), torch 2.13, Python 3.11: torch 1.16 s, asymcert 0.22 s more.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

CODE = """
import time
start = time.perf_counter()
import torch
middle = time.perf_counter()
import asymcert
for name in asymcert.__all__:
    getattr(asymcert, name)
print(middle - start, time.perf_counter() - middle)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--most", type=float, default=0.5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as compiled:
        runs = [measured(compiled) for _ in range(arguments.repeats + 1)][1:]
    torch, own = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"torch {torch:.2f} s, asymcert {own:.2f} s more, of at most {arguments.most} s")
    sys.exit(1 if own > arguments.most else 0)


def measured(compiled: str) -> tuple[float, ...]:
    """Seconds of both imports in a fresh process, whose compiled files lie in a folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-X", f"pycache_prefix={compiled}", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return tuple(map(float, done.stdout.split()))


if __name__ == "__main__":
    main()
