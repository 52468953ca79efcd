"""Which units are done: a record for each beside the outputs, both sharded by the first digits of their key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from asymcert._checks import check_types
from asymcert.errors import DataError
from asymcert.lake.places import Entry, Place
from asymcert.lake.sealed import sealed, unsealed
from asymcert.lake.units import Unit

DONE, FAILED, ROWS = "done", "failed", "rows"  # folders; the first two hold records
SHARD = 2  # digits: 256 folders
SUFFIXES = {DONE: ".json", FAILED: ".json", ROWS: ".parquet"}


@dataclass(frozen=True)
class Record:
    """What became of a unit.

    Parameters
    ----------
    key
        Of the unit.
    path, size, version, part, parts
        The unit, see `Unit`.
    rows, problems
        In the output, and how many of those have no verdict.
    output, bytes
        SHA-256 and size of the output; empty and 0 where there is none: no rows, or a failure.
    error
        Why it failed; empty where it did not.
    tries
        Including those that ended with their process.
    seconds, host
        Of the last.
    """

    key: str
    path: str
    size: int
    version: str
    part: int
    parts: int
    rows: int = 0
    problems: int = 0
    output: str = ""
    bytes: int = 0
    error: str = ""
    tries: int = 1
    seconds: float = 0.0
    host: str = ""

    @property
    def unit(self) -> Unit:
        """What the record is about."""
        return Unit(self.path, self.size, self.version, self.part, self.parts)

    @classmethod
    def of(cls, key: str, unit: Unit, **facts: Any) -> Record:
        """A unit's record."""
        return cls(key, **asdict(unit), **facts)

    @classmethod
    def from_dict(cls, content: dict[str, Any], name: str) -> Record:
        """What `asdict` gave; a `DataError` for anything else."""
        try:
            if set(content) != {item.name for item in fields(cls)}:
                raise ValueError("other keys")
            check_types(cls, content)
            return cls(**content)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name}: no record of a unit ({error}). Read it with the version that wrote it.") from None


@dataclass(frozen=True)
class Manifest:
    """Records of a destination."""

    dest: Place

    def keys(self, folder: str) -> set[str]:
        """Keys with a record in the folder `DONE` or `FAILED`, or with an output in `ROWS`; only names are read."""
        return {key for entry in self.dest.entries(folder) if (key := key_of(entry)) is not None}

    def record(self, folder: str, key: str) -> Record:
        """One record; a `DataError` if it was changed, a `FileNotFoundError` if there is none."""
        name = place_of(folder, key)
        return Record.from_dict(unsealed(self.dest.read(name), f"{self.dest.address}/{name}"), name)

    def records(self, folder: str) -> Iterator[Record]:
        """All records of a folder, in the order of their keys."""
        for key in sorted(self.keys(folder)):
            yield self.record(folder, key)

    def failures(self) -> list[Record]:
        """Of the units that failed and were not done since, by path."""
        missing = self.keys(FAILED) - self.keys(DONE)
        return sorted((self.record(FAILED, key) for key in missing), key=lambda record: (record.path, record.part))

    def commit(self, record: Record, output: bytes | None) -> None:
        """Store an output and then its record. Doing it twice changes nothing.

        An output without a record is of a process that ended between the two, and is written again.
        """
        done = place_of(DONE, record.key)
        if output is not None and not self.dest.create(place := place_of(ROWS, record.key), output):
            if self.is_done(record.key):
                return
            self.dest.replace(place, output)
        self.dest.create(done, sealed(asdict(record)))

    def is_done(self, key: str) -> bool:
        """Whether a unit has a record of success."""
        try:
            return self.dest.entry(place_of(DONE, key)).size > 0
        except FileNotFoundError:
            return False

    def fail(self, record: Record) -> None:
        """Store why a unit failed."""
        self.dest.replace(place_of(FAILED, record.key), sealed(asdict(record)))


def place_of(folder: str, key: str) -> str:
    """Path of a record or an output."""
    return f"{folder}/{key[:SHARD]}/{key}{SUFFIXES[folder]}"


def key_of(entry: Entry) -> str | None:
    """The key that a path is of; None for other files."""
    folder, _, rest = entry.path.partition("/")
    key = rest[SHARD + 1 :].removesuffix(SUFFIXES.get(folder, ""))
    known = folder in SUFFIXES and len(key) == 64 and set(key) <= set("0123456789abcdef")
    return key if known and place_of(folder, key) == entry.path else None
