"""Reading a table's file, whatever its format, within limits of memory."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asymcert._checks import check_choice, check_count, refuse
from asymcert._files import replacing
from asymcert.datasets.files import damaged, open_gzip
from asymcert.datasets.json_lines import json_frame
from asymcert.datasets.parquet_files import (
    CELL,
    check_size,
    most_bytes,
    parquet_files,
    read_folder,
    read_parquet,
    readable,
)
from asymcert.datasets.problems import Problem, refuse_problems
from asymcert.datasets.text_files import decoded, laid_out, with_whole_lines
from asymcert.datasets.text_folders import is_text_folder, text_files, text_frame
from asymcert.errors import DataError, DependencyError

if TYPE_CHECKING:
    import polars as pl

TEXTS = (".csv", ".tsv", ".txt")
JSON = (".jsonl", ".ndjson")
PACKED = ("", ".gz", ".zst")
BINARY = (".parquet", ".arrow", ".feather", ".ipc", ".arff")
TEXT_FILES = tuple(f"{text}{packed}" for text in TEXTS for packed in PACKED)
JSON_FILES = tuple(f"{text}{packed}" for text in JSON for packed in PACKED)
EXTENSIONS = (*TEXT_FILES, *JSON_FILES, *BINARY)
MAGIC = (b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")  # zstd, lz4: begin a packed buffer of an Arrow file
MOST_BUFFER = 2**40  # bytes; what claims more is no size of a buffer
FORMULA = r"^([=+\-@\t\r])"  # what a spreadsheet would take for one
RAGGED = ("refuse", "skip", "fill")


@dataclass(frozen=True)
class RawTable:
    """A table as its file has it, but for names of columns, which are stripped and different.

    Parameters
    ----------
    frame
        Numbers where all values of a column are plain ones, else texts, or what a binary format says.
    notes
        What was taken for what, in words.
    problems
        What a user must decide.
    doubles
        Columns that had the name of an earlier one: that name, by their new one.
    """

    frame: pl.DataFrame
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    doubles: dict[str, str] = field(default_factory=dict)


def table_name(path: str | Path) -> str:
    """File name without its extension."""
    name = Path(path).name
    extension = next((e for e in sorted(EXTENSIONS, key=len, reverse=True) if name.lower().endswith(e)), "")
    return name[: len(name) - len(extension)]


def is_table_file(path: str | Path) -> bool:
    """Whether a path ends as `read_raw` wants it, or is a folder of Parquet files or of folders of texts."""
    path = Path(path)
    return path.name.lower().endswith(EXTENSIONS) or bool(parquet_files(path)) or is_text_folder(path)


def check_table_file(path: Path) -> None:
    """Refuse a path that is of another kind (`InputError`) or leads nowhere (`DataError`)."""
    if not is_table_file(path) and not text_files(path):
        raise refuse("path", f"a file ending in {', '.join(EXTENSIONS)}", repr(path.name), _remedy(path))
    if not path.exists():
        raise DataError(f"{path}: no such file. Check the path.")


def read_table(path: str | Path, max_bytes: int | None = None, texts: Collection[str] = ()) -> pl.DataFrame:
    """Read a table's file; a `DataError` names all its problems. For the rest see `read_raw`."""
    raw = read_raw(path, max_bytes, texts=texts)
    refuse_problems(path, raw.problems)
    return raw.frame


