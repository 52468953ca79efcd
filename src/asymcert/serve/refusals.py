"""What a service answers a mistake with: a status, one line, and one line for each bad row (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from asymcert.errors import AsymcertError

MOST_LISTED = 100  # bad rows in one answer


class RequestError(AsymcertError):
    """A request that is not answered.

    Parameters
    ----------
    status
        Of HTTP, 400 to 599.
    detail
        What was wrong and how to put it right, in one line.
    problems
        What is wrong with each bad row, by its place in the request.
    headers
        That the answer carries besides.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        problems: Mapping[int, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(detail)
        self.status, self.problems, self.headers = status, dict(problems or {}), dict(headers or {})

    def to_dict(self) -> dict[str, Any]:
        """The answer's body, JSON-able."""
        content: dict[str, Any] = {"title": HTTPStatus(self.status).phrase, "status": self.status, "detail": str(self)}
        if self.problems:
            listed = list(self.problems.items())[:MOST_LISTED]
            content["problems"] = [{"row": row, "problem": one_line(text)} for row, text in listed]
        return content


def one_line(text: str) -> str:
    """The text as errors show it: line breaks and codes for terminals are escaped."""
    return str(AsymcertError(text))


def come_again(what: str) -> RequestError:
    """The refusal, with status 503, of a request that may succeed in a second."""
    return RequestError(503, f"{what} Come again in a second.", headers={"Retry-After": "1"})
