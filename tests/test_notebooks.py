"""Notebooks of examples/: the code runs at small settings, with the data and without; the stored outputs are of it."""

import base64
import copy
import io
import os
import re

import nbformat
import pytest
from PIL import Image

from contracts.pages import ROOT
from contracts.tools import tool

notebooks = tool("notebooks")
SMALL = {
    "images": {"EPOCHS": 8, "STEPS": 10},
    "intrusion": {"ROWS": 300, "TRIED": 10},
    "malware_headers": {"EPOCHS": 1, "STEPS": 30},
    "own_lipschitz_map": {"EPOCHS": 10, "STEPS": 10},
    "spam": {"EPOCHS": 2, "TEXTS": 800},
}
WITH_TABLES = ("intrusion", "malware_headers", "spam")
LARGEST, LARGEST_OF_ALL = 60_000, 1_500_000  # bytes of a picture, and of all notebooks
MACHINE = re.compile(r"/(home|root|tmp|work|usr|opt|mnt|Users|var)/|[A-Z]:\\\\|0x[0-9a-f]{6,}|site-packages|localhost")


def stored(name):
    return nbformat.read(notebooks.FOLDER / f"{name}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook):
    """What each cell of code shows: names of streams, and forms of results."""
    return [[each.get("name") or sorted(each.data) for each in cell.outputs] for cell in code(notebook)]


def test_there_are_five():
    assert {path.stem for path in notebooks.FOLDER.glob("*.ipynb")} == set(SMALL)
    assert sum(path.stat().st_size for path in notebooks.FOLDER.iterdir()) < LARGEST_OF_ALL


@pytest.mark.parametrize("name", SMALL)
def test_a_newcomer_runs_it(name, monkeypatch):
    """At small settings and without any data, every cell shows what it shows on the page, if not the same numbers."""
    monkeypatch.delenv("ASYMCERT_DATA", raising=False)
    assert kinds(notebooks.run(notebooks.FOLDER / f"{name}.ipynb", SMALL[name])) == kinds(stored(name))


@pytest.mark.skipif("ASYMCERT_DATA" not in os.environ, reason="ASYMCERT_DATA does not point to the published data")
@pytest.mark.parametrize("name", WITH_TABLES)
def test_it_runs_on_its_table(name):
    assert kinds(notebooks.run(notebooks.FOLDER / f"{name}.ipynb", SMALL[name])) == kinds(stored(name))


def test_an_unknown_setting_and_an_error_are_noticed(tmp_path):
    cells = [nbformat.v4.new_code_cell("N = 1", metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell("1 / N")]
    path = tmp_path / "broken.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    with pytest.raises(AssertionError, match="no setting M"):
        notebooks.run(path, {"M": 1})
    with pytest.raises(Exception, match="ZeroDivisionError"):
        notebooks.run(path, {"N": 0})


@pytest.mark.parametrize("name", SMALL)
def test_outputs_are_of_the_code(name):
    """`python tools/notebooks.py NAME` writes them anew after a change of the code."""
    notebook = stored(name)
    assert notebook.metadata.ran == notebooks.digest(notebook), f"{name}: stale"
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    assert {each.output_type for cell in code(notebook) for each in cell.outputs} <= {
        "stream",
        "execute_result",
        "display_data",
    }
    assert "stderr" not in [shown for cell in kinds(notebook) for shown in cell]
    assert any("image/png" in shown for cell in kinds(notebook) for shown in cell)
    assert notebooks.tidy(copy.deepcopy(notebook)) == notebook


@pytest.mark.parametrize("name", SMALL)
def test_outputs_hold_no_trace_of_a_machine(name):
    notebook = stored(name)
    for output in (each for cell in code(notebook) for each in cell.outputs):
        data = dict(output.get("data", {}), stream=output.get("text", ""))
        if picture := data.pop("image/png", None):
            packed = base64.b64decode(picture)
            assert len(packed) < LARGEST
            assert Image.open(io.BytesIO(packed)).info.keys() <= {"dpi"}
        for text in data.values():
            assert not MACHINE.search(text), MACHINE.search(text)


def test_traces_are_noticed():
    for text in ("/tmp/tmpab12/runs", "<object at 0x7f3a2b1c>", "/home/me/file.csv"):
        assert MACHINE.search(text)


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_is_short_and_explains(name):
    notebook = stored(name)
    assert 8 <= len(notebook.cells) <= 15
    assert notebook.cells[0].source.startswith("# ")
    assert notebook.cells[-1].source.startswith("## What the numbers mean")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", "\n".join(cell.source for cell in notebook.cells[::-1])):
        assert (notebooks.FOLDER / target).exists(), target


def test_the_readme_names_them():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"examples/notebooks/{name}.ipynb" in readme for name in SMALL)
