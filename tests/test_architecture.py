"""The rooms of the house stand in one order, imports run down it without a circle, and importing stays light."""

import ast
import graphlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import asymcert

SOURCE = Path(asymcert.__file__).parent
ROOMS = (  # from the ground up: a room may import from those before it
    "_version",
    "errors",
    "_floats",
    "_checks",
    "_files",
    "texts",
    "datasets",
    "features",
    "convex",
    "linf",
    "models",
    "threats",
    "attacks",
    "certify",
    "training",
    "runs",
    "proofs",
    "evaluate",
    "report",
    "theory",
    "compare",
    "plots",
    "studies",
    "export",
    "lake",
    "estimator",
    "serve",
    "",  # the package's own front page
    "cli",
    "__main__",
)
MOST_ARROWS = 198  # between rooms
FILES = sorted(SOURCE.rglob("*.py"))


def module_name(path):
    """``asymcert/convex/mlp.py`` -> ``convex.mlp``; a package's ``__init__.py`` is the package."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imports(source):
    """Modules of this package that a text imports, wherever in it: at the top, in functions, for type checkers."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "asymcert":
                yield resolve(name.removeprefix("asymcert").removeprefix("."))


def resolve(name):
    """The longest prefix that is a module: ``convex.mlp.ConvexMLP`` -> ``convex.mlp``."""
    parts = name.split(".")
    return next(n for n in (".".join(parts[:end]) for end in range(len(parts), -1, -1)) if n in MODULES)


@cache
def graph():
    """What each module imports of the others."""
    return {name: set(imports(path.read_text(encoding="utf-8"))) - {name} for name, path in MODULES.items()}


def room(module):
    return module.split(".")[0]


def upward(module, targets):
    """Those of a module's imports that run up the order of rooms."""
    return [target for target in targets if ROOMS.index(room(target)) > ROOMS.index(room(module))]


def test_every_room_has_its_place():
    assert {room(module) for module in MODULES} == set(ROOMS), "the list of rooms and the folders disagree"


@pytest.mark.parametrize("module", sorted(MODULES), ids=lambda module: module or "asymcert")
def test_no_import_runs_up(module):
    assert upward(module, graph()[module]) == []


def test_files_import_each_other_without_circles():
    graphlib.TopologicalSorter(graph()).prepare()  # raises CycleError, which names the circle


def test_rooms_and_arrows_are_few():
    pairs = ((room(module), room(target)) for module, targets in graph().items() for target in targets)
    arrows = {(one, other) for one, other in pairs if one != other}
    print(f"{len(ROOMS)} rooms, {len(arrows)} arrows")
    assert len(ROOMS) <= 30
    assert len(arrows) <= MOST_ARROWS


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("threats.model", "from asymcert.certify import certify"),
        ("certify.base", "import asymcert.evaluate.curves"),
        ("features.maps", "def f():\n    from asymcert.convex import ConvexMLP"),
        ("convex.mlp", "if TYPE_CHECKING:\n    from asymcert.models.base import BinaryClassifier"),
        ("evaluate.run", "from asymcert import ThreatModel"),
        ("training.trainer", "from asymcert import evaluate"),
    ],
)
def test_the_rule_catches(module, source):
    assert len(upward(module, imports(source))) == 1


def test_the_rule_allows():
    assert upward("certify.base", imports("from asymcert.models import FeatureConvexClassifier")) == []
    assert upward("certify.base", imports("from asymcert.certify.exact import Exact")) == []


def test_importing_the_package_stays_light():
    heavy = [
        "jinja2",
        "matplotlib",
        "plotly",
        "sklearn",
        "polars",
        "highspy",
        "pooch",
        "typer",
        "rich",
        "ray",
        "obstore",
    ]
    code = f"import asymcert, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
