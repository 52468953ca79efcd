"""Run the notebooks of examples/notebooks/ at their own settings, and write their outputs into them.

    python tools/notebooks.py [spam images ...]

Each runs in a fresh kernel, in an empty folder. What is stored holds no times, paths or names of a machine, so that a
second run changes nothing. Needs asymcert[test] and the published tables, in the folder that ASYMCERT_DATA names;
3 minutes on one slow core.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import os
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
SETTINGS = "parameters"  # the tag of a notebook's cell of settings
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
INLINE = "module://matplotlib_inline.backend_inline"  # figures are outputs, whatever is set outside
PNG = "image/png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=sorted(path.stem for path in FOLDER.glob("*.ipynb")))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums are in the same order everywhere
    for name in parser.parse_args().names:
        path, start = FOLDER / f"{name}.ipynb", time.perf_counter()
        nbformat.write(tidy(run(path)), path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s, {path.stat().st_size / 1000:.0f} kB")


def run(path: Path, settings: Mapping[str, object] | None = None) -> NotebookNode:
    """A notebook with the outputs of a fresh kernel; an error in a cell is raised.

    Parameters
    ----------
    path
        The notebook.
    settings
        Values of names in its cell of settings, in place of those there.
    """
    notebook = nbformat.read(path, as_version=4)
    for name, value in (settings or {}).items():
        (cell,) = (each for each in notebook.cells if SETTINGS in each.metadata.get("tags", ()))
        cell.source, found = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value!r}", cell.source)
        assert found == 1, f"{path.name}: no setting {name}"
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            kernel_name=KERNEL["name"],
            timeout=300,
            record_timing=False,
            coalesce_streams=True,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": folder}},
        )
        client.execute(env={**os.environ, "IPYTHONDIR": folder, "MPLBACKEND": INLINE})
    return notebook


def tidy(notebook: NotebookNode) -> NotebookNode:
    """The same with nothing in it but cells, outputs, and which code these are from."""
    notebook.metadata = NotebookNode(kernelspec=KERNEL, language_info={"name": "python"}, ran=digest(notebook))
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place}"
        cell.metadata = NotebookNode({name: value for name, value in cell.metadata.items() if name == "tags"})
        for output in cell.get("outputs", ()):
            if PNG in output.get("data", ()):
                output.data[PNG] = small(output.data[PNG])
            if "metadata" in output:
                output.metadata = NotebookNode()
    nbformat.validate(notebook)
    return notebook


def digest(notebook: NotebookNode) -> str:
    """Of the code: outputs that were stored with another digest are stale."""
    code = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


def small(picture: str) -> str:
    """A picture, in base64, without the name of the program that drew it, and better packed."""
    packed = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB").save(packed, "PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode()


if __name__ == "__main__":
    main()
