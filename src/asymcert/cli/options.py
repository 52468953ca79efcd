"""Command-line options made from the fields of a dataclass, and the parsers of shared ones."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Annotated, Any, get_type_hints

import typer

from asymcert._checks import check_norm, refuse


def with_fields_of(config: type, panel: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the command takes one option per field of `config`, collected in its argument ``overrides``.

    Only options that were given reach ``overrides``, so presets keep their own values for the others.
    """
    hints = get_type_hints(config)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "overrides"]
        generated = [_parameter(item, hints[item.name], panel) for item in fields(config)]

        def wrapper(**arguments: Any) -> Any:
            given = {item.name: arguments.pop(item.name) for item in fields(config)}
            overrides = {name: _parse(hints[name], value) for name, value in given.items() if value is not None}
            return command(**arguments, overrides=overrides)

        wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
        wrapper.__signature__ = inspect.Signature([*own, *generated])  # pyright: ignore[reportFunctionMemberAccess]
        wrapper.__annotations__ = {p.name: p.annotation for p in [*own, *generated]}
        return wrapper

    return decorate


def _parameter(item: Field[Any], hint: Any, panel: str) -> inspect.Parameter:
    """A keyword parameter that Typer turns into ``--name``; None means not given."""
    flag = f"--{item.name.replace('_', '-')}"
    choices = item.metadata.get("choices")
    text = item.metadata["help"] + (f" One of {', '.join(choices)}." if choices else "")
    names = (f"{flag}/--no-{flag[2:]}",) if hint is bool else (flag,)
    option = typer.Option(*names, help=text, rich_help_panel=panel, show_default=False)
    kind = hint if hint in (bool, int, float) else str
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _parse(hint: Any, value: Any) -> Any:
    """Tuples of integers come as ``200,50``."""
    if hint == tuple[int, ...]:
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            raise refuse("hidden", "integers separated by commas", repr(value), "Example: --hidden 200,50") from None
    return value


def parse_norm(text: str) -> float:
    """``1``, ``2``, ``1.5`` or ``inf``."""
    try:
        return check_norm(math.inf if text.lower().lstrip("l") == "inf" else float(text.lower().lstrip("l")))
    except ValueError as error:
        raise refuse("norm", "a number of at least 1, or inf", repr(text)) from error
