import subprocess
import sys
from dataclasses import replace

import polars as pl
import pytest
import torch

from asymcert.datasets.scaling import TableScaling
from asymcert.errors import InputError, RunError
from asymcert.features import Identity
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.runs.folder import RunFolder
from asymcert.runs.rows import AUDIT_SCHEMA, SCHEMA, threat_key
from asymcert.threats.model import ThreatModel
from contracts.models import linear_model, linear_score


def test_facts_come_back_as_written(run, facts):
    assert run.exists
    assert RunFolder(run.path).facts() == facts
    assert set(facts.versions) >= {"asymcert", "torch", "polars"}


def test_creating_over_another_run_is_refused(run, facts):
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        run.create(replace(facts, name="other"))
    assert (run.path / "run.json").read_bytes() == before


def test_creating_over_other_files_is_refused(tmp_path, facts):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="other files"):
        RunFolder(tmp_path).create(facts)
    assert not RunFolder(tmp_path).exists


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "name": "x"}', "\x00"])
def test_damaged_facts_are_refused(run, content):
    (run.path / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json: (damaged|unknown format)"):
        run.facts()


def test_a_folder_without_a_run_is_refused(tmp_path, rows):
    folder = RunFolder(tmp_path / "none")
    for action in (folder.facts, lambda: folder.append("certificates", rows), folder.load_model):
        with pytest.raises(RunError):
            action()
    assert not folder.path.exists()


def test_a_table_grows_in_order(run, rows):
    assert run.read("certificates").schema == SCHEMA
    for start in range(0, 60, 5):  # more than ten parts: order must be that of numbers
        run.append("certificates", rows[start : start + 5])
    assert run.read("certificates").equals(rows)
    assert run.append("certificates", rows.head(0)) is None
    assert len(list((run.path / "certificates").iterdir())) == 12


def test_rows_that_are_not_rows_are_refused(run, rows):
    with pytest.raises(InputError, match="columns and types"):
        run.append("certificates", rows.drop("seed"))
    with pytest.raises(InputError, match="`table`"):
        run.append("../escape", rows)
    assert run.read("certificates").is_empty()


def test_other_tables_keep_their_columns(run):
    run.append("notes", pl.DataFrame({"a": [1]}))
    run.append("notes", pl.DataFrame({"a": [2]}))
    with pytest.raises(RunError, match="other columns"):
        run.append("notes", pl.DataFrame({"b": [1]}))
    assert run.read("notes")["a"].to_list() == [1, 2]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_part_is_named_with_the_remedy(run, rows, damage):
    part = run.append("certificates", rows)
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes({"cut": content[:-20], "flip": content, "empty": b""}[damage])
    with pytest.raises(RunError, match=rf"{part.name}: damaged.*Delete it and run"):
        run.read("certificates")


def test_a_process_killed_while_writing_leaves_nothing_that_is_read(run, rows, monkeypatch):
    run.append("certificates", rows.head(10))

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        run.append("certificates", rows.tail(10))
    monkeypatch.undo()
    (run.path / "certificates" / ".part-00001-0-0.parquet.ab.part").write_bytes(b"half")
    assert run.read("certificates").equals(rows.head(10))


APPEND = """
import sys
import polars as pl
from asymcert.runs.folder import RunFolder
for row in pl.read_parquet(sys.argv[2]).iter_slices(1):
    RunFolder(sys.argv[1]).append("certificates", row)
"""


def test_two_processes_append_without_losing_rows(run, rows, tmp_path):
    workers = []
    for half in (rows[:20], rows[20:40]):
        source = tmp_path / f"{half['index'][0]}.parquet"
        half.write_parquet(source)
        workers.append(subprocess.Popen([sys.executable, "-c", APPEND, run.path, source]))
    assert [worker.wait(120) for worker in workers] == [0, 0]
    assert run.read("certificates").sort("index").equals(rows.head(40))


def test_the_same_rows_under_the_same_number_do_not_overwrite_each_other(run, rows, monkeypatch):
    monkeypatch.setattr(RunFolder, "_parts", lambda *_: [])  # as another process sees the folder before our rename
    run.append("certificates", rows)
    run.append("certificates", rows)
    monkeypatch.undo()
    assert len(run.read("certificates")) == 120


def test_model_is_stored_once(run, model):
    run.save_model(model)
    run.save_model(model)
    assert run.load_model().digest == model.digest
    with pytest.raises(RunError, match="another model"):
        run.save_model(model.with_threshold(model.threshold + 1))


def test_of_a_repeated_epoch_the_last_record_counts(run):
    for epoch, loss in ((1, 3.0), (2, 2.0), (3, 1.5), (2, 1.9), (3, 1.4), (4, 1.2)):
        run.append_log({"epoch": epoch, "loss": loss})
    run.append_log({"note": "a"})
    run.append_log({"note": "b"})
    records = run.read_log()
    assert [record.get("epoch") for record in records] == [1, 2, 3, 4, None, None]
    assert [record["loss"] for record in records[:4]] == [3.0, 1.9, 1.4, 1.2]


def test_a_run_that_was_never_audited_has_the_columns_of_an_audit(run):
    assert run.read("audit").schema == AUDIT_SCHEMA


def test_threat_models_come_back_by_their_keys(run):
    assert run.threats() == {}
    threats = [ThreatModel(float("inf"), 0, 1), ThreatModel(1, mutable=torch.tensor([True, False]))]
    for threat in (*threats, threats[0]):
        run.save_threat(threat)
    assert {key: threat.to_dict() for key, threat in run.threats().items()} == {
        threat_key(threat): threat.to_dict() for threat in threats
    }


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"key": "l2", "norm": 1.0}', '{"key": "l2", "nrom": 2.0}', "\x00"]
)
def test_a_damaged_threat_model_is_refused(run, content):
    run.save_threat(ThreatModel(2))
    (path,) = (run.path / "threats").iterdir()
    path.write_text(content)
    with pytest.raises(RunError, match=rf"{path.name}: damaged.*certify again"):
        run.threats()


