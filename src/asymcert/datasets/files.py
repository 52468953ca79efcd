"""Finding the publishers' files on disk, and fetching them where there is a network."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from asymcert._files import replacing
from asymcert.errors import DataError

ENVIRONMENT = "ASYMCERT_DATA"
MOST_BYTES = 2**28  # that a packed file may unpack to: more than any published here has


@dataclass(frozen=True)
class Publication:
    """Files of one data set, and where they can be fetched.

    Parameters
    ----------
    folder
        Name of the folder they lie in, below the data folder.
    files
        Names of the files.
    url
        Address that the names in `md5` are below.
    md5
        What is fetched: checksums by name. Either the files themselves or one tar archive that has them in `folder`.
    """

    folder: str
    files: tuple[str, ...]
    url: str
    md5: dict[str, str]


def data_roots(data_dir: str | Path | None) -> list[Path]:
    """Folders to look in, in order: the argument, the environment's, the cache.

    Raises
    ------
    DataError
        `data_dir` is given and is no folder.
    """
    if data_dir is not None and not Path(data_dir).is_dir():
        raise DataError(f"`data_dir` must be a folder, got {str(data_dir)!r}. Create it or give another.")
    given = (data_dir, os.environ.get(ENVIRONMENT))
    return [*(Path(root) for root in given if root), cache_root()]


def cache_root() -> Path:
    """The user's cache folder for downloaded data."""
    import pooch

    return Path(pooch.os_cache("asymcert"))


def locate(publication: Publication, data_dir: str | Path | None) -> Path:
    """Folder with all files of `publication`, downloaded to the cache if they are nowhere.

    Raises
    ------
    DataError
        The files are nowhere and cannot be downloaded; the message says which to put where.
    """
    for root in data_roots(data_dir):
        folder = root / publication.folder
        if all((folder / name).is_file() for name in publication.files):
            return folder
    try:
        return _download(publication, cache_root())
    except (OSError, ValueError, EOFError, KeyError, zlib.error, tarfile.TarError) as error:
        raise DataError(_how_to_place(publication, error)) from error


def _how_to_place(publication: Publication, error: Exception) -> str:
    return (
        f"{publication.folder}: files not found, and downloading them from {publication.url} failed "
        f"({type(error).__name__}: {error}). Put {', '.join(publication.files)} into "
        f"'{cache_root() / publication.folder}', or into '{publication.folder}' below a folder "
        f"that `data_dir` or {ENVIRONMENT} names."
    )


def _download(publication: Publication, root: Path) -> Path:
    import pooch

    folder = root / publication.folder
    as_archive = set(publication.md5) != set(publication.files)
    store = pooch.create(
        path=root if as_archive else folder,
        base_url=publication.url,
        registry={name: f"md5:{md5}" for name, md5 in publication.md5.items()},
        retry_if_failed=1,
    )
    for name in publication.md5:
        bar = _DownloadBar(name)
        try:
            downloader: Any = pooch.HTTPDownloader(progressbar=cast(Any, bar), chunk_size=2**16)
            fetched = Path(store.fetch(name, downloader=downloader))
        finally:
            bar.close()
        if as_archive:
            _unpack(fetched, publication, folder)
            fetched.unlink()
    return folder


def _unpack(archive: Path, publication: Publication, folder: Path) -> None:
    """Write the named files, and nothing else, from a tar archive."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        for name in publication.files:
            member = tar.getmember(f"{publication.folder}/{name}")
            stream = tar.extractfile(member)
            if stream is None:
                raise KeyError(f"{name} is no file in {archive.name}")
            if member.size > MOST_BYTES:
                raise ValueError(f"{name} of {archive.name} would have {member.size} bytes")
            with replacing(folder / name) as partial, partial.open("wb") as target:
                shutil.copyfileobj(stream, target)


class _DownloadBar:
    """A rich progress bar with the methods that pooch calls."""

    def __init__(self, name: str):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        parts = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self.progress = Progress(*parts, console=Console(stderr=True))
        self.task = self.progress.add_task(name, total=None)
        self.progress.start()

    @property
    def total(self) -> float | None:
        """Bytes to come."""
        return self.progress.tasks[0].total

    @total.setter
    def total(self, total: float) -> None:
        self.progress.update(self.task, total=total or None)

    def update(self, count: int) -> None:
        """Add to the bytes that have come."""
        self.progress.advance(self.task, count)

    def reset(self) -> None:
        """Start again from none."""
        self.progress.update(self.task, completed=0)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.progress.stop()


@contextmanager
def open_gzip(path: Path) -> Iterator[gzip.GzipFile]:
    """The unpacked contents of a gzip file, to be read; a `DataError` if it is damaged or unreadable."""
    try:
        with gzip.open(path) as stream:
            yield stream
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, f"not a whole gzip file: {error}") from error


def damaged(path: Path, what: str) -> DataError:
    """Return the error for a file that is not what its name promises."""
    return DataError(f"{path}: {what}. The file is damaged or not the publisher's; delete it and get it again.")
