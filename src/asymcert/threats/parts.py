"""Parts of threat models: tensors from lists, and checks of bounds and names."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from asymcert._checks import refuse

Values = float | Tensor | None
LONGEST_NAME = 60


def as_values(name: str, value: object, dtype: torch.dtype) -> Tensor:
    """Tensor of a number or of nested lists of numbers, or of booleans for a boolean `dtype`.

    Raises
    ------
    InputError
        Anything else, also booleans for numbers, fractions for integers, or lists of unequal lengths.
    """
    kind = {torch.bool: "booleans", torch.int64: "integers"}.get(dtype, "numbers")
    allowed = {"booleans": (bool,), "integers": (int,), "numbers": (int, float)}[kind]
    for leaf in _leaves(value):
        if not isinstance(leaf, allowed) or (isinstance(leaf, bool) and kind != "booleans"):
            raise refuse(name, f"made of {kind}, single or in nested lists", repr(leaf))
    try:
        return torch.tensor(value, dtype=dtype)
    except (ValueError, TypeError, RuntimeError, OverflowError):
        raise refuse(name, f"nested lists of {kind}, of equal lengths", reprlib.repr(value)) from None


def _leaves(value: object) -> Iterator[object]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list | tuple):
            waiting.extend(reversed(item))
        else:
            yield item


def check_box(lower: Values, upper: Values) -> None:
    """Refuse a box that is empty, or whose ends have shapes that do not fit each other."""
    if not isinstance(lower, Tensor) or not isinstance(upper, Tensor):
        return
    try:
        empty = not bool((lower <= upper).all())
    except RuntimeError:
        shapes = f"{tuple(lower.shape)} and {tuple(upper.shape)}"
        raise refuse("lower", "of a shape that broadcasts with that of `upper`", shapes) from None
    if empty:
        raise refuse("lower", "at most `upper` everywhere", "an empty box")


def check_name(name: object) -> None:
    """Refuse a name that could not stand in result rows before a ``#`` and a digest."""
    if not isinstance(name, str) or not 0 < len(name.strip()) <= LONGEST_NAME or not name.isprintable() or "#" in name:
        raise refuse("name", f"text of at most {LONGEST_NAME} printable characters without '#'", repr(name))


def broadcast(name: str, value: Values, shape: tuple[int, ...]) -> Tensor:
    """A part for every input of a sample of `shape`; an `InputError` where it has another shape."""
    assert isinstance(value, Tensor)
    try:
        return value.expand(shape)
    except RuntimeError:
        raise refuse(name, f"broadcastable to {shape}", f"shape {tuple(value.shape)}") from None


def shown(bound: Values, missing: str) -> str:
    """One end of a box in a few characters."""
    if bound is None:
        return missing
    assert isinstance(bound, Tensor)
    return f"{float(bound):g}" if bound.numel() == 1 else "per feature"


FACTS: dict[str, tuple[str, Callable[[Any], str]]] = {  # what is shown of a part, by what it is called then
    "name": ("name", str),
    "edits": ("edits", lambda part: part.describe()),
    "columns": ("groups", lambda part: str(part.unique().numel())),
    "cost": ("cost", lambda part: shown(part, "")),
    "mutable": ("mutable", lambda part: f"{int(part.sum())} of {part.numel()}"),
    "direction": ("direction", lambda part: f"{int((part > 0).sum())} only up, {int((part < 0).sum())} only down"),
    "limits": ("limits", lambda part: "by what stands in the sample"),
}
