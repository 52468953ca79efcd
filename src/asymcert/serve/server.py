"""Processes of a service: one that serves, or several below one that watches over them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import torch
import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from starlette.types import ASGIApp

from asymcert._checks import check_count, refuse
from asymcert.serve import metrics
from asymcert.serve.access import token_from_environment
from asymcert.serve.app import create_app
from asymcert.serve.logs import log, set_up
from asymcert.serve.options import ServeOptions
from asymcert.serve.served import Source
from asymcert.serve.service import Service
from asymcert.serve.wire import LimitedHead

SWITCH_SECONDS = 0.0005  # the loop waits no longer for the model's thread to give way
BACKLOG = 2048  # connections that wait to be taken
LOOK_SECONDS = 0.2
SOON = 5.0  # seconds: a worker that dies within them is not started again


def serve(source: Source, options: ServeOptions, host: str, port: int, workers: int = 1) -> None:
    """Serve until told to stop by SIGTERM or SIGINT; requests that have come are answered first.

    Parameters
    ----------
    source
        Where the model comes from.
    options
        Limits.
    host, port
        Address; port 0 takes one that is free.
    workers
        Processes, each with a model of its own.

    Raises
    ------
    InputError
        The address cannot be used, or the token is too short.
    RunError
        The folder holds no model that can be used.
    """
    check_count("workers", workers)
    token_from_environment()
    source.load()  # a mistake is told here, in one line
    with listening_at(host, port) as listening:
        set_up()
        log("listening", host=host, port=listening.getsockname()[1], workers=workers)
        if workers == 1:
            _work(source, options, listening)
        else:
            with tempfile.TemporaryDirectory() as shared:
                os.environ[metrics.SHARED] = shared
                Supervisor(source, options, listening, workers).run()


def listening_at(host: str, port: int) -> socket.socket:
    """A socket that listens; an `InputError` where the address cannot be used."""
    check_count("port", port, 0)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        raise refuse("--host, --port", "an address of this machine that is free", f"{host}, {port} ({error})") from None


def _work(source: Source, options: ServeOptions, listening: socket.socket, supervisor: int | None = None) -> None:
    """One worker."""
    set_up()
    torch.set_num_threads(1)
    sys.setswitchinterval(SWITCH_SECONDS)
    app = create_app(Service(source, options, token_from_environment()), supervisor)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopped)
    uvicorn.Server(configured(app, options)).run([listening])


def configured(app: ASGIApp, options: ServeOptions) -> uvicorn.Config:
    """How uvicorn runs an application."""
    return uvicorn.Config(
        app,
        http=LimitedHead,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=int(options.max_seconds) + 1,
    )


def _stopped(*_: object) -> None:
    """What uvicorn raises again when it has stopped for a signal: that is no failure."""


class Supervisor:
    """Starts workers, passes signals on to them, and starts a new one for each that dies.

    Parameters
    ----------
    source, options
        As of `serve`.
    listening
        The socket that all of them take connections from.
    workers
        How many.
    """

    def __init__(self, source: Source, options: ServeOptions, listening: socket.socket, workers: int):
        self.arguments = (source, options, listening, os.getpid())
        self.context = get_context("spawn")
        self.stopping = threading.Event()
        self.workers = {self._new(): time.monotonic() for _ in range(workers)}

    def run(self) -> None:
        """Until told to stop, or a worker dies as soon as it is started."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        signal.signal(signal.SIGHUP, lambda *_: self._tell(signal.SIGHUP))
        while not self.stopping.wait(LOOK_SECONDS):
            for worker in [worker for worker in self.workers if not worker.is_alive()]:
                self._replace(worker)
        self._tell(signal.SIGTERM)
        for worker in self.workers:
            worker.join()

    def _new(self) -> BaseProcess:
        worker = self.context.Process(target=_work, args=self.arguments)
        worker.start()
        return worker

    def _replace(self, dead: BaseProcess) -> None:
        lived = time.monotonic() - self.workers.pop(dead)
        log("worker died", logging.ERROR, code=dead.exitcode)
        if dead.pid is not None:
            mark_process_dead(dead.pid)
        if lived < SOON:
            self.stopping.set()
        else:
            self.workers[self._new()] = time.monotonic()

    def _tell(self, number: int) -> None:
        for worker in self.workers:
            if worker.pid is not None and worker.is_alive():
                os.kill(worker.pid, number)