def read_raw(
    path: str | Path,
    max_bytes: int | None = None,
    *,
    names: Sequence[str] | None = None,
    ragged: str = "refuse",
    texts: Collection[str] = (),
    as_named: bool = False,
) -> RawTable:
    """Read a table's file.

    Parameters
    ----------
    path
        A text file (``.csv``, ``.tsv``, ``.txt``, also with ``.gz`` or ``.zst``), ``.parquet`` or a folder of such
        files, ``.arrow``, ``.feather`` or ``.ipc``, or ``.arff``. Encoding, separator and header of texts are found.
        ``.jsonl`` or ``.ndjson`` (as packed), with an object on each line; or a folder with one of ``.txt`` or
        ``.eml`` files for each class, which becomes the columns ``label`` and ``text``.
    max_bytes
        Most bytes that a packed file may unpack to; by default 2^28 (256 MiB) or 64 times the file's size, whichever
        is more.
    names
        Of the columns of a text file without a header.
    ragged
        What to do with lines of too few or too many fields: ``"refuse"``, ``"skip"`` or ``"fill"`` short ones.
    texts
        Columns of a text file that hold texts even where all of them look like numbers.
    as_named
        Leave names as the file has them, with blanks and all; columns of one name are refused.

    Raises
    ------
    InputError
        Another extension, or `names` that do not fit.
    DataError
        A file that is missing, damaged, without rows or unpacks to more than `max_bytes`, a text without a header, or
        more than 2^17 columns.
    DependencyError
        A ``.zst`` file where the package zstandard is not installed.
    """
    path = Path(path)
    check_table_file(path)
    if max_bytes is not None:
        check_count("max_bytes", max_bytes)
    check_choice("ragged", ragged, RAGGED)
    limit = most_bytes(path) if max_bytes is None else max_bytes
    with readable(path):
        if path.name.lower().endswith(TEXT_FILES):
            raw = _read_text(path, limit, names, ragged, set(texts), as_named)
        elif path.name.lower().endswith(JSON_FILES):
            raw = _read_json(path, limit, set(texts), as_named)
        else:
            raw = named(path, _binary_reader(path)(path, limit), as_named)
    if raw.frame.height == 0:
        raise DataError(f"{path}: has no rows. Provide a table with rows below its header.")
    return raw


def write_table(path: Path, frame: pl.DataFrame) -> None:
    """Write a CSV file; texts and names that a spreadsheet would take for a formula get an apostrophe before them."""
    write_tables(path, [frame])


def write_tables(path: Path, frames: Iterable[pl.DataFrame]) -> None:
    """Write the rows of frames with the same columns into one CSV file, as `write_table` does."""
    import polars as pl

    with replacing(path) as partial, partial.open("wb") as file:
        for place, frame in enumerate(frames):
            safe = frame.with_columns(pl.col(pl.String).str.replace(FORMULA, "'${1}"))
            safe.columns = [re.sub(FORMULA, r"'\1", name) for name in frame.columns]
            safe.write_csv(file, include_header=place == 0)


def _remedy(path: Path) -> str:
    if path.is_dir():
        return "It is a folder without Parquet files, and without a folder of images or texts for each class."
    return "Save a spreadsheet as CSV." if path.suffix.lower() in (".xlsx", ".xls", ".ods") else "Convert it first."


def _binary_reader(path: Path) -> Callable[[Path, int], pl.DataFrame]:
    if path.is_dir():
        return read_folder if parquet_files(path) else lambda folder, _: text_frame(folder)
    suffix = path.suffix.lower()
    return {".parquet": read_parquet, ".arff": _read_arff}.get(suffix, _read_arrow)


def _read_arrow(path: Path, limit: int) -> pl.DataFrame:
    """Each packed buffer says before its first bytes how much it unpacks to."""
    import polars as pl

    content = path.read_bytes()
    starts = [match.start() for match in re.finditer(b"|".join(map(re.escape, MAGIC)), content) if match.start() >= 8]
    sizes = [int.from_bytes(content[start - 8 : start], "little", signed=True) for start in starts]
    check_size(path, sum(size for size in sizes if 0 < size < MOST_BUFFER), limit)
    return pl.read_ipc(io.BytesIO(content))


