"""A run shows what it is, without reading its weights, and whatever became of its folder."""

import math

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from asymcert.errors import RunError
from asymcert.estimator import FeatureConvexDetector, LinfDistanceDetector, TextDetector
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.runs.logger import log_to
from asymcert.runs.run import Run


@pytest.fixture
def folder(tmp_path, model):
    run = RunFolder(tmp_path / "run")
    run.create(RunFacts("toy", None, "data", "<b>bad", "good", (1, 4, 4), {"epochs": 25, "long": "x" * 999}, 0))
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


@pytest.mark.parametrize("kind", [FeatureConvexDetector, LinfDistanceDetector, TextDetector])
def test_estimators_are_drawn_as_scikit_learn_does(kind):
    for estimator in (kind(sensitive="<spam>"), make_pipeline(FunctionTransformer(), kind(sensitive="<spam>"))):
        page = estimator._repr_html_()
        assert "sk-estimator" in page
        assert f">{kind.__name__}<" in page
        assert "<spam>" not in page


def test_a_fitted_estimator_is_drawn_as_fitted():
    X = np.linspace(0.0, 1.0, 40)[:, None]
    detector = make_pipeline(StandardScaler(), FeatureConvexDetector(epochs=1, min_steps=1, random_state=0))
    assert "sk-estimator fitted" in detector.fit(X, X[:, 0] > 0.5)._repr_html_()


class Tracker:
    """The three functions of MLflow."""

    def __init__(self):
        self.params, self.metrics, self.files = {}, {}, []

    def log_params(self, params):
        self.params |= params

    def log_metrics(self, metrics):
        self.metrics |= metrics

    def log_artifact(self, local_path):
        self.files.append(local_path)


def test_a_tracker_gets_recipe_figures_and_model(folder, model):
    tracker = Tracker()
    figures = {"median_radius": 0.5, "mean_radius": math.inf, "n_other": 3, "threat": "l2", "whole": True, "a@b": 1}
    log_to(Run(folder.path), tracker, figures)
    assert tracker.metrics == {"median_radius": 0.5, "n_other": 3.0, "a_b": 1.0}
    assert tracker.params["model_digest"] == model.digest
    assert tracker.params["config.epochs"] == "25"
    assert len(tracker.params["config.long"]) == 250
    assert tracker.files == [str(folder.path / "model.safetensors")]


def test_a_tracker_gets_no_empty_figures_and_nothing_of_no_run(folder, tmp_path):
    tracker = Tracker()
    tracker.log_metrics = None
    log_to(Run(folder.path), tracker)
    with pytest.raises(RunError, match="not a run folder"):
        log_to(Run(tmp_path / "nowhere"), Tracker())
