"""What the documentation says is run: doctests, the README's Python, the examples."""

import doctest
import importlib.util
import os
import pkgutil
import re
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import asymcert
from asymcert.cli.app import app
from asymcert.threats.file import KEYS
from contracts.examples import printed_by
from estimator.messages import messages

ROOT = Path(__file__).parents[1]
NO_TRITON = importlib.util.find_spec("triton") is None  # it is no dependency: where it is missing, kernels are left out
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(asymcert.__path__, "asymcert.")
    if not module.name.endswith("__main__") and not (NO_TRITON and module.name.endswith("triton_kernels"))
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
THREATS = (ROOT / "docs" / "threat_models.md").read_text(encoding="utf-8")
GATE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")


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
    assert _commands_of(README) == {command.callback.__name__ for command in app.registered_commands}


def test_commands_of_other_pages_exist():
    assert _commands_of(THREATS) == {"certify", "audit", "surface"}
    assert _commands_of(GATE) == {"train", "gate", "evaluate", "audit", "card"}


def _commands_of(page: str) -> set[str]:
    """Commands that a page shows, after looking up their options."""
    commands = re.findall(r"^asymcert (\S+)(.*)$", page, re.M)
    for name, rest in commands:
        for option in re.findall(r"--[a-z0-9-]+", rest):
            assert option in _help(name), f"{name} {option}"
    return {name for name, _ in commands}


@cache
def _help(command: str) -> str:
    return CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output


def test_data_frame_example():
    """A detector from a data frame catches most, and its graph gives on raw rows what it gives itself."""
    printed = printed_by("detector_from_dataframe.py")
    assert float(re.search(r"AUC +([\d.]+)", printed)[1]) > 0.95
    one, two = (int(share) for share in re.findall(r"columns he controls: (\d+) %", printed))
    assert one > two > 0
    assert "the same verdicts: True" in printed
    assert "the same radii: True" in printed


def test_texts_example(tmp_path):
    """Alerts say what they outlast, also of a message that the detector has not seen."""
    pl.DataFrame(dict(zip(("text", "label"), messages(200), strict=True))).write_csv(tmp_path / "messages.csv")
    printed = printed_by("detector_of_texts.py", str(tmp_path / "messages.csv"))
    assert float(re.search(r"AUC +([\d.]+)", printed)[1]) > 0.95
    one, three, ten = (float(share) for share in re.findall(r"added words +([\d.]+) %", printed))
    assert one >= three >= ten
    assert float(re.search(r"added sentences +([\d.]+) %", printed)[1]) > 90
    assert re.search(r"^The verdict stands under any .*^carried by .*^undone by ", printed, re.M | re.S)


def test_image_example():
    printed = printed_by("image_classifier.py")
    assert printed.count("attacks that broke one: 0") == 3


@pytest.mark.skipif("ASYMCERT_DATA" not in os.environ, reason="ASYMCERT_DATA does not point to the published data")
def test_spam_example():
    printed = printed_by("spam_filter.py")
    caught = float(re.search(r"spam caught +([\d.]+) %", printed)[1])
    passed = float(re.search(r"ham let pass +([\d.]+) %", printed)[1])
    assert min(caught, passed) > 88


@pytest.mark.skipif("ASYMCERT_DATA" not in os.environ, reason="ASYMCERT_DATA does not point to the published data")
def test_append_only_example():
    """It runs, prints what docs/threat_models.md says up to the numbers, and the numbers carry the argument."""
    printed = printed_by("append_only.py")
    documented = re.search(r"<!-- output: append_only -->\n```text\n(.*?)```", THREATS, re.S)[1]
    first, second = (re.sub(r"[\d.]+", "0", text).split("  it stands")[0] for text in (printed, documented))
    assert first == second
    safe, doubtful = map(int, re.search(r"cannot undo (\d+) at any price, (\d+) perhaps", printed).groups())
    assert safe > doubtful > 0
    assert int(re.search(r"(\d+) need no review", printed)[1]) > doubtful / 4
    assert int(re.search(r"by plain radius reads (\d+)", printed)[1]) > 1.5 * doubtful
    low, high = re.search(r"price of at least ([\d.]+) and at most ([\d.]+)", printed).groups()
    assert 0 < float(low) <= float(high)
    assert re.search(r"no review: alert \d+", printed)


def test_threat_model_keys_are_documented():
    table = THREATS.partition("## Keys")[2].partition("Single numbers")[0]
    assert set(re.findall(r"`([a-z_]+)`", table)) == set(KEYS)
