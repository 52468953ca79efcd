"""Object stores as places: S3, Google, Azure, and memory for trying things out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from asymcert.errors import DependencyError
from asymcert.lake.places import Entry, Place


class Objects(Place):
    """What is below a prefix of a bucket.

    Parameters
    ----------
    address
        A URL.
    store
        Of obstore.
    prefix
        That the store itself does not put before paths.
    """

    def __init__(self, address: str, store: Any, prefix: str = ""):
        super().__init__(address)
        self.store, self.prefix, self.shared = store, prefix, not address.startswith("memory:")

    def entries(self, below: str = "") -> Iterator[Entry]:
        """See `Place.entries`; a thousand by each request."""
        import obstore

        with self._telling(below):
            for page in obstore.list(self.store, f"{self.prefix}{below}" or None):
                yield from map(self._entry, page)

    def entry(self, path: str) -> Entry:
        """See `Place.entry`."""
        import obstore

        with self._telling(path):
            return self._entry(obstore.head(self.store, self.prefix + path))

    def read(self, path: str) -> bytes:
        """See `Place.read`."""
        import obstore

        with self._telling(path):
            return bytes(obstore.get(self.store, self.prefix + path).bytes())

    def create(self, path: str, content: bytes) -> bool:
        """See `Place.create`; on the store's word that nothing was there."""
        import obstore

        with self._telling(path):
            try:
                obstore.put(self.store, self.prefix + path, content, mode="create", use_multipart=False)
            except obstore.exceptions.AlreadyExistsError:
                return False
        return True

    def replace(self, path: str, content: bytes) -> None:
        """See `Place.replace`."""
        import obstore

        with self._telling(path):
            obstore.put(self.store, self.prefix + path, content, use_multipart=False)

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """See `Place.local`; a temporary copy."""
        import obstore

        with tempfile.TemporaryDirectory(prefix="asymcert-") as folder:
            copy = Path(folder, path.rsplit("/", 1)[-1])
            with self._telling(path), copy.open("wb") as file:
                for chunk in obstore.get(self.store, self.prefix + path):
                    file.write(chunk)
            yield copy

    def _entry(self, facts: Any) -> Entry:
        version = facts["e_tag"] or facts["last_modified"].isoformat()
        return Entry(facts["path"].removeprefix(self.prefix), facts["size"], version)

    @contextmanager
    def _telling(self, path: str) -> Iterator[None]:
        """Errors of a store as an `OSError` of one line that names the object."""
        import obstore

        try:
            yield
        except (obstore.exceptions.NotFoundError, FileNotFoundError) as error:
            raise FileNotFoundError(2, "no such object", f"{self.address}/{path}") from error
        except obstore.exceptions.BaseError as error:
            reason = str(error).strip().partition("\n")[0]
            raise OSError(f"{self.address}/{path}: {reason}") from error


def objects_at(address: str) -> Objects:
    """The objects below a URL; the environment says who asks, as for the store's own tools (``AWS_REGION`` ...).

    Raises
    ------
    DependencyError
        The package obstore is not installed.
    """
    try:
        from obstore.store import from_url
    except ImportError:
        raise DependencyError(
            f"{address}: needs the package obstore. Install it: pip install 'asymcert[cloud]'."
        ) from None
    if not address.startswith("memory:"):
        return Objects(address, from_url(address))
    bucket, _, path = address.removeprefix("memory://").partition("/")
    return Objects(address, _memory(bucket), f"{path}/" if path else "")


@cache
def _memory(bucket: str) -> Any:
    """One memory for each name, as long as the process lives."""
    from obstore.store import MemoryStore

    return MemoryStore()
