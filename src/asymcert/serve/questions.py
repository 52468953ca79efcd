"""What a request asks, from the bytes of its body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asymcert._checks import LONGEST, did_you_mean
from asymcert._files import parse_json
from asymcert.serve.refusals import RequestError

ROWS, TEXTS, ARRAYS = SAMPLES = ("rows", "texts", "arrays")
FLAGS = ("reasons", "evasions")
KEYS = (*SAMPLES, "threats", *FLAGS)


@dataclass(frozen=True)
class Question:
    """A request that is well formed; whether its samples can be read is for the model to say.

    Parameters
    ----------
    kind
        ``"rows"``, ``"texts"`` or ``"arrays"``.
    samples
        At least one.
    threats
        Names of adversaries; none for the service's own choice.
    reasons
        Whether to say what carries each verdict.
    evasions
        Whether to give the cheapest changed row that is known to undo each verdict.
    """

    kind: str
    samples: Sequence[Any]
    threats: tuple[str, ...] = ()
    reasons: bool = False
    evasions: bool = False


def parse_question(body: bytes, most_rows: int) -> Question:
    """Read a request's body.

    Raises
    ------
    RequestError
        400 for what is no JSON, 413 for more than `most_rows` samples, 422 for JSON of another form.
    """
    try:
        content = parse_json(body, finite=True)
    except ValueError as error:
        raise RequestError(400, f"The body must be JSON, got something else ({_short(error)}).") from None
    if not isinstance(content, Mapping):
        raise RequestError(422, f"The body must be a JSON object, got {_kind(content)}. Send {{'rows': [...]}}.")
    for key in content:
        if key not in KEYS:
            hint = did_you_mean(key[:LONGEST], KEYS) or f"It takes {', '.join(KEYS)}."
            raise _refuse(repr(key), "left out", "it", hint)
    kind = _only_kind(content)
    samples = content[kind]
    if not isinstance(samples, list) or not samples:
        raise _refuse(kind, "a list of at least one sample", _kind(samples))
    if len(samples) > most_rows:
        got = f"{len(samples)}. Send several requests."
        raise RequestError(413, f"`{kind}` must be at most {most_rows} samples, got {got}")
    return Question(kind, samples, _threats(content), *(_flag(content, name) for name in FLAGS))


def _only_kind(content: Mapping[str, Any]) -> str:
    given = [name for name in SAMPLES if name in content]
    if len(given) != 1:
        raise RequestError(422, f"The body must have one of {', '.join(SAMPLES)}, got {' and '.join(given) or 'none'}.")
    return given[0]


def _threats(content: Mapping[str, Any]) -> tuple[str, ...]:
    names = content.get("threats", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _refuse("threats", "a list of names", _kind(names), "GET /v1/model lists them.")
    return tuple(dict.fromkeys(names))


def _flag(content: Mapping[str, Any], name: str) -> bool:
    value = content.get(name, False)
    if not isinstance(value, bool):
        raise _refuse(name, "true or false", _kind(value))
    return value


def _refuse(name: str, must_be: str, got: object, remedy: str = "") -> RequestError:
    return RequestError(422, f"`{_short(name)}` must be {must_be}, got {_short(got)}. {remedy}".rstrip())


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _kind(value: object) -> str:
    """What JSON calls a value."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    names = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return ("an empty " + names[type(value)].split()[1]) if value in ("", [], {}) else names[type(value)]
