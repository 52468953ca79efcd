"""A server of S3 on the loopback: the program moto_server, of an environment of its own where this one has none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from contracts.lake_runs import wait_for

SERVER = os.environ.get("MOTO_SERVER") or shutil.which("moto_server")
ABSENT = "no moto_server on the path or named by MOTO_SERVER; it comes with moto[server]"
ADDRESS = "127.0.0.1"
BUCKET = "lakes"


@contextmanager
def s3_server(log: Path) -> Iterator[str]:
    """The address of an empty bucket, to which the environment leads while the block runs; requests are logged."""
    assert SERVER is not None, ABSENT
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port = probe.getsockname()[1]
    endpoint = f"http://{ADDRESS}:{port}"
    settings = {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    settings |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "any")
    with log.open("wb") as file:
        server = subprocess.Popen([SERVER, "-H", ADDRESS, "-p", str(port)], stdout=file, stderr=file)
        try:
            wait_for(lambda: _answers(server, endpoint))
            with mock.patch.dict(os.environ, settings):
                _request(f"{endpoint}/{BUCKET}", "PUT")
                yield f"s3://{BUCKET}"
        finally:
            server.terminate()
            server.wait(20)


def _answers(server: subprocess.Popen[bytes], endpoint: str) -> bool:
    assert server.poll() is None, "the server has ended"
    try:
        return _request(f"{endpoint}/moto-api/", "GET")
    except OSError:
        return False


def _request(address: str, method: str) -> bool:
    with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=10) as answer:
        return answer.status == 200
