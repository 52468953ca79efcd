"""What `train` is given to train on: a named data set, a table's file, or a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asymcert import datasets as data_sets
from asymcert._checks import refuse
from asymcert.datasets import BinaryData
from asymcert.datasets.classes import is_known
from asymcert.datasets.image_folders import is_image_folder
from asymcert.datasets.table_files import check_table_file, is_table_file
from asymcert.datasets.text_folders import LABEL, is_text_folder


def load_data(data: str, data_dir: Path | None, sensitive: list[str], seed: int, options: dict[str, Any]) -> BinaryData:
    """Load what the argument names; options that are not of its kind are refused."""
    given = {name: value for name, value in options.items() if value not in (None, [])}
    path = Path(data)
    if not is_path(data):
        _refuse_others(given, (), "a named data set")
        if len(sensitive) > 1:
            raise refuse("--sensitive", "one class of a named data set", len(sensitive), "Name one.")
        return data_sets.load(data, data_dir, sensitive[0] if sensitive else None, seed)
    if is_image_folder(path):
        _refuse_others(given, ("image_size", "harmless"), "a folder of images")
        return data_sets.load_image_folder(path, sensitive, seed=seed, **given)
    _refuse_others(given, set(options) - {"image_size"}, "a table")
    return _load_table(path, sensitive, seed, given)


def is_path(data: str) -> bool:
    """Whether the argument is a path rather than a data set's name; a folder of that name is ``./NAME``."""
    path = Path(data)
    if is_known(data) and not path.is_file():
        return False
    written_as_one = "/" in data or len(path.parts) > 1 or bool(path.suffix)
    return written_as_one or path.is_file() or is_table_file(path) or is_image_folder(path)


def _load_table(path: Path, sensitive: list[str], seed: int, options: dict[str, Any]) -> BinaryData:
    """The user's own table; the label and the classes cannot be guessed."""
    check_table_file(path)
    if is_text_folder(path):
        options = {"label": LABEL, **options}
    if "label" not in options:
        remedy = f"Name the column that holds the classes; `asymcert table {path}` shows all."
        raise refuse("--label", "given for a table", "nothing", remedy)
    if not sensitive and "harmless" not in options:
        remedy = "Name the class that must not be talked away, or by --harmless the one that is no alert."
        raise refuse("--sensitive", "given for a table", "nothing", remedy)
    return data_sets.load_table(path, sensitive=sensitive, seed=seed, **options)


def _refuse_others(given: dict[str, Any], known: Any, what: str) -> None:
    for name, value in given.items():
        if name not in known:
            kind = "images" if name == "image_size" else "a table's columns"
            raise refuse(f"--{name.replace('_', '-')}", f"left out for {what}", repr(value), f"It describes {kind}.")
