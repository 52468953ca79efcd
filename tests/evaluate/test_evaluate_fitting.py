"""Training into a run folder: what is continued, what is refused, and that a failed start leaves nothing behind."""

import subprocess
import sys
from dataclasses import replace

import pytest

from asymcert.errors import InputError, RunError
from asymcert.runs.fitting import fit_run
from asymcert.runs.folder import RunFolder


def never(*_):
    raise AssertionError("trained although it should not")


def refuses(*_):
    raise InputError("no such device")


def stops_after_an_epoch(_, on_epoch):
    on_epoch({"epoch": 1, "loss": 0.5})
    raise KeyboardInterrupt


def test_a_finished_run_is_loaded(run, facts, model):
    run.save_model(model)
    assert fit_run(run, facts, never).digest == model.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "begun with another seed. Choose another --out, or delete it first"),
        ({"data_digest": "x"}, "begun with another data"),
        ({"config": {"epochs": 30}}, r"begun with another config \(epochs 25, not 30\)"),
        ({"config": {"epochs": 25, "crop": 1}}, r"begun with another config \(crop None, not 1\)"),
    ],
)
def test_another_run_is_refused_and_what_differs_is_named(run, facts, change, said):
    with pytest.raises(RunError, match=said):
        fit_run(run, replace(facts, **change), never)


def test_a_start_that_fails_leaves_the_folder_free(tmp_path, facts, model):
    folder = RunFolder(tmp_path / "new" / "run")
    with pytest.raises(InputError, match="no such device"):
        fit_run(folder, facts, refuses)
    assert not folder.path.exists()
    changed = replace(facts, config={"epochs": 3})
    assert fit_run(folder, changed, lambda *_: model).digest == model.digest
    assert folder.facts() == changed


def test_a_folder_that_was_there_before_stays(tmp_path, facts):
    with pytest.raises(InputError, match="no such device"):
        fit_run(RunFolder(tmp_path), facts, refuses)
    assert list(tmp_path.iterdir()) == []


HOLD = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_training_is_refused_until_the_first_one_ends_however_it_ends(run, facts, model):
    begun = sorted(run.path.iterdir())
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, run.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="another process is training here"):
            fit_run(run, facts, never)
        assert sorted(run.path.iterdir()) == begun
        first.kill()
    assert fit_run(run, facts, lambda *_: model).digest == model.digest


def test_two_trainings_at_once_in_one_process(run, facts, model):
    def inner(*_):
        with pytest.raises(RunError, match="another process is training here"):
            fit_run(run, facts, never)
        return model

    assert fit_run(run, facts, inner).digest == model.digest
    assert fit_run(run, facts, never).digest == model.digest


def test_where_there_are_no_locks_training_goes_on(run, facts, model, monkeypatch):
    def unsupported(*_):
        raise OSError("no locks")

    monkeypatch.setattr("fcntl.flock", unsupported)
    assert fit_run(run, facts, lambda *_: model).digest == model.digest


def test_an_end_that_was_cut_off_after_the_model_was_saved_is_made_good(run, facts, model):
    run.save_model(model)
    run.checkpoint_path.write_bytes(b"left over")
    assert fit_run(run, facts, never).digest == model.digest
    assert not run.checkpoint_path.exists()
    run.checkpoint_path.write_bytes(b"left over")
    with pytest.raises(RunError, match="begun with another seed"):
        fit_run(run, replace(facts, seed=1), never)
    assert run.checkpoint_path.exists()


def test_an_interrupted_training_is_kept(tmp_path, facts):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        fit_run(folder, facts, stops_after_an_epoch)
    assert folder.facts() == facts
    assert len(folder.read_log()) == 1
