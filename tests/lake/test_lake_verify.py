"""`verify` finds every change of a destination, and nothing in one that is whole."""

import hashlib
import random
import shutil

import polars as pl
import pytest

from asymcert import lake
from asymcert.errors import RunError
from asymcert.lake.sealed import digest_of, sealed, unsealed
from contracts.changes_of_lakes import KINDS, change, files
from contracts.lakes import SIZES, THREATS, make_lake, outputs


@pytest.fixture
def dest(tmp_path, model, source):
    lake.certify(model, source, tmp_path / "dest", THREATS, keep=["id"], workers=0)
    return tmp_path / "dest"


def most_rows(dest):
    """The record of the largest output, and that output; names say nothing of order, and no rows leave no output."""
    record = max(files(dest, "done"), key=lambda path: unsealed(path.read_bytes(), "")["rows"])
    return record, dest / "rows" / record.parent.name / f"{record.stem}.parquet"


@pytest.mark.parametrize("recompute", [0, 1])
def test_what_is_whole_has_no_findings(dest, recompute):
    found = lake.verify(dest, recompute)
    assert found.findings == []
    assert (found.units, found.rows, found.failed) == (5, sum(SIZES), 1)
    assert found.recomputed == recompute * sum(SIZES)


def test_a_sample_is_recomputed(dest):
    assert 0 < lake.verify(dest, 0.01).recomputed < sum(SIZES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_change_is_found(dest, tmp_path, kind):
    draw = random.Random(kind)
    for number in range(6):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(dest, copy)
        done = change(copy, kind, draw)
        assert lake.verify(copy).findings, done
    assert lake.verify(dest).findings == []


@pytest.mark.parametrize("name", ["job.json", "model.safetensors", "runs/00001.json"])
def test_changes_of_other_files_are_found(dest, name):
    content = (dest / name).read_bytes()
    for place in random.Random(0).sample(range(len(content)), 10):
        (dest / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert [finding.path for finding in lake.verify(dest).findings if finding.path] == [name], place
    (dest / name).write_bytes(content)
    assert lake.verify(dest).findings == []


def test_an_output_and_its_record_gone_together_are_found(dest):
    record, output = most_rows(dest)
    path = unsealed(record.read_bytes(), "")["path"]
    output.unlink()
    record.unlink()
    assert [finding.path for finding in lake.verify(dest).findings] == [path]


def test_a_forged_output_with_a_forged_record_is_found_by_recomputing(dest):
    record, output = most_rows(dest)
    frame = pl.read_parquet(output)
    frame.with_columns(pl.col("margin") * 2).write_parquet(output)
    content = unsealed(record.read_bytes(), "")
    content |= {"output": hashlib.sha256(output.read_bytes()).hexdigest(), "bytes": output.stat().st_size}
    record.write_bytes(sealed(content))
    assert lake.verify(dest).findings == []
    assert [finding.path for finding in lake.verify(dest, 1).findings] == [output.relative_to(dest).as_posix()]


def test_a_source_that_is_gone_is_told(tmp_path, model):
    source = make_lake(tmp_path / "source", (3,))
    lake.certify(model, source, tmp_path / "dest", THREATS, workers=0)
    shutil.rmtree(source)
    (finding,) = lake.verify(tmp_path / "dest").findings
    assert "The source cannot be listed" in finding.problem


def test_new_files_of_the_source_are_gaps(tmp_path, model):
    source = make_lake(tmp_path / "source", (3,))
    lake.certify(model, source, tmp_path / "dest", THREATS, workers=0)
    make_lake(source, (3, 4))
    paths = [finding.path for finding in lake.verify(tmp_path / "dest").findings]
    assert "day=1/001.parquet" in paths


def test_no_lake(tmp_path):
    with pytest.raises(RunError, match="holds no lake run"):
        lake.verify(tmp_path)
    with pytest.raises(RunError, match="holds no lake run"):
        lake.status(tmp_path / "nowhere")


def test_digests_do_not_depend_on_the_order_of_keys():
    assert digest_of({"a": [1, 2], "b": 0.5}) == digest_of({"b": 0.5, "a": [1, 2]})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})


def test_what_was_damaged_is_made_anew_without_its_record(dest, model, source):
    before = outputs(dest)
    record, output = most_rows(dest)
    output.write_bytes(b"damaged")
    record.unlink()
    lake.certify(model, source, dest, THREATS, keep=["id"], workers=0)
    assert lake.verify(dest).findings == []
    assert outputs(dest) == before
