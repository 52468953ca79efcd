"""Files for those who come by: citation, security, issue forms, container, hooks, and what the package declares."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from asymcert import __version__
from contracts.pages import ROOT
from contracts.tools import tool

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [Requirement(line) for lines in (PROJECT["dependencies"], *EXTRAS.values()) for line in lines]
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_citation_is_of_this_version():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert f"version = {{{__version__}}}" in read("docs/cite.md")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in asked}) == len(asked)
    assert all(field["attributes"]["label"] for field in asked)
    assert any(field["validations"]["required"] for field in asked if "validations" in field)


def test_there_are_issue_forms():
    assert len(FORMS) == 3


def test_hooks_run_tools_of_the_developers():
    hooks = [hook for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]
    tools = {Requirement(line).name for line in EXTRAS["dev"]} | {"python"}
    assert {hook["entry"].split()[0] for hook in hooks} <= tools
    assert all(hook["language"] == "system" for hook in hooks)


def test_container():
    lines = read("Dockerfile").splitlines()
    copied = [name for line in lines if line.startswith("COPY") and "--from" not in line for name in line.split()[1:-1]]
    assert copied
    assert all((ROOT / name).exists() for name in copied)
    assert {f"!{name}" for name in copied} <= set(read(".dockerignore").splitlines())
    assert any("--constraint constraints.txt" in line for line in lines)
    assert "USER asymcert" in lines


def test_ci_checks_what_is_shipped():
    script = read(".ci/run")
    for command in ("twine check --strict", "mkdocs build --strict", "asymcert doctor", "docker build"):
        assert command in script


def test_constraints_satisfy_what_is_declared():
    tested = dict(line.split("==") for line in read("constraints.txt").splitlines()[1:])
    tested = {name.lower().replace("_", "-"): version for name, version in tested.items()}
    for requirement in DECLARED:
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(tested[requirement.name]), requirement
    lines = read("constraints.txt").splitlines()[1:]
    assert lines == sorted(lines, key=str.lower)


def test_lowest_versions_are_those_declared():
    lowest = tool("lowest_versions").lowest(["test"])
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert requirement.specifier.contains(lowest[requirement.name])
        assert str(Version(lowest[requirement.name])) in str(requirement.specifier)
    assert "onnx" in lowest  # of an extra that an extra names


def test_declared_versions_of_python():
    declared = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert declared == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == ">=3.11"
    assert "Python 3.11, 3.12 or 3.13" in read("docs/start/install.md")


def test_release_notes_say_how_to_upgrade():
    latest = read("CHANGELOG.md").split("\n## ")[1]
    steps = latest.split("### Upgrading\n")[1].split("\n### ")[0]
    assert re.findall(r"^(\d+)\. ", steps, re.M)[0] == "1"
