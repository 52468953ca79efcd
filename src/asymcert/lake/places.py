"""Where a lake's files are: a folder here; `asymcert.lake.objects` has the stores elsewhere."""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from asymcert._files import flush_folder, written

PARTIAL = "partial"  # files that are being written, or were when their process ended


@dataclass(frozen=True)
class Entry:
    """A file of a place.

    Parameters
    ----------
    path
        Relative to the place, parts separated by ``/``.
    size
        In bytes.
    version
        Changes with the content: a store's entity tag, or when a file here was last modified, in nanoseconds.
    """

    path: str
    size: int
    version: str


class Place(ABC):
    """Files by their path; each is seen whole or not at all. A failure is an `OSError` that names the file.

    Parameters
    ----------
    address
        From which `asymcert.lake.addresses.place_at` makes the same place in another process.
    """

    shared = True  # whether other processes see the same files

    def __init__(self, address: str):
        self.address = address

    @abstractmethod
    def entries(self, below: str = "") -> Iterator[Entry]:
        """All files, or those in one folder and its folders, in no order."""

    @abstractmethod
    def entry(self, path: str) -> Entry:
        """What is known of a file; a `FileNotFoundError` if there is none."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """The content of a file; a `FileNotFoundError` if there is none."""

    @abstractmethod
    def create(self, path: str, content: bytes) -> bool:
        """Write a new file in one step; False, and nothing changes, if there is one already."""

    @abstractmethod
    def replace(self, path: str, content: bytes) -> None:
        """Write a file in one step, whether there is one or not."""

    @abstractmethod
    def local(self, path: str) -> AbstractContextManager[Path]:
        """A file of this machine with the content, while the block runs."""


class Folder(Place):
    """A folder of a file system.

    Parameters
    ----------
    path
        Need not exist before something is written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(os.path.abspath(path))
        super().__init__(str(self.path))

    def entries(self, below: str = "") -> Iterator[Entry]:
        """See `Place.entries`."""
        for folder, _, names in os.walk(self.path / below):
            for name in names:
                path = Path(folder, name)
                with suppress(FileNotFoundError):  # it went meanwhile
                    yield self.entry(path.relative_to(self.path).as_posix())

    def entry(self, path: str) -> Entry:
        """See `Place.entry`."""
        status = (self.path / path).stat()
        return Entry(path, status.st_size, str(status.st_mtime_ns))

    def read(self, path: str) -> bytes:
        """See `Place.read`."""
        return (self.path / path).read_bytes()

    def create(self, path: str, content: bytes) -> bool:
        """See `Place.create`."""
        with self._written(content) as partial:
            return self._named(partial, self._target(path))

    def replace(self, path: str, content: bytes) -> None:
        """See `Place.replace`."""
        target = self._target(path)
        with self._written(content) as partial:
            os.replace(partial, target)
        flush_folder(target.parent)

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """See `Place.local`."""
        yield self.path / path

    def _target(self, path: str) -> Path:
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _written(self, content: bytes) -> AbstractContextManager[Path]:
        """The content in a file that is on disk but has no name yet; it is gone after the block unless renamed."""
        return written(self._target(f"{PARTIAL}/{secrets.token_hex(16)}"), content)

    def _named(self, partial: Path, target: Path) -> bool:
        try:
            os.link(partial, target)  # unlike a rename, fails if the target exists
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if target.exists():
                return False
            os.replace(partial, target)
        flush_folder(target.parent)
        return True
