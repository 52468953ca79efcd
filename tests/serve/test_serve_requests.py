"""Every mistake is answered with its own status and one line; tokens, limits, pages, counters and logs."""

import asyncio
import json
import logging
import re
import socket
import time

import pytest

from asymcert.errors import InputError
from asymcert.serve import wire
from asymcert.serve.access import token_from_environment
from asymcert.serve.options import ServeOptions
from asymcert.serve.refusals import MOST_LISTED
from serve.conftest import asked
from serve.runs import table_frame

ROW = table_frame().drop("class").to_dicts()[1]
TOKEN = "a secret that is long"
MISTAKES = {
    "no JSON": (b"{", 400, "must be JSON"),
    "nothing": (b"", 400, "must be JSON"),
    "a key twice": (b'{"rows": [], "rows": []}', 400, "a key is repeated"),
    "not a number": (b'{"rows": [{"size": NaN}]}', 400, "a number is nan"),
    "beyond all floats": (b'{"rows": [{"size": 1e999}]}', 400, "a number is inf"),
    "too deep": (b'{"rows": ' + b"[" * 10**5 + b"]" * 10**5 + b"}", 400, "more than 100 levels"),
    "no text": (b'{"rows": [{"size": "\\ud800"}]}', 400, "must be JSON"),
    "a list": (b"[]", 422, "must be a JSON object, got an empty list"),
    "null": (b"null", 422, "got null"),
    "an unknown key": ({"row": [ROW]}, 422, "Did you mean rows?"),
    "a path": ({"rows": [ROW], "threat": "/etc/passwd"}, 422, "Did you mean threats?"),
    "no samples": ({"threats": ["columns"]}, 422, "one of rows, texts, arrays, got none"),
    "two kinds": ({"rows": [ROW], "texts": ["a"]}, 422, "got rows and texts"),
    "no list": ({"rows": ROW}, 422, "`rows` must be a list of at least one sample, got an object"),
    "an empty list": ({"rows": []}, 422, "got an empty list"),
    "texts to a table": ({"texts": ["a"]}, 422, "Send `rows`"),
    "arrays to a table": ({"arrays": [[1]]}, 422, "Send `rows`"),
    "an unknown threat": ({"rows": [ROW], "threats": ["column"]}, 422, "Did you mean columns?"),
    "a threat that is none": ({"rows": [ROW], "threats": [2]}, 422, "`threats` must be a list of names"),
    "a flag that is none": ({"rows": [ROW], "evasions": "yes"}, 422, "`evasions` must be true or false, got a text"),
    "reasons without columns": ({"rows": [ROW], "threats": ["l1"], "reasons": True}, 422, "among `threats`"),
    "an unknown column": ({"rows": [ROW | {"sise": 1}]}, 422, "unknown columns: 'sise'"),
    "a missing column": ({"rows": [{"size": 1}]}, 422, "lacks the columns: 'rate', 'gaps', 'kind'"),
    "a wrong type": ({"rows": [ROW | {"size": {}}]}, 422, "'size' must be a number or a text"),
    "no number": ({"rows": [ROW | {"size": "big"}]}, 422, "size: 'big' is no number"),
    "no row": ({"rows": [3]}, 422, "must be an object"),
    "too many rows": ({"rows": [ROW] * 1001}, 413, "at most 1000 samples, got 1001"),
    "too long": (b" " * (4 * 2**20 + 1), 413, "at most 4194304 bytes"),
}


def post(client, body, **options):
    headers = {"content-type": "application/json"} | options.pop("headers", {})
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    return client.post("/v1/certify", content=content, headers=headers)


