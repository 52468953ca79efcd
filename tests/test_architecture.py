"""Imports run one way, and importing the package loads nothing heavy that it may not need."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import asymcert

ROOT = Path(asymcert.__file__).parent
ORDER = (
    "_version",
    "errors",
    "_checks",
    "_files",
    "threat",
    "datasets",
    "features",
    "convex",
    "binary",
    "linf",
    "baselines",
    "parts",
    "classifier",
    "convex_concave",
    "model_file",
    "threat_table",
    "threat_file",
    "attacks",
    "certify",
    "training",
    "evaluate",
    "theory",
    "report",
    "compare",
    "studies",
    "export",
    "estimator",
    "cli",
)
ENTRY = {"", "__main__"}  # the package's own front page and `python -m asymcert` may import anything
LAZY = {("binary", "model_file")}  # inside functions only: save, load and digest are methods of the classifier
FILES = sorted(ROOT.rglob("*.py"))


def module_name(path):
    """``asymcert/convex/mlp.py`` -> ``convex.mlp``; a package's ``__init__.py`` is the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path) for path in FILES}


def imports(tree):
    """Modules of this package that a syntax tree imports, as (name below asymcert, whether not at import time)."""
    deferred = {id(child) for node in ast.walk(tree) if runs_later(node) for child in ast.walk(node)}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "asymcert":
                yield resolve(name.removeprefix("asymcert").removeprefix(".")), id(node) in deferred


def runs_later(node):
    """A function, or a block for the type checker."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def resolve(name):
    """The longest prefix that is a module: ``convex.mlp.ConvexMLP`` -> ``convex.mlp``."""
    parts = name.split(".")
    return next(n for n in (".".join(parts[:end]) for end in range(len(parts), -1, -1)) if n in MODULES)


def backward(source_module, tree):
    """Imports of one module that run back in the order."""
    part = source_module.split(".")[0]
    wrong = []
    for target, is_deferred in imports(tree):
        goal = target.split(".")[0]
        if goal == part or (is_deferred and (part, goal) in LAZY):
            continue
        if goal in ENTRY or ORDER.index(goal) > ORDER.index(part):
            wrong.append(f"asymcert.{source_module} imports asymcert.{target}")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: module_name(path) or "asymcert")
def test_no_import_runs_back(path):
    name = module_name(path)
    part = name.split(".")[0]
    if part in ENTRY:
        return
    assert part in ORDER, f"{part} has no place in the order: add it to ORDER"
    assert backward(name, ast.parse(path.read_text(encoding="utf-8"))) == []


def test_modules_import_each_other_without_cycles():
    graph = {}
    for path in FILES:
        name = module_name(path)
        found = imports(ast.parse(path.read_text(encoding="utf-8")))
        graph[name] = {target for target, is_deferred in found if not is_deferred and target != name}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("threat", "from asymcert.certify import certify"),
        ("certify.base", "import asymcert.evaluate.rows"),
        ("features.maps", "def f():\n    from asymcert.convex import ConvexMLP"),
        ("binary", "from asymcert.model_file import load_model"),
        ("evaluate.rows", "from asymcert import ThreatModel"),
        ("training.loop", "from asymcert import evaluate"),
    ],
)
def test_the_rule_catches(module, source):
    assert len(backward(module, ast.parse(source))) == 1


def test_the_rule_allows():
    lazy = "def save():\n    from asymcert.model_file import save_model"
    assert backward("binary", ast.parse(lazy)) == []
    assert backward("certify.base", ast.parse("from asymcert.classifier import FeatureConvexClassifier")) == []


def test_importing_the_package_stays_light():
    heavy = ["matplotlib", "plotly", "sklearn", "polars", "highspy", "pooch", "typer", "rich"]
    code = f"import asymcert, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