def _read_arff(path: Path, limit: int) -> pl.DataFrame:
    import polars as pl
    from scipy.io import arff

    check_size(path, path.stat().st_size, limit)
    try:
        rows, attributes = arff.loadarff(io.StringIO(decoded(path, path.read_bytes())[0].decode()))
    except (ValueError, NotImplementedError, StopIteration, KeyError, IndexError, TypeError, OverflowError) as error:
        raise OSError(f"no ARFF file of numbers and nominal values ({error})") from error
    columns = {name: rows[name] for name in attributes.names()}
    frame = pl.DataFrame({n: np.char.decode(v, "utf-8") if v.dtype.kind == "S" else v for n, v in columns.items()})
    return frame.with_columns(pl.col(pl.String).replace({"?": None}))


def _read_text(
    path: Path, limit: int, names: Sequence[str] | None, ragged: str, texts: set[str], as_named: bool
) -> RawTable:
    import polars as pl

    content, notes = decoded(path, _unpacked(path, limit))
    table = laid_out(path, content, names)
    header = table.header
    cells = max((table.body.count(b"\n") + 1) * len(header), table.body.count(table.separator.encode()))
    check_size(path, 2 * CELL * cells, max(limit, 2 * CELL * len(content)))  # polars fills short lines
    table = with_whole_lines(table, ragged)
    plain = [f"c{place}" for place in range(len(header))]
    as_texts = {short: pl.String for short, name in zip(plain, header, strict=True) if name.strip() in texts}
    head = f"{table.separator.join(plain)}\n".encode()
    options: dict[str, Any] = {"separator": table.separator, "infer_schema_length": None}
    frame = pl.read_csv(io.BytesIO(head + table.body), schema_overrides=as_texts, **options)
    raw = named(path, frame, as_named, header)
    return replace(raw, notes=[*notes, *table.notes, *raw.notes], problems=table.problems)


def _read_json(path: Path, limit: int, texts: set[str], as_named: bool) -> RawTable:
    content, notes = decoded(path, _unpacked(path, limit))
    frame = json_frame(path, content, texts, max(limit // (2 * CELL), len(content)))
    raw = named(path, frame, as_named)
    return replace(raw, notes=[*notes, *raw.notes])


def _unpacked(path: Path, limit: int) -> bytes:
    """What is in a text file, packed or not."""
    if path.name.lower().endswith(".gz"):
        with open_gzip(path) as stream:
            size = stream.seek(limit + 1)  # unpacks to the limit or the file's end, and keeps nothing
            check_size(path, size, limit)
            stream.seek(0)
            return stream.read(size)
    if path.name.lower().endswith(".zst"):
        content = _unzst(path, limit + 1)
        check_size(path, len(content), limit)
        return content
    return path.read_bytes()


def _unzst(path: Path, most: int) -> bytes:
    try:
        import zstandard
    except ImportError:
        raise DependencyError(
            f"{path}: needs the package zstandard. Install it: pip install 'asymcert[zst]'."
        ) from None
    try:
        with (
            path.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream,
        ):
            return stream.read(most)
    except (zstandard.ZstdError, MemoryError) as error:
        raise damaged(path, f"not a whole zstd file: {error}") from error


def named(path: Path, frame: pl.DataFrame, as_named: bool, header: Sequence[str] | None = None) -> RawTable:
    """The frame with its columns' names, without blanks around them; a later column of one name gets a number."""
    names = list(frame.columns if header is None else header)
    names = names if as_named else [name.strip() for name in names]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if as_named and twice:
        raise DataError(f"{path}: has several columns named {', '.join(map(repr, twice))}. Rename them.")
    doubles: dict[str, str] = {}
    taken: set[str] = set()
    for place, name in enumerate(names):
        if name in taken:
            names[place] = next(new for number in count(2) if (new := f"{name} ({number})") not in {*twice, *doubles})
            doubles[names[place]] = name
        taken.add(name)
    if len(set(names)) < len(names):  # such a name was there already
        raise DataError(f"{path}: has several columns named {', '.join(map(repr, twice))}. Rename them.")
    frame.columns = names
    notes = [f"columns of one name: {name!r} is the later {first!r}" for name, first in doubles.items()]
    return RawTable(frame, notes, doubles=doubles)