def is_problem(response, status, text):
    content = response.json()
    assert response.status_code == content["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert text in content["detail"]
    assert len(content["detail"].splitlines()) == 1
    assert "Traceback" not in response.text
    return content


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(table, mistake):
    body, status, text = MISTAKES[mistake]
    is_problem(post(table, body), status, text)


def test_rows_for_a_model_without_columns(images):
    is_problem(post(images, {"rows": [ROW]}), 422, "`rows` must be left out for this model, got some. Send `arrays`")
    is_problem(post(images, {"arrays": [[0.5] * 9], "reasons": True}), 422, "must be left out for these threats")
    is_problem(post(images, {"arrays": [[0.5] * 9] * 21}), 413, "at most 20 samples")


def test_bad_rows_are_listed_up_to_a_number(table):
    content = is_problem(post(table, {"rows": [1] * 500}), 422, "No row can be read")
    assert [item["row"] for item in content["problems"]] == list(range(MOST_LISTED))


def test_many_texts_are_not_explained(texts):
    is_problem(post(texts, {"texts": ["cash"] * 17, "reasons": True}), 413, "at most 16 to be explained")


def test_other_types_and_packed_bodies_are_refused(table):
    is_problem(post(table, {"rows": [ROW]}, headers={"content-type": "text/plain"}), 415, "`Content-Type`")
    is_problem(post(table, {"rows": [ROW]}, headers={"content-encoding": "gzip"}), 415, "`Content-Encoding`")
    is_problem(table.get("/v1/certify"), 405, "another method")
    is_problem(table.get("/v1/secret/../x"), 404, "no such path")


def test_a_body_of_unknown_length_is_cut_off(table_run):
    with asked(table_run, max_body=1000) as client:
        is_problem(post(client, b" " * 1001), 413, "at most 1000 bytes")
        is_problem(post(client, (b" " * 100 for _ in range(11))), 413, "at most 1000 bytes")
        assert post(client, {"rows": [ROW]}).status_code == 200


def test_a_slow_body_is_given_up(table_run):
    head = b"POST /v1/certify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with asked(table_run, max_seconds=0.3) as client, socket.create_connection(("127.0.0.1", client.port)) as slow:
        slow.settimeout(10)
        slow.sendall(head)
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_comes_slowly_is_given_up(table_run, monkeypatch):
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.3)
    with asked(table_run) as client, socket.create_connection(("127.0.0.1", client.port)) as slow:
        slow.settimeout(10)
        slow.sendall(b"POST /v1/certify HTTP/1.1\r\nHost")
        assert slow.recv(100).startswith(b"HTTP/1.1 400 ")
        assert client.get("/healthz").status_code == 200
        time.sleep(0.5)
        assert client.get("/healthz").status_code == 200  # a connection that waits for its next request is left alone


def test_a_request_that_takes_too_long_is_given_up(table_run, monkeypatch):
    with asked(table_run, max_seconds=0.2) as client:
        served = client.service.model
        monkeypatch.setattr(type(served), "answers", lambda *_: time.sleep(0.6))
        is_problem(post(client, {"rows": [ROW]}), 504, "within 0.2 seconds")
        monkeypatch.undo()
        time.sleep(0.6)
        assert post(client, {"rows": [ROW]}).status_code == 200


def test_too_many_waiting_requests_are_told_to_come_again(table_run, monkeypatch):
    with asked(table_run, max_waiting=1) as client:
        monkeypatch.setattr(client.service.batches.queue, "put_nowait", _full)
        response = post(client, {"rows": [ROW]})
        is_problem(response, 503, "Come again")
        assert response.headers["retry-after"] == "1"


def _full(_):
    raise asyncio.QueueFull


def test_a_failure_tells_nothing_and_stops_no_other(table_run, monkeypatch, caplog):
    with asked(table_run) as client:
        kind = type(client.service.model)
        works = kind.answers

        def answers(self, asked, kind, parts, most):
            if any(row["size"] == 13 for part in parts for row in part):
                raise RuntimeError(f"secret {parts}")
            return works(self, asked, kind, parts, most)

        monkeypatch.setattr(kind, "answers", answers)
        with caplog.at_level(logging.INFO, "asymcert.serve"):
            content = is_problem(post(client, {"rows": [ROW | {"size": 13}]}), 500, "has been logged")
        assert "secret" not in json.dumps(content)
        assert post(client, {"rows": [ROW]}).status_code == 200