def test_log_survives_a_cut_last_line(run):
    assert run.read_log() == []
    run.append_log({"epoch": 0, "loss": 1.5})
    run.append_log({"epoch": 1, "loss": 0.5})
    path = run.path / "train_log.jsonl"
    with path.open("a") as file:
        file.write('{"epoch": 2, "lo')
    assert [record["epoch"] for record in run.read_log()] == [0, 1]
    path.write_text("{\n{}\n")
    with pytest.raises(RunError, match="line 1 is damaged"):
        run.read_log()


@pytest.mark.parametrize("cut", ['{"epoch": 2, "lo', "{", '{"epoch": 1, "loss": 0.5'])
def test_the_next_record_repairs_a_cut_last_line(run, cut):
    run.append_log({"epoch": 0, "loss": 1.5})
    with (run.path / "train_log.jsonl").open("a") as file:
        file.write(cut)
    for epoch in (1, 2):
        run.append_log({"epoch": epoch, "loss": 0.5})
    assert [record["epoch"] for record in run.read_log()] == [0, 1, 2]
    assert (run.path / "train_log.jsonl").read_text().count("\n") == 3


def test_more_rows_than_a_part_may_have_are_refused(run, rows, monkeypatch):
    monkeypatch.setattr("asymcert.runs.folder.MOST_ROWS", 59)
    with pytest.raises(InputError, match="`frame` must be of at most 59 rows, got 60"):
        run.append("certificates", rows)


def test_a_model_of_another_run_is_refused(run):
    linear_model(torch.ones(3), 0.5).save(run.model_path)
    with pytest.raises(RunError, match=r"is the model of another run, on inputs of shape \(3,\), not \(1, 4, 4\)"):
        run.load_model()


def test_a_model_of_another_table_is_refused(run, facts, model):
    scaling = TableScaling.fit(pl.DataFrame({"size": [0.0, 1.0]}))
    other = RunFolder(run.path.with_name("table"))
    other.create(replace(facts, scaling=scaling.to_dict()))
    model.save(other.model_path)
    with pytest.raises(RunError, match="is the model of another run, with other columns"):
        other.load_model()


def test_the_model_of_a_table_comes_back(run, facts, model):
    scaling = TableScaling.fit(pl.DataFrame({"size": [0.1, 1.0], "kind": ["a", "b"]}))
    own = RunFolder(run.path.with_name("table"))
    own.create(replace(facts, scaling=scaling.to_dict(), input_shape=(4,)))
    score = linear_score(torch.ones(4))
    FeatureConvexClassifier(Identity(), score, input_shape=(4,), scaling=scaling).save(own.model_path)
    assert own.load_model().scaling == scaling
