"""All of `certify --table` against the passes and the reading and writing that it cannot do without; memory; startup.

    python benchmarks/tables_speed.py [--rows 1000000] [--stream 10000000]

One thread, CPU seconds of one process, models trained on 2,000 rows:

1. `certify` of a Parquet file of 100 columns of numbers, from its first byte to the last line of the CSV file, over one
   forward and one backward pass in float64 on the same rows plus reading and writing by polars; for the default of
   tables (ramps, four scores) and for a plain perceptron behind centre-absolute. Then the same on 1,258 inputs, most of
   them of categories. Greatest resident size after the first tenth of the rows and after all.
2. Methods on the default, as ratios to its own passes.
3. Rows from 10^4 to 10^7, streamed, and columns from 25 to 400: seconds for a million values.
4. CPU seconds of `asymcert --version` and `--help`, and of `import asymcert`.

Last results, one thread of two shared cores (load 1), torch 2.13, polars 2.1:

    all of certify --table        rows       seconds  times its floor  goal  greatest size after a tenth and after all
    default, 100 numbers          1,000,000  63.7     2.22             3     444, 512 MiB (goal 500)
    plain, 100 numbers            1,000,000  18.1     3.14             3     426, 513 MiB
    plain, 1,258 inputs           100,000    12.7     1.83             2     421, 528 MiB

    times its own passes, default: closed form 1.6, tangent in l2 21.7 (goal 4; 50 before), in columns 5.4 (16 before)
    seconds a million values: 0.15, 0.09, 0.09 for 25, 100, 400 columns; 0.12, 0.11, 0.10, 0.09 for 10^4 to 10^7 rows
    CPU seconds: --version 0.14, --help 0.21 (goal 0.5), import asymcert 0.04
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is imported

import numpy as np
import polars as pl
import torch

from asymcert import ThreatModel, datasets, train
from asymcert.certify import certifier_for
from asymcert.certify.closed_form import tangent_plane
from asymcert.cli.steps import score_file, threats_for
from asymcert.datasets.table_batches import read_batches
from asymcert.evaluate.scoring import score_batches
from asymcert.models import FeatureConvexClassifier
from asymcert.threats.table import TableThreat

COLUMNS, PIECE, PASSES = 100, 2048, 20_000
PLAIN: dict[str, Any] = {"feature_map": "centre-absolute", "members": 1, "hidden": (64, 32)}
KINDS = {"default": {}, "plain": PLAIN}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--stream", type=int, default=10_000_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        whole_command(Path(folder), arguments.rows)
        methods(Path(folder))
        growth(Path(folder), arguments.stream)
    startup()


def numbers(rows: int, columns: int = COLUMNS, seed: int = 0) -> pl.DataFrame:
    """Normal numbers, of which the first five say the class."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, columns))
    bad = values[:, :5].sum(1) + generator.normal(size=rows) > 1
    frame = pl.DataFrame({f"c{place}": values[:, place] for place in range(columns)})
    return frame.with_columns(label=pl.Series(np.where(bad, "bad", "good")))


def categories(rows: int, seed: int = 0) -> pl.DataFrame:
    """Eight numbers, and fifty columns of words of which 24 become inputs of their own: 8 + 50 * 25 = 1,258 inputs."""
    generator = np.random.default_rng(seed)
    words = np.array([f"w{place}" for place in range(24)])
    texts = {f"t{place}": words[generator.integers(24, size=rows)] for place in range(50)}
    return numbers(rows, 8, seed).with_columns(**{name: pl.Series(values) for name, values in texts.items()})


def trained(folder: Path, frame: pl.DataFrame, **fields: Any) -> FeatureConvexClassifier:
    """A classifier of a table like this one."""
    frame.write_parquet(folder / "train.parquet")
    data = datasets.load_table(folder / "train.parquet", label="label", sensitive="bad", categories=24)
    return train(data, "feature-convex", "table", seed=0, **fields)


