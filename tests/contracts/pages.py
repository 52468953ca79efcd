"""Blocks of code of the documentation's pages, and how a test runs them: a page's blocks in order, in one folder.

Comments before a block say what Markdown cannot:

- ``<!-- not run: REASON -->``: only looked at, commands for whether they and their options exist;
- ``<!-- exits: 3 -->``: the exit code of its last command;
- ``<!-- runs on -->``: its command serves on a port until the page's end;
- ``<!-- run with: --quiet -->``, ``<!-- train with: --epochs 3 -->``: options that a test adds to each of its commands,
  and to its trainings;
- ``<!-- output -->``: no code, but what the block before prints; ``<!-- output: REGEX -->``: those of its lines;
- ``<!-- shown: WHAT -->``: no code and no output;
- ``<!-- needs: mail.csv, runs/mail -->``: what another page has made, see `PROVIDED`.

A block with ``title="NAME"`` is a file of that name. ``python tests/contracts/pages.py PAGE`` runs a page and writes
its outputs into it.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from asymcert.cli.app import main
from estimator.messages import messages

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"(?P<notes>(?:^<!--.*?-->\n+)*)^```(?P<language>\w*)(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S
)
NAMED = re.compile(r"\b(mnist|fashion|cifar10)-[a-z0-9]+(-[a-z0-9]+)?\b(?!\.)")  # published data, which take long
MAILS, TEXTS = (("--label", label, "--sensitive", "spam") for label in ("class", "label"))
PROVIDED = {  # runs that pages take for granted, and how they are trained
    "runs/mail": ("mail.csv", *MAILS),
    "runs/guard": ("messages.csv", "--text", "body", *TEXTS),
    "runs/mnist": ("digits-3-8",),
}
FILES = {"toml": tomllib.loads, "json": json.loads, "yaml": yaml.safe_load}
APPEND_ONLY = 'norm = 1\nincrease_only = ["links", "words"]\n'


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    title: str
    text: str
    notes: dict[str, str]

    @property
    def commands(self) -> list[str]:
        """Its command lines, if it has nothing else."""
        lines = [line for line in self.text.replace("\\\n", " ").splitlines() if line.strip()]
        return lines if self.language in ("text", "bash") and all(map(is_command, lines)) else []

    @property
    def kind(self) -> str:
        """What is to be done with it: ``python``, ``commands``, ``output``, ``file``, ``shown`` or ``not run``."""
        for kind in ("not run", "shown", "output"):
            if kind in self.notes:
                return kind
        if self.commands:
            return "commands"
        return "python" if self.language == "python" else "file" if self.title or self.language in FILES else "unknown"

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def is_command(line: str) -> bool:
    """Whether a line is one for a shell."""
    return re.match(r"(asymcert|python|pip|docker|mkdocs|export|eval) ", line) is not None


def blocks(page: str, text: str | None = None) -> list[Block]:
    """The blocks of a page, named by its path in the repository."""
    text = (ROOT / page).read_text(encoding="utf-8") if text is None else text
    found = []
    for match in FENCE.finditer(text):
        notes = re.findall(r"<!-- *([a-z ]+?)(?:: *(.*?))? *-->", match["notes"])
        title = re.search(r'title="(.*?)"', match["info"])
        line = text[: match.start("language")].count("\n") + 1
        found.append(Block(page, line, match["language"], title[1] if title else "", match["text"], dict(notes)))
    return found


@dataclass
class Desk:
    """Where a page is run: its folder, its Python names, and what was printed last."""

    folder: Path
    names: dict[str, Any] = field(default_factory=dict)
    printed: str = ""
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *error: object) -> None:
        for server in self.servers:
            server.terminate()
            server.wait(30)

    def run(self, block: Block) -> None:
        """Run a block, or compare it with what was printed."""
        for name in filter(None, re.split(r", *", block.notes.get("needs", ""))):
            self.provide(name)
        assert block.kind != "unknown", f"{block}: neither code nor marked as something else"
        if block.kind == "python":
            self.printed = self._printed_by(lambda: exec(compile(block.text, str(block), "exec"), self.names))  # noqa: S102
        elif block.kind == "commands":
            self.printed = "".join(self._command(block, line) for line in block.commands)
        elif block.kind == "file":
            FILES.get(block.language, str)(block.text)
            if block.title:
                (self.folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.kind == "output":
            assert blanked(block.text) == blanked(self.wanted(block)), f"{block}: printed was\n{self.printed}"

    def provide(self, name: str) -> None:
        """Make a file or a run that a page takes for granted; what is there stays."""
        if (self.folder / name).exists() or name.startswith("digits"):
            return
        if name == "mail.csv":
            (invented,) = (each for each in blocks("docs/start/index.md") if f'write_csv("{name}")' in each.text)
            Desk(self.folder).run(invented)
        elif name in ("messages.csv", "texts", "today.csv"):
            self._provide_texts(name)
        elif name == "append_only.toml":
            (self.folder / name).write_text(APPEND_ONLY, encoding="utf-8")
        elif name == "spambase.csv.gz":
            if "ASYMCERT_DATA" not in os.environ:
                pytest.skip("ASYMCERT_DATA does not point to the published data")
            shutil.copy(Path(os.environ["ASYMCERT_DATA"], "tables", name), self.folder)
        else:
            shutil.copytree(trained(name), self.folder / name)

    def _provide_texts(self, name: str) -> None:
        """Invented messages, as a table, as names of Python, or beside new rows of spambase."""
        texts, labels = messages(400)
        if name == "texts":
            self.names |= {"texts": texts, "labels": labels, "new_texts": texts[:3]}
        elif name == "messages.csv":
            pl.DataFrame({"body": texts, "label": labels}).write_csv(self.folder / name)
        else:
            self.provide("spambase.csv.gz")
            rows = pl.read_csv(self.folder / "spambase.csv.gz", infer_schema_length=None).drop("spam")[:3]
            rows.with_columns(body=pl.Series(texts[:3])).write_csv(self.folder / name)

    def wanted(self, block: Block) -> str:
        """Those lines of what was printed that a block shows."""
        wanted = block.notes["output"] or "."
        return "".join(f"{line.rstrip()}\n" for line in self.printed.splitlines() if re.search(wanted, line))

    def _command(self, block: Block, line: str) -> str:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "asymcert", f"{block}: mark {line!r} as not run"
        arguments = [NAMED.sub("digits-3-8", each) for each in arguments]
        if "runs on" in block.notes:
            self._serve(arguments, int(arguments[arguments.index("--port") + 1]))
            return ""
        arguments += shlex.split(block.notes.get("run with", ""))
        arguments += shlex.split(block.notes.get("train with", "")) if arguments[0] == "train" else []
        code = int(block.notes.get("exits", 0)) if line == block.commands[-1] else 0
        return self._printed_by(lambda: run_command(arguments, code, f"{block}: {line}"))

    def _serve(self, arguments: list[str], port: int) -> None:
        """Start a service as a process of its own, and wait until it listens."""
        command = [sys.executable, "-m", "asymcert", *arguments]
        server = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.servers.append(server)
        for _ in range(600):
            assert server.poll() is None, f"{arguments}: ended with {server.returncode}"
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError(f"{arguments}: nothing listens on port {port} after a minute")

    def _printed_by(self, work: Any) -> str:
        printed = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed):
            work()
        return printed.getvalue()


@cache
def trained(name: str) -> Path:
    """A run of `PROVIDED`, trained once for all pages."""
    desk = Desk(Path(tempfile.mkdtemp()))
    atexit.register(shutil.rmtree, desk.folder)
    data, *options = PROVIDED[name]
    desk.provide(data)
    arguments = ["train", data, *options, "--out", name, "--quiet"]
    desk._printed_by(lambda: run_command(arguments, 0, name))
    return desk.folder / name


def run_command(arguments: list[str], code: int, what: str) -> None:
    """Run the command line in this process: to import torch anew takes several seconds."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        patch.setattr(sys, "argv", ["asymcert", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert (stopped.value.code or 0) == code, f"{what}: exit code {stopped.value.code}, {said.getvalue()}"


def blanked(text: str) -> str:
    """A text without its numbers, and without the widths that depend on them."""
    return re.sub(r"\s+", " ", re.sub(r"[━─]+", "-", re.sub(r"[0-9a-f]{16,}|-?[\d.]+", "0", text))).strip()


def refresh(page: str) -> None:
    """Run a page and write what it prints into its blocks of output."""
    text = (ROOT / page).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, Desk(Path(folder)) as desk:
        for index in range(len(blocks(page, text))):
            block = blocks(page, text)[index]  # lines may have moved
            if block.kind != "output":
                desk.run(block)
                continue
            before = "".join(f"{line}\n" for line in text.split("\n")[: block.line])
            text = before + desk.wanted(block) + text[len(before) + len(block.text) :]
    (ROOT / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        refresh(name)
