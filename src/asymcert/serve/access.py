"""Who may ask: a token from the environment, compared in constant time."""

from __future__ import annotations

import os
import secrets

from asymcert._checks import refuse
from asymcert.serve.refusals import RequestError

VARIABLE = "ASYMCERT_TOKEN"
LEAST = 16  # characters


def token_from_environment() -> str | None:
    """The token that requests must carry; None where everybody may ask.

    Raises
    ------
    InputError
        It is too short to be a secret.
    """
    token = os.environ.get(VARIABLE)
    if token is not None and len(token) < LEAST:
        raise refuse(VARIABLE, f"a secret of at least {LEAST} characters", f"{len(token)}", "Unset it to let all ask.")
    return token


def check_token(header: str | None, token: str | None) -> None:
    """Refuse, with status 401, a header ``Authorization`` that does not carry the token, where there is one."""
    if token is None:
        return
    scheme, _, given = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), token.encode()):
        what = "The header `Authorization` must be 'Bearer' and the service's token, got another one or none."
        raise RequestError(401, what, headers={"WWW-Authenticate": "Bearer"})


def check_may_reload(token: str | None) -> None:
    """Refuse, with status 403, to reload where nobody has a token."""
    if token is None:
        remedy = f"Start the service with {VARIABLE}, or send it SIGHUP."
        raise RequestError(403, f"A reload by POST needs a token, got a service without. {remedy}")
