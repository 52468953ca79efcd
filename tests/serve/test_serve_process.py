"""The command as it is run: it reloads and stops without dropping a request, and workers that die are replaced."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from asymcert.cli.app import app, main
from asymcert.runs.folder import RunFolder
from serve.conftest import asked
from serve.runs import table_frame

ROWS = table_frame().drop("class").head(3).to_dicts()
TOKEN = "a secret that is long"
HEADERS = {"authorization": f"Bearer {TOKEN}"}
SECONDS = 60  # for a process to start or to stop


@contextmanager
def started(folder, *options):
    """The command in a process of its own: the process, where to ask, and its log."""
    command = [sys.executable, "-m", "asymcert", "serve", str(folder), "--port", "0", *options]
    log = folder.parent / "serve.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            command, stderr=out, stdout=subprocess.DEVNULL, env=os.environ | {"ASYMCERT_TOKEN": TOKEN}
        ) as process,
    ):
        try:
            address = f"http://127.0.0.1:{_port(process, log)}"
            yield process, address, log
        finally:
            process.terminate()
            assert process.wait(SECONDS) == 0, log.read_text()


def _port(process, log):
    for _ in range(SECONDS * 10):
        assert process.poll() is None, log.read_text()
        found = [line for line in lines_of(log) if line["event"] == "listening"]
        if found and _answers(found[0]["port"]):
            return found[0]["port"]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def _answers(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def lines_of(log):
    """All that was logged; every line is JSON."""
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def copied(table_run, tmp_path):
    """A run that a test may change."""
    shutil.copytree(table_run.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def replace_model(run):
    """Another threshold, as `asymcert threshold` sets it; returns the digest."""
    model = run.load_model()
    model = model.with_threshold(model.threshold + 0.01)
    run.change(run.facts(), model)
    return model.digest


class Asking(threading.Thread):
    """Asks again and again, by connections that live."""

    def __init__(self, address):
        super().__init__()
        self.address, self.digests, self.failures, self.over = address, [], [], threading.Event()

    def run(self):
        with httpx.Client(base_url=self.address, headers=HEADERS, timeout=30) as client:
            while not self.over.is_set():
                try:
                    response = client.post("/v1/certify", json={"rows": ROWS})
                    self.digests.append(response.raise_for_status().json()["model"])
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))


@contextmanager
def asking(address, count=4):
    threads = [Asking(address) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.over.set()
        for thread in threads:
            thread.join(60)


def until(test):
    for _ in range(SECONDS * 10):
        if test():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize("way", ["signal", "post"])
def test_a_reload_drops_no_request(copied, way):
    with started(copied.path) as (process, address, log):
        with asking(address) as threads:
            until(lambda: all(len(thread.digests) > 3 for thread in threads))
            digest = replace_model(copied)
            if way == "signal":
                process.send_signal(signal.SIGHUP)
            else:
                assert httpx.post(f"{address}/v1/reload", headers=HEADERS).json() == {"model": digest}
            until(lambda: all(thread.digests[-1] == digest for thread in threads))
        assert [thread.failures for thread in threads] == [[]] * 4
        assert all(thread.digests[0] != digest for thread in threads)
    assert "size" not in log.read_text()


def test_a_model_that_cannot_be_read_changes_nothing(copied):
    with asked(copied, TOKEN) as running:
        before = running.service.model.digest
        copied.model_path.write_bytes(b"no model")
        response = running.post("/v1/reload", headers=HEADERS)
        assert response.status_code == 409
        assert "The earlier model stays" in response.json()["detail"]
        assert str(copied.path) not in response.text
        found = running.post("/v1/certify", json={"rows": ROWS}, headers=HEADERS).json()
        assert found["model"] == before


def test_a_reload_needs_a_token(table):
    response = table.post("/v1/reload")
    assert response.status_code == 403
    assert "ASYMCERT_TOKEN" in response.json()["detail"]


def test_a_stop_answers_what_has_come(copied):
    with started(copied.path) as (process, address, _), asking(address) as threads:
        until(lambda: all(len(thread.digests) > 3 for thread in threads))
        process.terminate()
        assert process.wait(SECONDS) == 0
    told = [failure for thread in threads for failure in thread.failures]
    assert all("ConnectError" in failure or "Server disconnected" in failure for failure in told), told[:3]


def test_workers_share_a_port_reload_together_and_are_replaced(copied):
    with started(copied.path, "--workers", "2") as (_, address, log):
        until(lambda: len(models_in(log)) == 2)
        digest = replace_model(copied)
        response = httpx.post(f"{address}/v1/reload", headers=HEADERS)
        assert response.status_code == 202
        until(lambda: models_in(log).count(digest) == 2)
        counters = httpx.get(f"{address}/metrics", headers=HEADERS).text
        assert 'asymcert_requests_total{route="/v1/reload",status="202"} 1.0' in counters
        time.sleep(5)  # a worker that dies at once is not replaced
        victim = next(line["process"] for line in lines_of(log) if line["event"] == "model")
        os.kill(victim, signal.SIGKILL)
        until(lambda: models_in(log).count(digest) == 3)
        for _ in range(10):
            assert httpx.post(f"{address}/v1/certify", json={"rows": ROWS}, headers=HEADERS).status_code == 200


def models_in(log):
    return [line["digest"] for line in lines_of(log) if line["event"] == "model"]


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command line: its exit code, and what it said on standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["asymcert", "serve", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code, capsys.readouterr().err.strip()

    return run


def test_mistakes_at_the_command_line_are_one_line(table_run, tmp_path, call):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = {
            (str(tmp_path),): "not a run folder",
            (str(table_run.path), "--norm", "-1"): "`norm`",
            (str(table_run.path), "--port", port): "an address of this machine that is free",
            (str(table_run.path), "--workers", "0"): "`workers` must be an integer of at least 1",
            (str(table_run.path), "--max-rows", "0"): "`max_rows` must be",
        }
        for arguments, text in cases.items():
            code, error = call(*arguments)
            assert code == 2, arguments
            assert text in error
            assert len(error.splitlines()) == 1, error


def test_without_the_extra_it_says_what_to_install(table_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "asymcert.serve.server", None)
    result = CliRunner().invoke(app, ["serve", str(table_run.path)])
    assert "pip install 'asymcert[serve]'" in str(result.exception)


def test_importing_the_command_line_loads_no_server():
    code = "import asymcert.cli, sys; print({'fastapi', 'uvicorn', 'prometheus_client'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_wheel_carries_the_page():
    patterns = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '"serve/pages/*"' in patterns
