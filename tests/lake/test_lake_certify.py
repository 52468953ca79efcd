"""Lakes are certified whole: each row once, with failures told, and what is done is not done again."""

import json
import os

import polars as pl
import pytest

from asymcert import ThreatModel, lake
from asymcert.certify import certifier_for
from asymcert.errors import InputError, RunError
from asymcert.evaluate.scoring import score_table
from asymcert.lake import units, worker
from contracts.lakes import SIZES, THREATS, make_lake, outputs, rows, table_model
from contracts.models import random_mlp


def certify(model, source, dest, **options):
    return lake.certify(model, source, dest, THREATS, **{"keep": ["id"], "workers": 0, **options})


def table(dest):
    return pl.read_parquet(dest / "rows" / "**" / "*.parquet").sort("file", "row")


def test_every_row_is_scored_as_score_table_does(model, source, tmp_path):
    found = certify(model, source, tmp_path / "dest")
    assert (found.units, found.done, found.failed, found.rows) == (6, 5, 1, sum(SIZES))
    everything = table(tmp_path / "dest")
    assert everything.columns[:3] == ["file", "row", "id"]
    for number, size in enumerate(SIZES):
        own = everything.filter(pl.col("file") == f"day={number % 2}/{number:03d}.parquet")
        assert own["row"].to_list() == list(range(size))
        if size:
            expected = score_table(model, rows(size, number), THREATS, certifier_for("closed-form"))
            assert own.select(expected.columns).equals(expected)
            assert own["id"].to_list() == rows(size, number)["id"].to_list()


def test_bad_rows_keep_their_place(model, source, tmp_path):
    found = certify(model, source, tmp_path / "dest")
    bad = table(tmp_path / "dest").filter(pl.col("problem").is_not_null())
    assert 0 < len(bad) == found.problems
    assert set(bad["problem"]) == {"a: no value"}
    assert bad["radius, l1 box[0,1]"].null_count() == len(bad)


def test_a_damaged_file_is_told_and_stops_no_other(model, source, tmp_path):
    (failure,) = certify(model, source, tmp_path / "dest").failures
    assert failure.path == "damaged-0.parquet"
    assert failure.error.startswith("damaged-0.parquet: cannot be read as a table")
    assert str(tmp_path) not in failure.error


def test_processes_write_the_same_bytes(model, source, tmp_path, undisturbed):
    found = certify(model, source, tmp_path / "dest", workers=2)
    assert (found.done, found.failed) == (5, 1)
    assert outputs(tmp_path / "dest") == undisturbed
    assert len(undisturbed) == 4  # none for the file without rows


def test_nothing_is_done_twice(model, source, tmp_path, monkeypatch):
    certify(model, source, tmp_path / "dest")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "dest").rglob("*.parquet")}
    again = certify(model, source, tmp_path / "dest")
    assert (again.done, again.failed, again.rows) == (5, 1, 0)
    assert len(again.failures) == 1
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "dest").rglob("*.parquet")}


def test_what_is_missing_is_done(model, source, tmp_path, undisturbed):
    certify(model, source, tmp_path / "dest")
    gone = sorted((tmp_path / "dest" / "done").rglob("*.json"))[0]
    gone.unlink()  # as if the process had ended between output and record
    found = certify(model, source, tmp_path / "dest")
    assert found.done == 5
    assert gone.exists()
    assert outputs(tmp_path / "dest") == undisturbed


def test_a_half_written_output_without_a_record_is_replaced(model, source, tmp_path, undisturbed):
    certify(model, source, tmp_path / "dest")
    record = max((tmp_path / "dest" / "done").rglob("*.json"), key=lambda path: json.loads(path.read_text())["rows"])
    output = tmp_path / "dest" / "rows" / record.parent.name / f"{record.stem}.parquet"
    output.write_bytes(b"half")
    record.unlink()
    certify(model, source, tmp_path / "dest")
    assert outputs(tmp_path / "dest") == undisturbed


