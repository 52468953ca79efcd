"""`asymcert compare`: several seeds, each in its own folder, on one page."""

import json

from typer.testing import CliRunner

from asymcert.cli.app import app

COMMAND = ["compare", "digits-3-8", "--methods", "cayley", "--samples", "12", "--audited", "1", "--json", "--quiet"]


def run(*arguments):
    return CliRunner().invoke(app, [*COMMAND, *map(str, arguments)])


def test_seeds_share_a_page_and_continue(tmp_path):
    first = run("--out", tmp_path, "--seed", 0, "--methods", "cayley, cayley,")
    assert first.exit_code == 0, first.output
    trained = (tmp_path / "seed-0" / "cayley" / "model.safetensors").read_bytes()
    both = run("--out", tmp_path, "--seed", 0, "--seed", 1)
    assert both.exit_code == 0, both.output
    assert (tmp_path / "seed-0" / "cayley" / "model.safetensors").read_bytes() == trained
    assert "<h2>Seeds</h2>" in (tmp_path / "index.html").read_text(encoding="utf-8")
    lines = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["lines"]
    assert [line["seed"] for line in lines] == [0, 0, 0, 1, 1, 1]


def test_a_wrong_method_is_named_before_anything_is_written(tmp_path):
    result = CliRunner().invoke(app, ["compare", "digits-3-8", "--methods", "magic", "--out", str(tmp_path / "new")])
    assert result.exit_code != 0
    assert not (tmp_path / "new").exists()
