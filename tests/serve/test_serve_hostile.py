"""Whatever a stranger sends is answered with a status of his mistake, soon, in memory that fits what he sent."""

import socket
import time
from contextlib import suppress
from functools import cache

import pytest

from contracts.readers import peak, reset_peak
from serve.hostile import bodies
from serve.runs import table_frame

ROW = table_frame().drop("class").to_dicts()[1]
MOST_SECONDS = 3.0
MOST_MEMORY = 300 * 2**20
HEADERS = {"content-type": "application/json"}
WIRE = {
    "no HTTP": b"hello\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "no host": b"POST /v1/certify HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    "a negative length": b"POST /v1/certify HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /v1/certify HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a bad chunk": b"POST /v1/certify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a great length": b"POST /v1/certify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Content-Length: 99999999999\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 10**6 + b"\r\n\r\n",
}


@cache
def kinds():
    return dict(bodies(ROW, [0.5] * 9))


def test_there_are_two_hundred_kinds():
    assert len(kinds()) >= 200


@pytest.mark.parametrize("service", ["table", "images", "texts"])
def test_hostile_bodies(service, request):
    client = request.getfixturevalue(service)
    assert client.get("/readyz").status_code == 200
    for name, body in kinds().items():
        before, start = reset_peak(), time.perf_counter()
        response = client.post("/v1/certify", content=body, headers=HEADERS)
        seconds, memory = time.perf_counter() - start, peak() - before
        assert 400 <= response.status_code < 500, name
        detail = response.json()["detail"]
        assert len(detail.splitlines()) == 1, name
        assert len(detail) < 2000, name
        assert len(response.content) < 100_000, name
        assert seconds < MOST_SECONDS, name
        assert memory < MOST_MEMORY, name
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("name", WIRE)
def test_what_is_no_request_is_refused(table, name):
    with socket.create_connection(("127.0.0.1", table.port), timeout=10) as wire:
        answer = b""
        with suppress(OSError):  # the service may hang up before all is sent
            wire.sendall(WIRE[name])
            wire.shutdown(socket.SHUT_WR)
            answer = wire.recv(100)
    assert answer == b"" or answer.split()[1].startswith(b"4"), answer
    assert table.get("/healthz").status_code == 200


def test_a_connection_that_ends_in_the_middle_stops_nobody(table):
    head = b"POST /v1/certify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", table.port), timeout=10) as wire:
            wire.sendall(head)
    assert table.post("/v1/certify", json={"rows": [ROW]}).status_code == 200
