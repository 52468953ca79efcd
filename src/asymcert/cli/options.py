"""Command-line options made from the fields of a dataclass, and the parsers of shared ones."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from typing import Annotated, Any, get_type_hints

import typer

from asymcert._checks import check_norm, refuse
from asymcert.evaluate.labels import COLUMNS
from asymcert.threats.words import KINDS

COUNTED = ("0", "l0", COLUMNS)  # names of norm 0
SENTENCES = "sentences"  # whole ones that are added at no price
OF_METHOD = "Of the method (defaults are its own)"


def with_fields_of(
    *configs: type, panel: str, into: str = "overrides"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the command takes one option per field of the dataclasses, collected in its argument `into`.

    Fields of one name share an option, described as in every dataclass that describes it otherwise; a field with the
    name of one of the command's own arguments has none. Only options that were given are collected, so presets keep
    their own values for the others.
    """
    hints: dict[str, Any] = {}
    items: dict[str, list[Field[Any]]] = {}
    for config in configs:
        for item in fields(config):
            items.setdefault(item.name, []).append(item)
            hints.setdefault(item.name, get_type_hints(config)[item.name])

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != into]
        offered = {name: same for name, same in items.items() if name not in [p.name for p in own]}
        generated = [_parameter(same, hints[name], panel) for name, same in offered.items()]

        def wrapper(**arguments: Any) -> Any:
            given = {name: arguments.pop(name) for name in offered}
            overrides = {name: _parse(name, hints[name], value) for name, value in given.items() if value is not None}
            return command(**arguments, **{into: overrides})

        wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
        wrapper.__signature__ = inspect.Signature([*own, *generated])  # pyright: ignore[reportFunctionMemberAccess]
        wrapper.__annotations__ = {p.name: p.annotation for p in [*own, *generated]}
        return wrapper

    return decorate


def _parameter(same: list[Field[Any]], hint: Any, panel: str) -> inspect.Parameter:
    """A keyword parameter that Typer turns into ``--name``; None means not given."""
    name = same[0].name
    flag = f"--{name.replace('_', '-')}"
    text = " ".join(dict.fromkeys(map(_help, same)))
    names = (f"{flag}/--no-{flag[2:]}",) if hint is bool else (*same[0].metadata.get("flags", ()), flag)
    option = typer.Option(*names, help=text, rich_help_panel=panel, show_default=False)
    kind = next((kind for kind in (bool, int, float) if hint in (kind, kind | None)), str)
    kind = list[str] if hint == Sequence[str] else kind
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _help(item: Field[Any]) -> str:
    choices = item.metadata.get("choices")
    return item.metadata["help"] + (f" One of {', '.join(choices)}." if choices else "")


def _parse(name: str, hint: Any, value: Any) -> Any:
    """Tuples of integers come as ``200,50``, tuples of those as ``16,3,1;32,3,2``."""
    if hint == tuple[int, ...]:
        return _integers(name, value)
    if hint == tuple[tuple[int, int, int], ...]:
        return tuple(_integers(name, part) for part in value.split(";") if part)
    return value


def _integers(name: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        remedy = f"Example: --{name.replace('_', '-')} 200,50"
        raise refuse(name, "integers separated by commas", repr(text), remedy) from None


def parse_norm(text: str, counts: bool = False) -> float:
    """``1``, ``2``, ``1.5`` or ``inf``; with `counts` also ``0`` or ``columns``."""
    if text.lower() in COUNTED:
        if counts:
            return 0.0
        raise refuse("norm", "from 1 on here", repr(text), "Use certify, audit or export to count columns.")
    try:
        return check_norm(math.inf if text.lower().lstrip("l") == "inf" else float(text.lower().lstrip("l")))
    except ValueError as error:
        also = ", 'columns' for tables or 'words' for texts" if counts else ""
        raise refuse("norm", f"a number of at least 1, 'inf'{also}", repr(text)) from error


def parse_edits(text: str | None) -> tuple[dict[str, float], bool]:
    """Prices of kinds of edits, and whether sentences are added, from ``add,remove=2.5,sentences``; all by default."""
    prices: dict[str, float] = {}
    for part in KINDS if text is None else text.split(","):
        kind, _, price = part.partition("=")
        try:
            prices[kind] = float(price or 1.0)
        except ValueError:
            raise refuse("edits", "kinds of edits with prices", repr(part), "Example: add,remove=2.5") from None
    return prices, prices.pop(SENTENCES, None) is not None
