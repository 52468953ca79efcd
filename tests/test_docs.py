"""What the documentation says is run: doctests, the README's Python, the examples."""

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import asymcert
from asymcert.cli.app import app

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(asymcert.__path__, "asymcert.")
    if not module.name.endswith("__main__")
)
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    """Every example in a docstring gives what it says."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_doctests():
    finder = doctest.DocTestFinder()
    examples = sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name)))
    assert examples >= 10


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.S))
def test_readme_python(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 the README is ours


def test_readme_commands_exist():
    """Every `asymcert` command line in the README names real commands and options."""
    known = {command.callback.__name__ for command in app.registered_commands}
    commands = re.findall(r"^asymcert (\S+)(.*)$", README, re.M)
    assert {name for name, _ in commands} == known
    for name, rest in commands:
        text = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--[a-z0-9-]+", rest):
            assert option in text, f"{name} {option}"


def test_image_example():
    printed = _run("examples/image_classifier.py")
    assert printed.count("attacks that broke one: 0") == 3


@pytest.mark.skipif("ASYMCERT_DATA" not in os.environ, reason="ASYMCERT_DATA does not point to the published data")
def test_spam_example():
    printed = _run("examples/spam_filter.py")
    caught = float(re.search(r"spam caught +([\d.]+) %", printed)[1])
    passed = float(re.search(r"ham let pass +([\d.]+) %", printed)[1])
    assert min(caught, passed) > 88


def _run(*arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