def test_failures_are_tried_again_on_request(model, tmp_path):
    source = make_lake(tmp_path / "source", (3,), damaged=1)
    assert certify(model, source, tmp_path / "dest").failed == 1
    bad = source / "damaged-0.parquet"
    status, content = bad.stat(), bad.read_bytes()
    assert certify(model, source, tmp_path / "dest", retry_failed=True).failed == 1
    rows(4).write_parquet(bad)
    found = certify(model, source, tmp_path / "dest")  # another file now: done without asking
    assert (found.units, found.done, found.failed, found.failures) == (2, 2, 0, [])
    bad.write_bytes(content)
    os.utime(bad, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert certify(model, source, tmp_path / "dest").failed == 1


def test_a_changed_file_is_done_anew_and_its_old_output_stays(model, tmp_path):
    source = make_lake(tmp_path / "source", (3, 4))
    certify(model, source, tmp_path / "dest")
    rows(7).write_parquet(source / "day=0" / "000.parquet")
    found = certify(model, source, tmp_path / "dest")
    assert (found.units, found.done, found.rows, found.stale) == (2, 2, 7, 1)
    assert len(outputs(tmp_path / "dest")) == 3


def test_a_large_file_is_done_in_parts(model, tmp_path, monkeypatch):
    source = make_lake(tmp_path / "source", (1000,))
    certify(model, source, tmp_path / "whole")
    monkeypatch.setattr(units, "PART_BYTES", 10_000)
    found = certify(model, source, tmp_path / "parts")
    assert found.units > 1
    assert len(outputs(tmp_path / "parts")) == found.units
    keys = ["file", "row", "id", "verdict", "problem"]
    assert table(tmp_path / "parts").select(keys).equals(table(tmp_path / "whole").select(keys))


def test_a_file_with_more_rows_than_fit_fails(model, tmp_path, monkeypatch):
    monkeypatch.setattr("asymcert.lake.tables.MOST_ROWS", 50)
    (failure,) = certify(model, make_lake(tmp_path / "source", (51, 50)), tmp_path / "dest").failures
    assert "51 rows" in failure.error


@pytest.mark.parametrize("suffix", [".csv", ".arrow", ".jsonl"])
def test_other_formats(model, tmp_path, suffix):
    (tmp_path / "source").mkdir()
    write = {".csv": "write_csv", ".arrow": "write_ipc", ".jsonl": "write_ndjson"}[suffix]
    getattr(rows(20), write)(tmp_path / "source" / f"a{suffix}")
    (tmp_path / "source" / "notes.txt").write_text("not a table")
    found = certify(model, tmp_path / "source", tmp_path / "dest")
    assert (found.units, found.rows, found.failed) == (1, 20, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda frame: frame.drop("b"), "The table lacks the columns ['b']"),
        (lambda frame: frame.drop("id"), "lacks the columns ['id'], which are to be kept"),
        (lambda frame: frame.with_columns(b=pl.concat_list("b")), "Column 'b' must hold numbers or text"),
        (lambda frame: frame.with_columns(pl.col("b").alias(" b ")), "Several columns have one name"),
    ],
)
def test_odd_columns_fail_their_file_alone(model, tmp_path, change, told):
    source = make_lake(tmp_path / "source", (5,))
    change(rows(3)).write_parquet(source / "odd.parquet")
    found = certify(model, source, tmp_path / "dest")
    assert found.done == 1
    assert [failure.path for failure in found.failures] == ["odd.parquet"]
    assert told in found.failures[0].error


def test_blanks_around_names_do_not_matter(model, tmp_path):
    (tmp_path / "source").mkdir()
    rows(3).rename({"a": " a ", "id": "id "}).write_parquet(tmp_path / "source" / "x.parquet")
    assert certify(model, tmp_path / "source", tmp_path / "dest").failures == []