def whole_command(folder: Path, rows: int) -> None:
    for name, fields in KINDS.items():
        ratio_of_all(folder, f"{name}, {COLUMNS} numbers", trained(folder, numbers(2000), **fields), numbers, rows)
    model = trained(folder, categories(2000), **PLAIN)
    ratio_of_all(folder, f"plain, {model.input_shape[0]} inputs", model, categories, rows // 10)


def ratio_of_all(
    folder: Path, name: str, model: FeatureConvexClassifier, make: Callable[..., pl.DataFrame], rows: int
) -> None:
    """Print the ratio of all of `certify --table` to what it cannot do without, and the memory."""
    table, out = folder / "rows.parquet", folder / "rows.csv"
    peaks = []
    for count in (rows // 10, rows):
        make(count, seed=1).write_parquet(table) if count == rows // 10 else enlarge(table, 10)
        model.save(folder / "model.safetensors")
        command = f"from tables_speed import certified; certified({str(folder)!r})"
        seconds, most = map(float, said(command).split())
        peaks.append(most)
    floor = cpu(lambda: pl.read_parquet(table)) + cpu(lambda: pl.read_csv(out).write_csv(folder / "copy.csv"))
    floor += passes(model, pl.read_parquet(table, n_rows=PASSES)) * rows / PASSES
    print(f"{name}: {rows} rows {seconds:.1f} s, {seconds / floor:.2f} times its floor of {floor:.1f} s; ", end="")
    print(f"greatest size {peaks[0]:.0f} MiB after a tenth, {peaks[1]:.0f} MiB after all")


def enlarge(table: Path, times: int) -> None:
    """Repeat a file's rows, in row groups of the size that polars writes."""
    larger = table.with_name("larger.parquet")
    pl.concat([pl.scan_parquet(table)] * times).sink_parquet(larger)
    larger.replace(table)


def certified(folder: str) -> None:
    """Certify a table in a process of its own; print CPU seconds and greatest resident size in MiB."""
    torch.set_num_threads(1)
    model = FeatureConvexClassifier.load(Path(folder) / "model.safetensors")
    start = time.process_time()
    assert model.scaling is not None
    table = read_batches(Path(folder) / "rows.parquet", model.scaling.plan)
    score_file(model, table, Path(folder) / "rows.csv", threats_for(model), certifier_for("closed-form"), quiet=True)
    print(time.process_time() - start, peak())


def peak() -> float:
    """Greatest resident size of this process since it began its program, MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**10


def said(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return done.stdout


def passes(model: FeatureConvexClassifier, frame: pl.DataFrame) -> float:
    """CPU seconds of one forward and one backward pass in float64 on the rows of a frame."""
    assert model.scaling is not None
    x = model.scaling.transform(frame).double()
    return cpu(lambda: [tangent_plane(model, piece) for piece in x.split(PIECE)])


def cpu(task: Callable[[], object], repeats: int = 3) -> float:
    """Least CPU seconds of a task."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        task()
        found.append(time.process_time() - start)
    return min(found)


def methods(folder: Path) -> None:
    model, frame = trained(folder, numbers(2000)), numbers(10_000, seed=1)
    assert model.scaling is not None
    x, floor = model.scaling.transform(frame), passes(model, frame)
    box = {"lower": 0.0, "upper": 1.0}
    columns = TableThreat(model.scaling).counting(**box)
    for method, threat in (
        ("closed-form", ThreatModel(2, **box)),
        ("tangent", ThreatModel(2, **box)),
        ("tangent", columns),
    ):
        certifier = certifier_for(method)
        seconds = cpu(lambda certifier=certifier, threat=threat: certifier.certify(model, x, [threat]))
        print(f"{method}, norm {threat.norm:g}, {len(x)} rows: {seconds:.2f} s, {seconds / floor:.1f} times its passes")


def growth(folder: Path, most: int) -> None:
    for columns in (25, 100, 400):
        model, frame = trained(folder, numbers(2000, columns), **PLAIN), numbers(10_000, columns, 1)
        print(f"{columns} columns: {streamed(model, frame, 50_000) / (50_000 * columns) * 1e6:.2f} s a million values")
    model, frame, rows = trained(folder, numbers(2000), **PLAIN), numbers(10_000, seed=1), 10_000
    while rows <= most:
        print(f"{rows} rows: {streamed(model, frame, rows) / (rows * COLUMNS) * 1e6:.2f} s a million values")
        rows *= 10


def streamed(model: FeatureConvexClassifier, frame: pl.DataFrame, rows: int) -> float:
    """CPU seconds for so many rows, a frame at a time."""
    frames: Iterator[pl.DataFrame] = repeat(frame, rows // len(frame))
    start = time.process_time()
    for _ in score_batches(model, frames, threats_for(model), certifier_for("closed-form")):
        pass
    return time.process_time() - start


def startup() -> None:
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], capture_output=True, check=True); "
    script += "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)"
    for command in (["-m", "asymcert", "--version"], ["-m", "asymcert", "--help"], ["-c", "import asymcert"]):
        done = subprocess.run(
            [sys.executable, "-c", script, sys.executable, *command], capture_output=True, text=True, check=True
        )
        print(f"python {' '.join(command)}: {float(done.stdout):.2f} s of CPU")


if __name__ == "__main__":
    main()
