"""How much a service takes from a stranger."""

from __future__ import annotations

from dataclasses import dataclass

from asymcert._checks import check_count, check_number, option


@dataclass(frozen=True)
class ServeOptions:
    """Limits of a service; each field is an option of ``asymcert serve``.

    Parameters
    ----------
    max_body
        Bytes of a request's body.
    max_rows
        Rows, texts or arrays of a request.
    max_seconds
        For reading a request, and for answering it.
    max_waiting
        Requests that wait for the model; further ones are told to come again.
    batch_rows
        Rows that are certified together.

    Raises
    ------
    InputError
        A limit is no positive number.
    """

    max_body: int = option(4 * 2**20, "Most bytes of a request.", low=1)
    max_rows: int = option(1000, "Most rows of a request.", low=1)
    max_seconds: float = option(30.0, "Most seconds for reading a request, and for answering it.")
    max_waiting: int = option(1024, "Most requests that wait for the model.", low=1)
    batch_rows: int = option(256, "Most rows that are certified together.", low=1)

    def __post_init__(self) -> None:
        for name in ("max_body", "max_rows", "max_waiting", "batch_rows"):
            check_count(name, getattr(self, name))
        check_number("max_seconds", self.max_seconds, 0.0, 3600.0, open_low=True)
