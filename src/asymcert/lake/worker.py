"""What one process does: a unit's rows become an output and a record."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import time
from collections.abc import Container, Iterator
from dataclasses import asdict
from typing import Any, TextIO, cast

import polars as pl
import torch

from asymcert.datasets.scaling import TableScaling
from asymcert.errors import DataError, InputError
from asymcert.evaluate.scoring import score_table
from asymcert.lake.addresses import place_at
from asymcert.lake.job import Job
from asymcert.lake.manifest import Manifest, Record
from asymcert.lake.places import Entry, Place
from asymcert.lake.tables import batches
from asymcert.lake.units import Unit

LONGEST = 500  # characters of an error that a record keeps
ROW_GROUP = 2**17  # rows


class Worker:
    """Does units of one job; reads the job and its model from the destination.

    Parameters
    ----------
    dest, source
        The places; the source's without a pattern.

    Raises
    ------
    DataError, ModelFileError, RunError
        The destination's job or model is damaged.
    """

    def __init__(self, dest: Place, source: Place):
        self.job, self.source, self.manifest = Job.read(dest), source, Manifest(dest)
        self.model = self.job.load_model(dest)
        self.threats, self.certifier = self.job.adversaries, self.job.certifier

    def do(self, unit: Unit, tries: int = 1) -> Record:
        """Certify a unit's rows and commit them, or record why that is not possible.

        Raises
        ------
        OSError
            The destination cannot be written; nothing is recorded then.
        """
        start = time.monotonic()
        frame, facts = None, {}
        try:
            frame = self.output(unit)
        except (Exception, pl.exceptions.PanicException) as error:  # whatever a stranger's file does
            facts = {"error": _told(error)}
        else:
            facts = {"rows": frame.height, "problems": frame.height - frame["problem"].null_count()}
        content = None if frame is None or frame.is_empty() else parquet_of(frame)
        if content is not None:
            facts |= {"output": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        seconds, host = round(time.monotonic() - start, 3), platform.node()
        record = Record.of(unit.key(self.job), unit, tries=tries, seconds=seconds, host=host, **facts)
        if record.error:
            self.manifest.fail(record)
        else:
            self.manifest.commit(record, content)
        return record

    def output(self, unit: Unit) -> pl.DataFrame:
        """The rows of a unit's output; none for an empty file.

        Raises
        ------
        DataError
            The file cannot be read, lacks a column, or is another one than when it was listed.
        """
        frames = [frame for _, frame in self.scored(unit)]
        self._check_same(unit)
        return pl.concat(frames) if frames else pl.DataFrame({"problem": []})

    def scored(self, unit: Unit, chosen: Container[int] | None = None) -> Iterator[tuple[int, pl.DataFrame]]:
        """The same in batches with their numbers, all or those chosen; see `output` for what is refused."""
        scaling = cast(TableScaling, self.model.scaling)
        self._check_same(unit)
        with self.source.local(unit.path) as path:
            try:
                for number, (first, frame) in enumerate(batches(path, unit, scaling, self.job.keep, self.job.batch)):
                    if chosen is None or number in chosen:
                        yield number, self.score(unit, first, frame)
            except (DataError, OSError) as error:
                raise DataError(str(error).replace(str(path), unit.path)) from error

    def score(self, unit: Unit, first: int, frame: pl.DataFrame) -> pl.DataFrame:
        """Verdicts and radii of some rows of a unit's file: columns ``file``, ``row``, those kept, and the scores."""
        absent = [name for name in self.job.keep if name not in frame.columns]
        if absent:
            raise DataError(f"{unit.path}: lacks the columns {absent}, which are to be kept. Name others.")
        scores = score_table(self.model, frame, self.threats, self.certifier)
        columns = [pl.lit(unit.path).alias("file"), pl.col("row") + first]
        kept = [frame[name] for name in self.job.keep]
        return scores.select(*columns, *kept, pl.exclude("row"))

    def _check_same(self, unit: Unit) -> None:
        if self.source.entry(unit.path) != Entry(unit.path, unit.size, unit.version):
            raise DataError(f"{unit.path}: was changed during the run. Run it again.")


def parquet_of(frame: pl.DataFrame) -> bytes:
    """The file of an output: the same bytes for the same rows."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=3, row_group_size=ROW_GROUP)
    return buffer.getvalue()


def _told(error: BaseException) -> str:
    """An error in one line; those that are not ours say what they are."""
    text = str(error) if isinstance(error, DataError | InputError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:LONGEST]


def answer(worker: Worker, line: str) -> dict[str, Any]:
    """What to say to a line ``{"unit": ..., "tries": ...}``: a record, or why the destination cannot be written."""
    given = json.loads(line)
    try:
        return {"record": asdict(worker.do(Unit(**given["unit"]), given["tries"]))}
    except OSError as error:
        return {"stop": f"{error.filename}: {error.strerror}" if error.filename else str(error)}


def main(dest: str, source: str, lines: TextIO, output: TextIO) -> None:
    """Answer lines until they end, as they do when the driver is gone."""
    torch.set_num_threads(1)
    worker = Worker(place_at(dest), place_at(source))
    output.write('{"ready": true}\n')
    output.flush()
    for line in lines:
        output.write(json.dumps(answer(worker, line)) + "\n")
        output.flush()
