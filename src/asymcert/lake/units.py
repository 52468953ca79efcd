"""Units of work: a file of the source, or one of the equal parts of a large one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from asymcert.datasets.table_files import EXTENSIONS
from asymcert.lake.addresses import Source
from asymcert.lake.job import Job
from asymcert.lake.sealed import digest_of

PART_BYTES = 2**26  # of a Parquet file that one unit takes, at most
READ = tuple(extension for extension in EXTENSIONS if extension not in (".txt", ".txt.gz", ".txt.zst"))


@dataclass(frozen=True)
class Unit:
    """What one process does at a time, and one output holds.

    Parameters
    ----------
    path, size, version
        Of the file, as the source has it.
    part, parts
        Rows ``n * part // parts`` to ``n * (part + 1) // parts`` of the file's n.
    """

    path: str
    size: int
    version: str
    part: int = 0
    parts: int = 1

    def key(self, job: Job) -> str:
        """Name of output and record: SHA-256 of everything that the output depends on."""
        return digest_of([job.digest, asdict(self)])

    def span(self, rows: int) -> tuple[int, int]:
        """First row, and that after the last, of a file of so many.

        Examples
        --------
        >>> [Unit("a", 0, "", part, 3).span(10) for part in range(3)]
        [(0, 3), (3, 6), (6, 10)]
        """
        return rows * self.part // self.parts, rows * (self.part + 1) // self.parts


def units_of(source: Source) -> list[Unit]:
    """Units of all tables of a source, by path; only sizes are looked at."""
    return sorted(_units(source), key=lambda unit: (unit.path, unit.part))


def _units(source: Source) -> Iterator[Unit]:
    for entry in source.place.entries():
        name = entry.path.lower()
        if source.fits(entry.path) and (source.pattern or name.endswith(READ)):
            parts = -(-entry.size // PART_BYTES) if name.endswith(".parquet") else 1
            for part in range(max(1, parts)):
                yield Unit(entry.path, entry.size, entry.version, part, max(1, parts))
