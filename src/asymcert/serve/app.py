"""The application: routes, and one line of problem+json for every mistake."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from asymcert._files import jsonable
from asymcert._version import __version__
from asymcert.serve.access import check_may_reload, check_token
from asymcert.serve.body import read_question
from asymcert.serve.refusals import RequestError
from asymcert.serve.schema import CertifyAnswer, CertifyRequest, of_request, refused
from asymcert.serve.service import Service
from asymcert.serve.watched import Watched

PAGES = {
    "/": ("index.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/assets/style.css": ("style.css", "text/css"),
    "/assets/page.js": ("page.js", "text/javascript"),
    "/assets/show.js": ("show.js", "text/javascript"),
    "/assets/csv.js": ("csv.js", "text/javascript"),
    "/assets/docs.js": ("docs.js", "text/javascript"),
    "/assets/icon.svg": ("icon.svg", "image/svg+xml"),
}


def create_app(service: Service, supervisor: int | None = None) -> FastAPI:
    """The application of one worker.

    Parameters
    ----------
    service
        What it answers from.
    supervisor
        Process that passes a reload on to all workers; None where there is one worker.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        if threading.current_thread() is threading.main_thread():  # others get no signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.reload_soon)
        yield
        await service.stop()

    app = FastAPI(
        title="asymcert",
        version=__version__,
        summary="Verdicts, and certified radii within which no change undoes them.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    _add_certify(app, service)
    _add_reload(app, service, supervisor)
    _add_state(app, service)
    _add_pages(app)
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _not_found)
    paths = frozenset(route.path for route in app.routes if isinstance(route, Route))
    app.add_middleware(Watched, metrics=service.metrics, routes=paths)
    return app


def _add_certify(app: FastAPI, service: Service) -> None:
    responses = {200: {"model": CertifyAnswer}} | refused(400, 401, 408, 413, 415, 422, 503, 504)

    @app.post("/v1/certify", openapi_extra=of_request(CertifyRequest), responses=responses)
    async def certify(request: Request) -> Response:
        """Verdict, margin and certified radii of each sample; where no sample can be read, a problem."""
        check_token(request.headers.get("authorization"), service.token)
        question = await read_question(request, service.options)
        served = service.model
        request.state.rows = len(question.samples)
        answers = await service.batches.answer(served, question)
        bad = {row: answer["problem"] for row, answer in enumerate(answers) if answer["problem"] is not None}
        service.metrics.rows.labels("problem").inc(len(bad))
        if len(bad) == len(answers):
            raise RequestError(422, f"No row can be read, the first: {bad[0]}.", bad)
        service.metrics.rows.labels("answered").inc(len(answers) - len(bad))
        return _json({"model": served.digest, "answers": answers})


def _add_reload(app: FastAPI, service: Service, supervisor: int | None) -> None:
    @app.post("/v1/reload", responses=refused(401, 403, 409))
    async def reload(request: Request) -> Response:
        """Read the model anew from the folder that the service was started with; with several workers, in each."""
        check_may_reload(service.token)
        check_token(request.headers.get("authorization"), service.token)
        if supervisor is not None:
            os.kill(supervisor, signal.SIGHUP)
            return _json({"reload": "all workers were told"}, 202)
        return _json({"model": (await service.reload()).digest})


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/v1/model", responses=refused(401, 503))
    async def model(request: Request) -> Response:
        """The model: digests, classes, columns, threats, limits, and its card where one was written."""
        check_token(request.headers.get("authorization"), service.token)
        limits = {"max_body": service.options.max_body, "max_rows": service.options.max_rows}
        return _json(service.model.described | {"limits": limits})

    @app.get("/metrics", responses=refused(401))
    async def metrics(request: Request) -> Response:
        """Counters for Prometheus."""
        check_token(request.headers.get("authorization"), service.token)
        return Response(service.metrics.text(), media_type=service.metrics.content_type)

    @app.get("/healthz")
    async def healthz() -> Response:
        """The process runs."""
        return _json({"status": "ok"})

    @app.get("/readyz", responses=refused(503))
    async def readyz() -> Response:
        """The model can be asked."""
        return _json({"status": "ready", "model": service.model.digest})


def _add_pages(app: FastAPI) -> None:
    folder = files("asymcert.serve").joinpath("pages")
    for path, (name, kind) in PAGES.items():
        content = folder.joinpath(name).read_bytes()
        app.add_api_route(path, _page(content, kind), include_in_schema=False)


def _page(content: bytes, kind: str) -> Any:
    async def page() -> Response:
        return Response(content, media_type=f"{kind}; charset=utf-8")

    return page


def _json(content: Any, status: int = 200, kind: str = "application/json", headers: Any = None) -> Response:
    text = json.dumps(jsonable(content), ensure_ascii=False, allow_nan=False)
    return Response(text.encode("utf-8", "replace"), status, headers, f"{kind}")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _json(error.to_dict(), error.status, "application/problem+json", error.headers)


async def _not_found(request: Request, error: Exception) -> Response:
    """Of paths and methods that there are not."""
    assert isinstance(error, HTTPException)
    detail = {404: "There is no such path. GET /docs lists them.", 405: "The path takes another method: see GET /docs."}
    refusal = RequestError(error.status_code, detail.get(error.status_code, "The request cannot be answered."))
    refusal.headers.update(error.headers or {})
    return await _refused(request, refusal)
