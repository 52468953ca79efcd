"""Where the zoo's models lie, and paths that name them."""

from __future__ import annotations

import os
from pathlib import Path

from asymcert._checks import did_you_mean, refuse
from asymcert.errors import RunError

PREFIX = "zoo:"
MODELS = Path(__file__).parent


def names() -> list[str]:
    """Names of the models, in alphabetical order."""
    return sorted(path.parent.name for path in MODELS.glob("*/entry.toml"))


def resolve(path: str | Path) -> Path:
    """The folder that ``zoo:NAME`` stands for; any other path as it is.

    Raises
    ------
    InputError
        The zoo has no model of that name.

    Examples
    --------
    >>> resolve("zoo:spam-sms").name, resolve("runs/mine").name
    ('spam-sms', 'mine')
    """
    if not str(path).startswith(PREFIX):
        return Path(path)
    name = str(path).removeprefix(PREFIX)
    if name not in names():
        remedy = did_you_mean(name, names()) or "What starts with zoo: names one of them, no folder of your own."
        raise refuse("zoo", "a model that `asymcert zoo` lists", repr(name), remedy)
    return MODELS / name


def is_zoo(path: str | Path) -> bool:
    """Whether a path leads into the zoo, where nothing may be written: also a relative one, or a link."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(MODELS))


def check_no_model(file: Path) -> None:
    """Refuse the file of a model of the zoo, by whatever name, where it would be replaced or given rows.

    Raises
    ------
    RunError
        It is one.
    """
    if is_zoo(file):
        name = Path(os.path.realpath(file)).parent.name
        what = "is read only and holds no rows"
        raise RunError(f"zoo:{name}: {what}. Copy it first: asymcert zoo {name} --out runs/{name}")


def check_own(name: str, path: str | Path) -> None:
    """Refuse, as argument `name`, a place for something new that lies in the zoo or would be taken for a model of it.

    Examples
    --------
    >>> check_own("out", "runs/mine")
    >>> check_own("out", "zoo:mine")
    Traceback (most recent call last):
    asymcert.errors.InputError: `out` must be a place of your own, got zoo:mine. The zoo is read only: choose runs/mine.
    """
    if str(path).startswith(PREFIX) or is_zoo(path):
        remedy = f"The zoo is read only: choose runs/{Path(path).name.removeprefix(PREFIX)}."
        raise refuse(name, "a place of your own", path, remedy)
