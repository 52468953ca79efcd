"""A run shows what it is, without reading its weights, and whatever became of its folder."""

import pytest

from asymcert.estimator import FeatureConvexDetector
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.run import Run


@pytest.fixture
def folder(tmp_path, model):
    run = RunFolder(tmp_path / "run")
    run.create(RunFacts("toy", None, "data", "<b>bad", "good", (1, 4, 4), {}, 0))
    run.save_model(model)
    return run


def test_a_run_is_one_line(folder, model):
    run = Run(folder.path)
    shown = f"folder: {folder.path}, data: toy, <b>bad against good, model: FeatureConvexClassifier, "
    assert repr(run) == f"Run({shown}digest: {model.digest[:12]})"
    assert "_read" not in vars(run)  # the model was not loaded


def test_a_notebook_shows_it_escaped(folder):
    page = Run(folder.path)._repr_html_()
    assert "&lt;b&gt;bad against good" in page
    assert "FeatureConvexClassifier" in page


@pytest.mark.parametrize("damaged", ["run.json", "model.safetensors"])
def test_a_damaged_run_says_so(folder, damaged):
    (folder.path / damaged).write_bytes(b"{")
    assert f"problem: {folder.path / damaged}" in repr(Run(folder.path))


def test_no_run(tmp_path):
    assert "not a run folder" in repr(Run(tmp_path / "nowhere"))


def test_estimators_are_drawn_as_scikit_learn_does():
    page = FeatureConvexDetector(sensitive="spam")._repr_html_()
    assert "sk-estimator" in page
    assert "FeatureConvexDetector" in page
