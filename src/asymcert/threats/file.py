"""Threat models from TOML and JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import refuse
from asymcert._files import parse_json, parse_toml
from asymcert.errors import InputError
from asymcert.models.base import BinaryClassifier
from asymcert.threats.limits import Limits
from asymcert.threats.model import COUNTED, WORDS, ThreatModel
from asymcert.threats.parts import as_values
from asymcert.threats.table import TableThreat
from asymcert.threats.words import KINDS

EDITED = ("edits", "protected", "sentences", "marks_stay")
LIMITED = ("max_change", "values", "between")
KEYS = (
    "norm",
    "name",
    "lower",
    "upper",
    "cost",
    "immutable",
    "mutable",
    "increase_only",
    "decrease_only",
    "direction",
    "groups",
    "exclusive",
    *LIMITED,
    "limits",
    *EDITED,
)
SUFFIXES = (".toml", ".json")
SIGNS = {"increase_only": 1, "decrease_only": -1}


def read_threat(path: str | Path, model: BinaryClassifier) -> ThreatModel:
    """Read what an adversary may do to the inputs of `model` from a TOML or JSON file.

    Parameters
    ----------
    path
        A ``.toml`` or ``.json`` file with the keys that `parse_threat` knows.
    model
        The classifier; that of a table knows the columns and their units.

    Raises
    ------
    InputError
        The file is missing or damaged, or `parse_threat` refuses its content; the message names file and key.
    """
    path = Path(path)
    try:
        return parse_threat(_content(path), model)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse_threat(values: Mapping[str, Any], model: BinaryClassifier) -> ThreatModel:
    """The threat model that a file's content describes.

    Single numbers and nested lists speak the units of the model's inputs, as `ThreatModel` does. For a table, a
    mapping from column names speaks the units of the table: its ``lower`` and ``upper`` are values of a column, its
    ``cost`` is the price of one unit of change (one word for running text, one change of value for a category); where
    columns are counted (norm 0), that of any change of the column.
    A ``*`` in a name stands for any characters; later entries override earlier ones, exact names override patterns.
    Columns that a mapping leaves out keep what they have without it: the range of the scaled inputs, and a price of
    1 for a change over that whole range.

    Parameters
    ----------
    values
        ``norm`` (0, a number from 1 on, or ``"inf"``, by default 2), ``name``, ``lower``, ``upper``, ``cost``;
        ``immutable`` or ``mutable``, ``increase_only``, ``decrease_only``: lists of columns of a table, or nested lists
        of booleans; ``direction``: nested lists of -1, 0, 1; for norm 0 ``groups`` and ``exclusive``, which a table
        knows itself; for a table ``max_change``, ``values``, ``between``: see `TableThreat.limits`. Of texts the norm
        is ``"words"``; ``edits`` lists kinds of edits or maps them to prices, ``protected`` lists words, and
        ``sentences`` and ``marks_stay`` are as in `WordEdits`. What `ThreatModel.to_dict` gives is understood too.
    model
        The classifier that is attacked.

    Returns
    -------
    ThreatModel
        In the units of the model's inputs. For a table it keeps inputs in the range that scaling gives them, and
        constant columns as they are, unless ``lower``, ``upper`` or ``mutable`` are null.

    Raises
    ------
    InputError
        An unknown key or column, a value of the wrong type, parts that contradict each other or do not fit the model.
    """
    unknown = [str(key) for key in values if key not in KEYS]
    if unknown:
        raise refuse("threat", f"made of the keys {list(KEYS)}", f"the unknown {unknown}")
    if isinstance(values.get("edits"), Mapping) and "family" in values["edits"]:
        return ThreatModel.from_dict({key: part for key, part in values.items() if part is not None})
    table = None if model.scaling is None else TableThreat(model.scaling)
    if values.get("norm") == WORDS:
        return _words(values, table)
    for key in EDITED:
        if values.get(key) is not None:
            raise refuse(key, f"left out for norms other than {WORDS!r}", repr(values[key]))
    parts: dict[str, Any] = {"norm": values.get("norm", 2.0), "name": values.get("name")}
    if parts["norm"] != 0:
        parts |= {key: values.get(key) for key in COUNTED}  # refused
    threat = ThreatModel.from_dict(parts)
    for key in ("lower", "upper", "cost"):
        parts[key] = _amounts(key, values, table, threat.norm)
    parts["mutable"] = _mutable(values, table)
    parts["direction"] = _direction(values, table)
    parts |= _counted(values, table) if threat.norm == 0 else {}
    parts["limits"] = _limits(values, table)
    threat = ThreatModel(threat.norm, **{key: value for key, value in parts.items() if key != "norm"})
    threat.check(torch.empty(0, *model.input_shape))  # shapes fit the model's inputs
    return threat


def _content(path: Path) -> Mapping[str, Any]:
    if path.suffix not in SUFFIXES:
        raise refuse("threat", f"a file ending in {' or '.join(SUFFIXES)}", repr(path.name))
    try:
        text = path.read_text(encoding="utf-8")
        content = parse_toml(text) if path.suffix == ".toml" else parse_json(text)
    except FileNotFoundError:
        raise InputError("no such file. Check the path.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"not readable as {path.suffix[1:].upper()}: {error}") from None
    if not isinstance(content, Mapping):
        raise refuse("threat", "a table of keys and values", type(content).__name__)
    return content


def _words(values: Mapping[str, Any], table: TableThreat | None) -> ThreatModel:
    """An adversary who edits words."""
    given = {key: part for key, part in values.items() if part is not None and key != "norm"}
    others = sorted(set(given) - {"name", *EDITED})
    if table is None or others:
        got = "a model of other inputs" if table is None else ", ".join(others)
        raise refuse("norm", f"{WORDS!r} for a model of texts, and given with {', '.join(EDITED)} only", got)
    protected = given.pop("protected", [])
    if not isinstance(protected, list) or not all(isinstance(word, str) for word in protected):
        raise refuse("protected", "a list of words", repr(protected))
    for key in ("sentences", "marks_stay"):
        if not isinstance(given.get(key, False), bool):
            raise refuse(key, "true or false", repr(given[key]))
    return table.words(given.pop("edits", KINDS), protected, **given)


def _amounts(key: str, values: Mapping[str, Any], table: TableThreat | None, norm: float) -> Tensor | None:
    """A bound or the costs, in the units of the inputs."""
    if key in values and values[key] is None:
        return None
    value = values.get(key)
    if isinstance(value, Mapping):
        if table is None:
            raise refuse(key, "a number or nested lists", "a mapping", "This model's inputs have no column names.")
        return table.costs(value, norm) if key == "cost" else table.bounds(key, value)
    if value is not None:
        return as_values(key, value, torch.float64)
    return None if table is None or key == "cost" else table.bounds(key, {})


def _mutable(values: Mapping[str, Any], table: TableThreat | None) -> Tensor | None:
    _only_one(values, "mutable", "immutable")
    if "mutable" in values and values["mutable"] is None:
        return None
    if values.get("immutable") is not None:
        mask = ~_mask("immutable", values, table)
    elif "mutable" in values:
        mask = _mask("mutable", values, table)
    else:
        mask = None
    if table is not None and table.constant.any():
        return ~table.constant if mask is None else mask & ~table.constant
    return mask


def _direction(values: Mapping[str, Any], table: TableThreat | None) -> Tensor | None:
    if values.get("direction") is not None:
        _only_one(values, "direction", "increase_only")
        _only_one(values, "direction", "decrease_only")
        return as_values("direction", values["direction"], torch.int64)
    signs = {key: sign for key, sign in SIGNS.items() if values.get(key) is not None}
    masks = [sign * _mask(key, values, table, ordered=True).long() for key, sign in signs.items()]
    if len(masks) < 2:
        return masks[0] if masks else None
    if bool((masks[0] * masks[1] != 0).any()):
        raise refuse("increase_only", "apart from `decrease_only`", "inputs in both", "Use `immutable` for them.")
    return masks[0] + masks[1]


def _mask(key: str, values: Mapping[str, Any], table: TableThreat | None, ordered: bool = False) -> Tensor:
    """Inputs that a list of columns or a nested list of booleans names."""
    value = values[key]
    names = isinstance(value, list) and all(isinstance(item, str) for item in value)
    if not names:
        return as_values(key, value, torch.bool)
    if table is None:
        raise refuse(key, "nested lists of booleans", repr(value), "This model's inputs have no column names.")
    return table.mask(key, value, ordered)


def _counted(values: Mapping[str, Any], table: TableThreat | None) -> dict[str, Tensor]:
    """What counts as one column."""
    kinds = {"groups": torch.int64, "exclusive": torch.bool}
    given = {key: as_values(key, values[key], kind) for key, kind in kinds.items() if values.get(key) is not None}
    return {"groups": table.groups, "exclusive": table.exclusive} if table and not given else dict(given)


def _limits(values: Mapping[str, Any], table: TableThreat | None) -> Limits | None:
    """How far a row's own values limit what it may become."""
    given = {key: values[key] for key in LIMITED if values.get(key) is not None}
    for key, part in given.items():
        _only_one(values, key, "limits")
        if table is None or not isinstance(part, Mapping):
            raise refuse(key, "a mapping from the columns of a table", repr(part))
    if table is not None and given:
        return table.limits(given)
    return None if values.get("limits") is None else Limits.from_dict(values["limits"])


def _only_one(values: Mapping[str, Any], first: str, second: str) -> None:
    if values.get(first) is not None and values.get(second) is not None:
        raise refuse(first, f"left out where `{second}` is given", "both", "Name the inputs in one of them.")
