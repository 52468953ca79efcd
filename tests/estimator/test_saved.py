"""Saved estimators come back as they were; their files are model files, of which nothing is run."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import asymcert
from asymcert.errors import ModelFileError
from asymcert.estimator import FeatureConvexDetector, LinfDistanceDetector
from asymcert.models.files import read_contents, write_contents
from asymcert.threats.model import ThreatModel
from contracts.readers import ReaderContract
from estimator.frames import QUICK, detector, transactions


def test_a_saved_detector_is_the_same(fitted, bought, tmp_path):
    frame, _ = bought
    fitted.save(tmp_path / "fraud.safetensors")
    loaded = FeatureConvexDetector.load(tmp_path / "fraud.safetensors")
    assert loaded.get_params() == fitted.get_params()
    assert loaded.classes_.dtype == fitted.classes_.dtype
    assert np.array_equal(loaded.feature_names_in_, fitted.feature_names_in_)
    for name in ("predict", "decision_function", "predict_proba", "certify"):
        assert np.array_equal(getattr(loaded, name)(frame), getattr(fitted, name)(frame))
    assert loaded.explain(frame.head(5)) == fitted.explain(frame.head(5))


def test_the_package_reads_it_as_a_model(fitted, bought, tmp_path):
    fitted.save(tmp_path / "fraud.safetensors")
    model = asymcert.load(tmp_path / "fraud.safetensors")
    assert model.digest == fitted.model.digest
    assert (model.sensitive, model.other) == ("fraud", "fine")
    assert np.array_equal(model.predict(fitted._inputs(bought[0])), fitted.predict(bought[0]) == "fraud")


@pytest.mark.parametrize(
    "classes", [[0, 1], [False, True], [1.0, 2.0], ["a", "longer"], pd.Series(["a", "b"], dtype=object)], ids=str
)
def test_classes_keep_their_type(classes, tmp_path):
    x, y = np.random.default_rng(0).random((40, 2)), np.asarray(classes)[np.arange(40) % 2]
    before = FeatureConvexDetector(**QUICK | {"sensitive": None, "min_steps": 5, "epochs": 1}).fit(x, y)
    before.save(tmp_path / "a.safetensors")
    after = FeatureConvexDetector.load(tmp_path / "a.safetensors")
    assert after.predict(x).dtype == before.predict(x).dtype == y.dtype
    assert np.array_equal(after.predict(x), before.predict(x))
    assert not hasattr(after, "feature_names_in_")


def test_parameters_of_every_kind_come_back(bought, tmp_path):
    threat = ThreatModel(1, lower=0.0)
    given = {"threat": threat, "max_fpr": np.float64(0.25), "hidden": [4], "random_state": np.random.RandomState(0)}
    before = detector(**given, min_steps=5, epochs=1).fit(*bought)
    before.save(tmp_path / "a.safetensors")
    after = FeatureConvexDetector.load(tmp_path / "a.safetensors")
    assert after.threat.to_dict() == threat.to_dict()
    assert (after.max_fpr, after.hidden, after.random_state) == (0.25, (4,), None)
    assert np.array_equal(after.certify(bought[0]), before.certify(bought[0]))


def test_another_kind_of_file_is_refused(fitted, bought, tmp_path):
    fitted.save(tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match="not a LinfDistanceDetector"):
        LinfDistanceDetector.load(tmp_path / "a.safetensors")
    alone = asymcert.load(tmp_path / "a.safetensors")
    alone.info = {}
    alone.save(tmp_path / "b.safetensors")
    with pytest.raises(ModelFileError, match=r"got a model alone\. Read it with asymcert\.load"):
        FeatureConvexDetector.load(tmp_path / "b.safetensors")


def test_pickle_and_clone_as_scikit_learn_expects(fitted, bought):
    frame, y = bought
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301 our own
    assert np.array_equal(again.certify(frame), fitted.certify(frame))
    copy = clone(fitted)
    assert not hasattr(copy, "model_")
    assert np.array_equal(copy.fit(frame, y).decision_function(frame), fitted.decision_function(frame))


class TestDetectorFile(ReaderContract):
    sealed = True

    def good(self, folder):
        frame, y = transactions(60)
        detector(min_steps=2, epochs=1).fit(frame, y).save(folder / "good.safetensors")
        return folder / "good.safetensors"

    def read(self, path):
        return FeatureConvexDetector.load(path)

    def hostile(self, folder):
        tensors, metadata, _ = read_contents(self.good(folder))
        told = metadata["info"]["estimator"]
        parameters = told["parameters"]
        changes = [
            *({"type": kind} for kind in ("V1000000000", "U1000000000", "(1000000000,)f8", "M8[s]", "S3", 7, None, [])),
            *({"classes": values} for values in ([], ["a"], ["a", "b", "c"], "ab", None, [[1], [1, 2]], [{}, {}])),
            *({"sensitive": value} for value in (2, -1, "0", None)),
            {"type": "<i8", "classes": [10**300, 0]},
            {"kind": "Detector"},
            {"parameters": parameters | {"command": "rm"}},
            {"parameters": parameters | {"threat": {"threat": {"norm": -1}}}},
            {"parameters": parameters | {"threat": {"shell": []}}},
            {"parameters": parameters | {"threat": {"mapping": [1, 2]}}},
            {"parameters": parameters | {"threat": {"mapping": [[{"mapping": []}, 2]]}}},
            {"parameters": None},
        ]
        paths = {}
        for number, change in enumerate(changes):
            info = metadata["info"] | {"estimator": told | change}
            path = paths[f"{change}"[:80]] = folder / f"{number}.safetensors"
            write_contents(path, tensors, metadata | {"info": info})
        return paths
