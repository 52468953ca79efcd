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


def test_several_points_are_shown_as_fronts_and_their_time_is_said_before(tmp_path):
    command = [part for part in COMMAND if part != "--quiet"]
    fronts = ["--points", "2", "--at", "60", "--at", "55.5", "--audited", "0", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*command, *fronts])
    assert done.exit_code == 0, done.output
    assert "Expected" in done.stderr
    assert (tmp_path / "seed-0" / "cayley" / "0.25-times-margin" / "model.safetensors").exists()
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<h2>Fronts</h2>" in page
    assert "55.5 %" in page


def test_a_wrong_method_is_named_before_anything_is_written(tmp_path):
    result = CliRunner().invoke(app, ["compare", "digits-3-8", "--methods", "magic", "--out", str(tmp_path / "new")])
    assert result.exit_code != 0
    assert not (tmp_path / "new").exists()


def test_a_table_is_compared_by_columns_too(tmp_path):
    rows = [f"{number / 60},{(number * 7) % 11},{'bad' if number > 30 else 'good'}" for number in range(60)]
    (tmp_path / "table.csv").write_text("first,second,class\n" + "\n".join(rows), encoding="utf-8")
    command = ["compare", str(tmp_path / "table.csv"), "--label", "class", "--sensitive", "bad", "--quiet", "--json"]
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, [*command, "--methods", "trees", "--samples", "8", "--audited", "1", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    lines = json.loads((out / "comparison.json").read_text(encoding="utf-8"))["lines"]
    assert sorted(str(line["norm"]) for line in lines) == ["0.0", "1.0", "2.0", "inf"]
    wrong = CliRunner().invoke(app, [*command, "--methods", "cayley", "--out", str(tmp_path / "other")])
    assert "one of" in str(wrong.exception or wrong.output)