def test_a_token_is_asked_for(table_run):
    with asked(table_run, TOKEN) as client:
        for path in ("/v1/model", "/metrics"):
            is_problem(client.get(path), 401, "`Authorization`")
        for header in ("Bearer another", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer \xe9"):
            response = post(client, {"rows": [ROW]}, headers={"authorization": header.encode()})
            is_problem(response, 401, "`Authorization`")
            assert response.headers["www-authenticate"] == "Bearer"
        good = {"authorization": f"Bearer {TOKEN}"}
        assert post(client, {"rows": [ROW]}, headers=good).status_code == 200
        assert client.get("/v1/model", headers=good).status_code == 200
        assert {client.get(path).status_code for path in ("/", "/healthz", "/readyz", "/docs")} == {200}


def test_a_short_token_is_refused(monkeypatch):
    monkeypatch.setenv("ASYMCERT_TOKEN", "short")
    with pytest.raises(InputError, match=r"`ASYMCERT_TOKEN` must be a secret of at least 16 characters, got 5\."):
        token_from_environment()
    monkeypatch.delenv("ASYMCERT_TOKEN")
    assert token_from_environment() is None


@pytest.mark.parametrize("limit", ["max_body", "max_rows", "max_seconds", "max_waiting", "batch_rows"])
def test_limits_are_positive(limit):
    with pytest.raises(InputError, match=f"`{limit}` must be"):
        ServeOptions(**{limit: 0})


def test_the_model_is_described(table, images):
    told = table.get("/v1/model").json()
    assert told["digests"]["model"] == table.service.model.digest
    assert told["classes"] == {"sensitive": "bad", "other": "good"}
    assert [column["name"] for column in told["columns"]] == ["size", "rate", "gaps", "kind"]
    assert set(told["columns"][3]["values"]) == {"doc", "exe", "pdf"}
    assert list(told["threats"]) == ["columns", "l1", "l2", "linf"]
    assert told["limits"] == {"max_body": 4 * 2**20, "max_rows": 1000}
    assert told["card"] is None
    assert images.get("/v1/model").json()["takes"] == ["arrays"]


def test_health_and_readiness(table):
    assert table.get("/healthz").json() == {"status": "ok"}
    assert table.get("/readyz").json() == {"status": "ready", "model": table.service.model.digest}
    before, table.service.served = table.service.served, None
    is_problem(table.get("/readyz"), 503, "being read")
    table.service.served = before


def test_openapi_names_every_route(table):
    paths = table.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/v1/certify", "/v1/reload", "/v1/model", "/metrics", "/healthz", "/readyz"}
    assert "rows" in json.dumps(paths["/v1/certify"]["post"]["requestBody"])


def test_counters(table):
    before = counter(table, 'asymcert_rows_total{outcome="answered"}')
    post(table, {"rows": [ROW, ROW, 1]})
    assert counter(table, 'asymcert_rows_total{outcome="answered"}') == before + 2
    assert counter(table, 'asymcert_requests_total{route="/v1/certify",status="200"}') >= 1
    assert counter(table, "asymcert_ready") == 1


def counter(client, name):
    found = re.search(rf"^{re.escape(name)} (.*)$", client.get("/metrics").text, re.M)
    return float(found[1]) if found else 0.0


def test_logs_tell_of_requests_and_not_of_rows(table, caplog):
    with caplog.at_level(logging.INFO, "asymcert.serve"):
        post(table, {"rows": [ROW | {"kind": "confidential"}, {"secret column": "secret"}]})
        table.get("/secret/path?secret=1")
    facts = [record.facts for record in caplog.records if record.message == "request"]
    assert [(each["route"], each["status"]) for each in facts] == [("/v1/certify", 200), ("other", 404)]
    assert facts[0]["rows"] == 2
    assert not re.search("confidential|secret", json.dumps(facts))


def test_pages_keep_to_themselves(table):
    for path in ("/", "/docs"):
        response = table.get(path)
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
