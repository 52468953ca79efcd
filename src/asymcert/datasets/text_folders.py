"""Your own texts: a folder with one folder of them for each class, as plain text or as mails."""

from __future__ import annotations

import email
from pathlib import Path
from typing import TYPE_CHECKING

from asymcert.datasets.files import damaged
from asymcert.datasets.text_files import decoded
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

FORMATS = (".txt", ".eml")
LABEL, TEXT = "label", "text"  # columns
LARGEST = 2**23  # bytes of one file
MOST_HTML = 10**6  # characters of a part
MOST_HEADER = 2**16  # bytes: parsing those of a mail takes time quadratic in them
HIDDEN = ("script", "style", "head", "template")
BLOCKS = ("br", "p", "div", "tr", "li", "td", "h1", "h2", "h3", "h4", "table", "ul", "ol", "blockquote")


def is_text_folder(path: Path) -> bool:
    """Whether a folder holds texts, or folders with texts."""
    return path.is_dir() and any(_texts(folder) for folder in (path, *path.iterdir()) if folder.is_dir())


def text_files(path: Path) -> list[Path]:
    """The texts of a folder and of the folders in it, by name."""
    folders = [path, *sorted(folder for folder in path.iterdir() if folder.is_dir())]
    return [file for folder in folders for file in _texts(folder)]


def text_frame(path: Path) -> pl.DataFrame:
    """Columns ``label``, the folder that a text is in, null for one in `path` itself, and ``text``.

    Raises
    ------
    DataError
        A file of more than 8 MiB, or that is no text.
    """
    import polars as pl

    rows = [(None if file.parent == path else file.parent.name, _read(file)) for file in text_files(path)]
    return pl.DataFrame(rows, schema={LABEL: pl.String, TEXT: pl.String}, orient="row")


def _texts(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in FORMATS and file.is_file())


def _read(file: Path) -> str:
    if file.stat().st_size > LARGEST:
        raise DataError(f"{file}: has more than {LARGEST} bytes. Leave it out.")
    content = file.read_bytes()
    return mail_text(file, content) if file.suffix.lower() == ".eml" else decoded(file, content)[0].decode()


def mail_text(file: Path, content: bytes) -> str:
    """Subject and texts of a mail, a line each; of HTML what is seen.

    Raises
    ------
    DataError
        Nested too deep, or a header longer than 64 KiB.
    """
    if _longest_header(content) > MOST_HEADER:
        raise DataError(f"{file}: has a header of more than {MOST_HEADER} bytes. Leave it out.")
    try:
        message = email.message_from_bytes(content)
        parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
        return "\n".join([_subject(message), *map(_part_text, parts)]).strip()
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise damaged(file, f"not a readable mail: {error or type(error).__name__}") from error
