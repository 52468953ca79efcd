"""Your own texts: a folder with one folder of them for each class, as plain text or as mails."""

from __future__ import annotations

import email
import re
from email.header import decode_header, make_header
from email.message import Message
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

from asymcert.datasets.files import damaged
from asymcert.datasets.text_files import decoded
from asymcert.errors import DataError

if TYPE_CHECKING:
    import polars as pl

FORMATS = (".txt", ".eml")
LABEL, TEXT = "label", "text"  # columns
LARGEST = 2**22  # bytes of one file that are read: more are too long a text, or what is attached to a mail
MOST_HEADER = 2**12  # bytes: reading the parameters of a part takes time quadratic in them
MOST_SUBJECT = 2**12  # characters
KIND = re.compile(rb"^content-[a-z-]+:.*(?:\r?\n[ \t].*)*", re.IGNORECASE | re.MULTILINE)
TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)(?![a-z0-9])[^<>]{0,2000}>|<[!?][^<>]{0,2000}>", re.IGNORECASE)
HIDDEN = ("script", "style", "template")
BLOCKS = ("br", "p", "div", "tr", "li", "td", "h1", "h2", "h3", "h4", "table", "ul", "ol", "blockquote")


def is_text_folder(path: Path) -> bool:
    """Whether a folder holds folders with texts."""
    return path.is_dir() and any(_texts(folder) for folder in path.iterdir() if folder.is_dir())


def text_files(path: Path) -> list[Path]:
    """The texts of a folder and of the folders in it, by name."""
    if not path.is_dir():
        return []
    folders = [path, *sorted(folder for folder in path.iterdir() if folder.is_dir())]
    return [file for folder in folders for file in _texts(folder)]


def text_frame(path: Path) -> pl.DataFrame:
    """Columns ``label``, the folder that a text is in, null for one in `path` itself, and ``text``.

    Raises
    ------
    DataError
        A file that is no text.
    """
    import polars as pl

    rows = [(None if file.parent == path else file.parent.name, _read(file)) for file in text_files(path)]
    return pl.DataFrame(rows, schema={LABEL: pl.String, TEXT: pl.String}, orient="row")


def _texts(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in FORMATS and file.is_file())


def _read(file: Path) -> str:
    with file.open("rb") as stream:
        content = stream.read(LARGEST)
    return mail_text(file, content) if file.suffix.lower() == ".eml" else decoded(file, content)[0].decode()


def mail_text(file: Path, content: bytes) -> str:
    """Subject and texts of a mail, a line each; of HTML what is seen.

    Raises
    ------
    DataError
        Nested too deep, or a part that describes itself at length.
    """
    if max((len(header.group()) for header in KIND.finditer(content)), default=0) > MOST_HEADER:
        raise DataError(f"{file}: has a part whose kind takes more than {MOST_HEADER} bytes to say. Leave it out.")
    try:
        message = email.message_from_bytes(content)
        parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
        return "\n".join([_subject(message), *map(_part_text, parts)]).strip()
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise damaged(file, f"not a readable mail: {error or type(error).__name__}") from error


def _subject(message: Message) -> str:
    raw = str(message.get("subject", ""))[:MOST_SUBJECT]
    try:
        return " ".join(str(make_header(decode_header(raw))).split())
    except (ValueError, LookupError):  # an encoding that is none
        return raw


def _part_text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    try:
        text = content.decode(part.get_content_charset("utf-8"), errors="replace")
    except (LookupError, ValueError):
        text = content.decode("latin-1")
    return html_text(text) if part.get_content_subtype() == "html" else text


def html_text(page: str) -> str:
    """What a page shows: its text without tags, comments, scripts and styles; blocks on lines of their own.

    In linear time, which `html.parser` does not take on tags that never end.
    """
    page = "".join([part.partition("-->")[2] if place else part for place, part in enumerate(page.split("<!--"))])
    shown, hidden, start = [], "", 0
    for tag in TAG.finditer(page):
        if not hidden:
            shown.append(page[start : tag.start()])
        closing, name = tag[1] == "/", (tag[2] or "").lower()
        if hidden:
            hidden = "" if closing and name == hidden else hidden
        elif name in HIDDEN and not closing:
            hidden = name
        shown.append("\n" if name in BLOCKS else "")
        start = tag.end()
    shown.append("" if hidden else page[start:])
    lines = unescape("".join(shown)).split("\n")
    return "\n".join(line for each in lines if (line := " ".join(each.split())))