@pytest.mark.parametrize("other", [{"keep": []}, {"method": "tangent"}, {"model": table_model(0.5)}])
def test_a_destination_has_one_job(model, source, tmp_path, other):
    certify(model, source, tmp_path / "dest")
    with pytest.raises(RunError, match=f"another job, which differs in .*{next(iter(other))}"):
        certify(**{"model": model, "source": source, "dest": tmp_path / "dest", **other})


def test_files_of_others_are_left_alone(model, source, tmp_path):
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "precious").write_text("mine")
    with pytest.raises(RunError, match="files that are no lake run's"):
        certify(model, source, tmp_path / "dest")
    assert os.listdir(tmp_path / "dest") == ["precious"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"source": "nowhere"}, "`source` must be a folder, a file or a glob"),
        ({"source": "ftp://x/y"}, "`address` must be a path or one that begins with file://"),
        ({"dest": "SOURCE/out"}, "`out` must be apart from the source"),
        ({"keep": ["row"]}, "`keep` must be of different names"),
        ({"engine": "spark"}, "`engine` must be one of"),
        ({"address": "auto"}, "`address` must be left out for the local engine"),
        ({"workers": -1}, "`workers` must be an integer of at least 0"),
        ({"method": "interval"}, "`model` must be"),
        ({"threats": [ThreatModel(1), ThreatModel(1)]}, "`threats` must be at least one, all different"),
    ],
)
def test_mistakes_are_told_before_any_work(model, source, tmp_path, options, told):
    given = {"model": model, "source": source, "dest": tmp_path / "dest", "threats": THREATS, "workers": 0, **options}
    given["dest"] = str(given["dest"]).replace("SOURCE", str(source))
    with pytest.raises(InputError) as raised:
        lake.certify(**given)
    assert told in str(raised.value)


def test_an_empty_source_is_refused(model, tmp_path):
    (tmp_path / "source").mkdir()
    with pytest.raises(InputError, match="`source` must be a place with tables"):
        certify(model, tmp_path / "source", tmp_path / "dest")


@pytest.mark.parametrize(("pattern", "files"), [("day=0/*.parquet", 3), ("**/00[13].parquet", 2), ("*.parquet", 1)])
def test_globs(model, source, tmp_path, pattern, files):
    assert certify(model, f"{source}/{pattern}", tmp_path / "dest").units == files


def test_a_full_destination_stops_with_one_line(model, source, tmp_path, monkeypatch):
    certify(model, source, tmp_path / "full")
    real = os.fsync

    def full(descriptor):
        if "partial" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device", "dest")
        real(descriptor)

    make_lake(source_two := tmp_path / "two", (4,))
    certify(model, source_two, tmp_path / "dest")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        certify(model, source_two, tmp_path / "dest")
    monkeypatch.undo()
    assert certify(model, source_two, tmp_path / "dest").done == 1


def test_a_destination_beside_files_that_a_glob_means(model, tmp_path):
    rows(3).write_parquet(tmp_path / "a.parquet")
    assert certify(model, tmp_path / "a.parquet", tmp_path / "one").done == 1
    assert certify(model, f"{tmp_path}/*.parquet", tmp_path / "two").units == 1
    with pytest.raises(InputError, match="`out` must be apart from the source"):
        certify(model, f"{tmp_path}/**/*.parquet", tmp_path / "three")


def test_models_of_other_data_are_refused(source, tmp_path):
    with pytest.raises(InputError, match="`model` must be of a table"):
        certify(random_mlp(0)[0], source, tmp_path / "dest")


def test_a_file_that_changes_while_it_is_read_fails(model, tmp_path, monkeypatch):
    source = make_lake(tmp_path / "source", (3,))
    real = worker.Worker.score

    def touching(self, unit, first, frame):
        os.utime(source / unit.path, (1, 1))
        return real(self, unit, first, frame)

    monkeypatch.setattr(worker.Worker, "score", touching)
    (failure,) = certify(model, source, tmp_path / "dest").failures
    assert "was changed during the run" in failure.error
    monkeypatch.undo()
    assert certify(model, source, tmp_path / "dest").failures == []
