"""Where the zoo's models lie, and paths that name them."""

from __future__ import annotations

from pathlib import Path

from asymcert._checks import did_you_mean, refuse

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
        raise refuse("zoo", "a model that `asymcert zoo` lists", repr(name), did_you_mean(name, names()))
    return MODELS / name


def is_zoo(path: Path) -> bool:
    """Whether a path lies in the zoo, where nothing may be written."""
    return MODELS in path.parents
