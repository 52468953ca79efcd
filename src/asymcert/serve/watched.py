"""Around every request: time, status, a line in the log, and headers that keep a page to itself."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from asymcert.serve.logs import log
from asymcert.serve.metrics import Metrics
from asymcert.serve.refusals import RequestError

OTHER = "other"  # paths of no route: they may hold anything
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Watched:
    """Counts, times and logs the requests to an application.

    Parameters
    ----------
    app
        The application.
    metrics
        What counts.
    routes
        Paths that are named as they are.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: frozenset[str]):
        self.app, self.metrics, self.routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), None

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except Exception as error:  # a mistake of ours; what it says may quote a row
            log("failed", logging.ERROR, error)
            if status is None:
                await self._fail(sent)
        self._note(scope, status or 500, time.perf_counter() - start)

    async def _fail(self, send: Send) -> None:
        """Tell that it happened; no more than that."""
        refusal = RequestError(500, "The service failed at this request; it has been logged.")
        headers = [(b"content-type", b"application/problem+json")]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(refusal.to_dict()).encode()})

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self.routes else OTHER
        self.metrics.requests.labels(route, status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        rows = scope.get("state", {}).get("rows")
        method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else OTHER
        facts = {"method": method, "route": route, "status": status, "seconds": round(seconds, 6)}
        log("request", **facts, **({} if rows is None else {"rows": rows}))
