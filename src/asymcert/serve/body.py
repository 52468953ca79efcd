"""Reading the body of a request within limits of size and time."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from asymcert.serve.options import ServeOptions
from asymcert.serve.questions import Question, parse_question
from asymcert.serve.refusals import RequestError

LARGE = 2**16  # bytes from which on a body is parsed beside the loop


async def read_question(request: Request, options: ServeOptions) -> Question:
    """What a request asks.

    Raises
    ------
    RequestError
        408 where the body comes too slowly, 411 or 413 where it is too long, 415 where it is not called JSON; and as
        `parse_question`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(415, "The header `Content-Type` must be application/json, got another one.")
    if "content-encoding" in request.headers:
        raise RequestError(415, "The header `Content-Encoding` must be left out, got one. Send plain JSON.")
    body = await _body(request, options)
    if len(body) < LARGE:
        return parse_question(body, options.max_rows)
    return await asyncio.to_thread(parse_question, body, options.max_rows)


async def _body(request: Request, options: ServeOptions) -> bytes:
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated[:20]) > options.max_body:
        raise _too_long(options)
    parts, size = [], 0
    try:
        async with asyncio.timeout(options.max_seconds):
            async for part in request.stream():
                size += len(part)
                if size > options.max_body:
                    raise _too_long(options)
                parts.append(part)
    except TimeoutError:
        limit = f"{options.max_seconds:g} seconds"
        raise RequestError(408, f"The body must arrive within {limit}. Send it at once.") from None
    except ClientDisconnect:
        raise RequestError(400, "The connection was closed before the whole body had arrived.") from None
    return b"".join(parts)


def _too_long(options: ServeOptions) -> RequestError:
    remedy = "Send several requests."
    return RequestError(413, f"The body must be at most {options.max_body} bytes, got more. {remedy}")
