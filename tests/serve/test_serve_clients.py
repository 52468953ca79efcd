"""The example clients: in Python against a service, and in JavaScript with the graph itself, without one."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from asymcert.export.certified_graph import to_certified_onnx
from asymcert.export.onnx_graph import save_onnx
from asymcert.threats.table import TableThreat
from contracts.examples import EXAMPLES, printed_by
from serve.runs import table_frame

ROWS = table_frame().head(40)
RUN = """
const path = require("path");
const ort = require("onnxruntime-web");
const [graph, rows] = process.argv.slice(1);
ort.env.wasm.numThreads = 1;
import(path.resolve(process.env.CLIENT)).then(async ({ open }) => {
  const model = await open(ort, require("fs").readFileSync(graph));
  console.log(JSON.stringify(await model.certify(JSON.parse(rows))));
}).catch((error) => { console.error(error); process.exit(1); });
"""


def test_python_client(table, tmp_path):
    path = tmp_path / "rows.csv"
    ROWS.write_csv(path)
    url = f"http://127.0.0.1:{table.port}"
    printed = printed_by("serve_client.py", str(path), "--url", url, "--threat", "columns", "--evasions")
    found = [json.loads(line) for line in printed.splitlines()]
    asked = {"rows": ROWS.drop("class").to_dicts(), "threats": ["columns"], "evasions": True}
    known = table.post("/v1/certify", json=asked).json()["answers"]
    assert [answer["verdict"] for answer in found] == [answer["verdict"] for answer in known]
    assert [answer["radii"] for answer in found] == [answer["radii"] for answer in known]
    assert any(answer["evasion"] for answer in found)


def test_python_client_says_what_the_service_says(table, tmp_path):
    (tmp_path / "rows.csv").write_text("size,rate,gaps,kind\nmany,1%,2,pdf\n")
    with pytest.raises(SystemExit, match="size: 'many' is no number"):
        printed_by("serve_client.py", str(tmp_path / "rows.csv"), "--url", f"http://127.0.0.1:{table.port}")


@pytest.fixture
def javascript():
    """Run the client in JavaScript on a graph and rows, where node finds onnxruntime-web."""
    node = shutil.which("node")
    found = node and subprocess.run(
        [node, "-e", "require.resolve('onnxruntime-web')"], capture_output=True, check=False
    )
    if not found or found.returncode:
        pytest.skip("node, or onnxruntime-web in NODE_PATH, is not installed")

    def run(graph, rows):
        client = Path(os.path.relpath(EXAMPLES / "browser" / "certify.js"))
        done = subprocess.run(
            [node, "--input-type=commonjs", "-e", RUN, str(graph), json.dumps(rows)],
            env=os.environ | {"CLIENT": str(client)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_javascript_client_gives_what_the_package_gives(table, table_run, tmp_path, javascript):
    model = table_run.load_model()
    graph = save_onnx(to_certified_onnx(model, TableThreat(model.scaling).counting()), tmp_path / "model.onnx")
    rows = [{**row, "rate": float(row["rate"].removesuffix("%"))} for row in ROWS.drop("class").to_dicts()]
    found = javascript(graph, rows)
    known = table.post("/v1/certify", json={"rows": rows}).json()["answers"]
    assert [answer["sensitive"] for answer in found] == [answer["verdict"] == "bad" for answer in known]
    assert [answer["margin"] for answer in found] == pytest.approx([answer["margin"] for answer in known], rel=1e-9)
    assert [answer["radius"] for answer in found] == [answer["radii"]["columns"] for answer in known]
    assert pl.Series([answer["radius"] for answer in found]).max() > 0
