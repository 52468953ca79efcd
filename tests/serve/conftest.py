"""Services on small runs, each on a port of the loopback while the tests that ask it run."""

import asyncio
import threading
import time
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.responses import Response

from asymcert.cli.serve_commands import source_for
from asymcert.serve.app import create_app
from asymcert.serve.options import ServeOptions
from asymcert.serve.server import configured, listening_at
from asymcert.serve.service import Service
from serve import runs


async def driven():
    """The page with a script that does what a person does."""
    page = files("asymcert.serve").joinpath("pages", "index.html").read_text(encoding="utf-8")
    script = '<script type="module" src="/assets/drive.js"></script></body>'
    return Response(page.replace("</body>", script), media_type="text/html")


async def drive():
    return Response((Path(__file__).parent / "drive.js").read_bytes(), media_type="text/javascript")


class Running:
    """A service in a thread of its own: what a client asks, and what it is inside."""

    def __init__(self, service):
        self.service = service
        self.socket = listening_at("127.0.0.1", 0)
        self.port = self.socket.getsockname()[1]
        app = create_app(service)
        app.add_api_route("/driven", driven, include_in_schema=False)
        app.add_api_route("/assets/drive.js", drive, include_in_schema=False)
        self.server = uvicorn.Server(configured(app, service.options))
        self.thread = threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True)

    async def _serve(self):
        self.loop = asyncio.get_running_loop()
        await self.server.serve([self.socket])

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive(), "the service did not start"
            time.sleep(0.01)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        self.get, self.post, self.stream = self.client.get, self.client.post, self.client.stream
        return self

    def __exit__(self, *_):
        self.client.close()
        self.server.should_exit = True
        self.thread.join(20)

    def call(self, function, *arguments):
        """What a coroutine function gives, in the service's loop."""
        return asyncio.run_coroutine_threadsafe(function(*arguments), self.loop).result(30)


@contextmanager
def asked(run, token=None, norm=None, engine="model", **options):
    """A service on a run."""
    with Running(Service(source_for(run.path, norm, engine=engine), ServeOptions(**options), token)) as running:
        yield running


@pytest.fixture(scope="session")
def table_run(tmp_path_factory):
    return runs.table_run(tmp_path_factory.mktemp("table") / "run")


@pytest.fixture(scope="session")
def text_run(tmp_path_factory):
    return runs.text_run(tmp_path_factory.mktemp("text") / "run")


@pytest.fixture(scope="session")
def image_run(tmp_path_factory):
    return runs.image_run(tmp_path_factory.mktemp("image") / "run")


@pytest.fixture(scope="session")
def table(table_run):
    with asked(table_run) as client:
        yield client


@pytest.fixture(scope="session")
def texts(text_run):
    with asked(text_run) as client:
        yield client


@pytest.fixture(scope="session")
def images(image_run):
    with asked(image_run, max_rows=20) as client:
        yield client
