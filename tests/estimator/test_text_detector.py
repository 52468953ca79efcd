"""Detectors of texts are estimators like others, and say in words what their verdicts outlast."""

import inspect
from dataclasses import fields

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import asymcert
from asymcert.datasets.text_columns import LONGEST
from asymcert.errors import DataError, InputError, ModelFileError
from asymcert.estimator import FeatureConvexDetector, TextDetector
from asymcert.estimator.text import RECIPE
from asymcert.models.files import read_contents, write_contents
from asymcert.texts.options import TextOptions
from asymcert.training.text_config import PRESETS, TextConfig
from contracts.readers import ReaderContract
from estimator.messages import QUICK, detector, messages

TEXTS, LABELS = messages()
NEW, TRUTH = messages(40, 1)


@pytest.fixture(scope="module")
def fitted():
    return detector().fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def windowed():
    return detector(windows="both").fit(TEXTS, LABELS)


CHECKS = (  # of scikit-learn's, those that give an estimator no numbers
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)


@pytest.mark.parametrize("check", CHECKS)
def test_scikit_learn_contract(check):
    getattr(estimator_checks, check)("TextDetector", TextDetector())


def test_it_tells_the_classes_apart(fitted):
    assert fitted.score(NEW, TRUTH) > 0.95
    assert np.array_equal(fitted.predict(NEW) == "spam", fitted.certificate(NEW).sensitive.numpy())
    assert np.array_equal(fitted.decision_function(NEW) > 0, fitted.predict(NEW) == "spam")
    assert np.allclose(fitted.predict_proba(NEW).sum(1), 1)


FORMS = {
    "array": np.array,
    "array of objects": lambda texts: np.array(texts, dtype=object),
    "column of an array": lambda texts: np.array(texts, dtype=object)[:, None],
    "tuple": tuple,
    "series of pandas": lambda texts: pd.Series(texts, index=range(5, 5 + len(texts))),
    "string series of pandas": lambda texts: pd.Series(texts, dtype="string"),
    "series of polars": pl.Series,
}


@pytest.mark.parametrize("form", FORMS)
def test_texts_come_in_many_forms(fitted, form):
    assert np.array_equal(fitted.decision_function(FORMS[form](NEW)), fitted.decision_function(NEW))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_have_one_column_with_a_name(fitted, frame):
    framed = detector().fit(frame({"body": TEXTS}), LABELS)
    assert framed.feature_names_in_.tolist() == ["body"]
    assert np.array_equal(framed.decision_function(frame({"body": NEW})), fitted.decision_function(NEW))
    with pytest.raises(ValueError, match="feature names"):
        framed.predict(frame({"subject": NEW}))
    with pytest.raises(InputError, match="one column, got 2 columns"):
        framed.predict(frame({"body": NEW, "subject": NEW}))
    assert not hasattr(framed.fit(TEXTS, LABELS), "feature_names_in_")


def test_pipeline_search_and_cross_validation():
    search = GridSearchCV(make_pipeline(detector()), {"textdetector__target_words": [0, 1]}, cv=2).fit(TEXTS, LABELS)
    assert search.best_score_ > 0.9
    assert cross_val_score(detector(), np.array(TEXTS), LABELS, cv=2).min() > 0.9


def test_disguises_make_no_difference(fitted):
    plain, hidden = "win cash prize now", "W\u0456N  cas\u200bh  Prize\u00a0n\uff4fw"
    assert fitted.decision_function([plain]) == fitted.decision_function([hidden]) > 0
    assert fitted.certify([plain]) == fitted.certify([hidden])


def test_no_added_words_undo_what_outlasts_them(fitted):
    """Every pair of added words of the vocabulary, at random places, on texts that are certified for two."""
    draw, words = np.random.default_rng(0), fitted.scaling_.columns[0].encoder.vocabulary.words
    radius = fitted.certify(NEW, edits="add")
    chosen = [text.split() for text, outlasted in zip(NEW, radius, strict=True) if outlasted >= 2]
    assert len(chosen) > 10
    for left in words:
        text = chosen[draw.integers(len(chosen))]
        edited = []
        for right in words:
            own = list(text)
            for word in (left, right):
                own.insert(draw.integers(len(own) + 1), word)
            edited.append(" ".join(own))
        assert (fitted.predict(edited) == "spam").all()


def test_kinds_of_edits_and_prices(fitted):
    radii = {kinds: fitted.certify(NEW, edits=kinds) for kinds in ("add", "remove", "replace", ("add", "remove"))}
    both = radii["add", "remove"]
    assert (both <= np.minimum(radii["add"], radii["remove"])).all()
    assert (both > 0).any()
    dear = fitted.certify(NEW, edits={"add": 1, "remove": 100})
    assert (dear >= both).all()
    assert (dear > both).any()
    kept = fitted.certify(NEW, edits="remove", protected=["win", "cash", "prize"])
    assert (kept >= radii["remove"]).all()
    assert (kept > radii["remove"]).any()
    assert (fitted.certify(NEW, edits=("add", "remove"), cuts=4) >= both).all()
    assert fitted.certificate(NEW, ("add", "remove")).threat.describe() == "words add+remove"


def test_whole_sentences_where_sentences_are_scored(windowed, fitted):
    spam = np.array(NEW)[TRUTH == "spam"]
    outlasts = windowed.certify(spam, edits=(), sentences=True)
    assert set(outlasts) <= {0.0, np.inf}
    assert np.array_equal(np.isinf(outlasts), windowed.predict(spam) == "spam")
    assert (fitted.certify(spam, edits=(), sentences=True) == 0).all()
    padded = ["See you at lunch. " * 20 + text + ". Thanks, dinner later at home." for text in spam]
    assert (windowed.predict(padded) == "spam")[np.isinf(outlasts)].all()


def test_explanations_agree_with_certificates(windowed):
    found = windowed.explain(NEW[:4])
    assert [each.sensitive for each in found] == (windowed.predict(NEW[:4]) == "spam").tolist()
    assert [each.outlasts.get("added", 0.0) for each in found] == windowed.certify(NEW[:4], edits="add").tolist()
    for each in found:
        assert each.evasion is None or windowed.predict([each.evasion.text]) == ["ham"]


def test_a_saved_detector_is_the_same(windowed, tmp_path):
    windowed.save(tmp_path / "spam.safetensors")
    loaded = TextDetector.load(tmp_path / "spam.safetensors")
    assert loaded.get_params() == windowed.get_params()
    for name in ("predict", "decision_function", "certify"):
        assert np.array_equal(getattr(loaded, name)(NEW), getattr(windowed, name)(NEW))
    assert asymcert.load(tmp_path / "spam.safetensors").digest == windowed.model.digest
    with pytest.raises(ModelFileError, match="not a FeatureConvexDetector"):
        FeatureConvexDetector.load(tmp_path / "spam.safetensors")
    assert np.array_equal(clone(windowed).fit(TEXTS, LABELS).decision_function(NEW), windowed.decision_function(NEW))


def test_weights_and_false_alarms():
    """What weighs nothing is not learned of, not even as a word; few false alarms are as many as allowed."""
    texts, labels = [*TEXTS, "unheard unseen", "unheard unseen"], [*LABELS, "spam", "spam"]
    weight = np.r_[np.ones(len(TEXTS)), 0.0, 0.0]
    weighed = detector().fit(texts, labels, weight)
    assert np.array_equal(weighed.decision_function(NEW), detector().fit(TEXTS, LABELS).decision_function(NEW))
    noisy = np.where(np.arange(len(LABELS)) % 10 == 1, "spam", LABELS)
    strict = detector(max_fpr=0.1).fit(TEXTS, noisy)
    assert (strict.predict(TEXTS)[noisy == "ham"] == "spam").mean() <= 0.1
    balanced = detector(class_weight="balanced").fit(TEXTS[:120], LABELS[:120])
    assert not np.array_equal(
        balanced.decision_function(NEW), detector().fit(TEXTS[:120], LABELS[:120]).decision_function(NEW)
    )
    assert (detector(class_weight={"spam": 1, "ham": 50}).fit(TEXTS, noisy).predict(NEW) == "ham").mean() >= 0.5


def test_parameters_are_those_of_the_recipe_and_of_texts():
    defaults = {name: item.default for name, item in inspect.signature(TextDetector).parameters.items()}
    for item in fields(TextOptions):
        assert defaults[item.name] == item.default
    assert {item.name for item in fields(TextConfig)} >= set(RECIPE)
    assert all(defaults[name] is None for name in RECIPE)
    assert defaults["preset"] in PRESETS


@pytest.mark.parametrize(
    "change",
    [{"preset": "text-monotone"}, {"target_words": 2}, {"rising": "all"}, {"epochs": 2}, {"word_pairs": False}],
)
def test_options_change_the_model(fitted, change):
    assert not np.array_equal(
        detector(**change).fit(TEXTS, LABELS).decision_function(NEW), fitted.decision_function(NEW)
    )


def test_no_texts_and_odd_ones(fitted):
    for name, shape in (("predict", (0,)), ("decision_function", (0,)), ("predict_proba", (0, 2)), ("certify", (0,))):
        assert getattr(fitted, name)([]).shape == shape
    odd = ["", " ", "\ud800", "win \udcff cash \ud83d\ude00", "\x00\x1b[31m", "\u0301" * 5000, "a" * LONGEST]
    assert np.isfinite(fitted.decision_function(odd)).all()
    assert (fitted.predict(["", " "]) == "ham").all()
    for cuts in (1, 3):  # not one alert among them
        assert fitted.certify(["", "lunch at home"], edits=("add", "remove"), cuts=cuts).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda e: e.predict("win cash"), InputError, r"`X` must be a list of texts, got str\. Put a single text"),
        (lambda e: e.predict(b"win"), InputError, "got bytes"),
        (lambda e: e.predict(7), InputError, "got int"),
        (lambda e: e.predict(None), InputError, "got NoneType"),
        (lambda e: e.predict(["win", None]), InputError, "`X` must be made of texts, got NoneType at place 1"),
        (lambda e: e.predict([1.5]), InputError, "got float at place 0"),
        (lambda e: e.predict([b"win"]), InputError, "got bytes at place 0"),
        (lambda e: e.predict(np.ones((2, 3))), InputError, "one column, got 3 columns"),
        (lambda e: e.predict(pd.Series(["win", pd.NA], dtype="string")), InputError, "NAType at place 1"),
        (lambda e: e.predict(["win", "a" * (LONGEST + 1)]), DataError, "row 2, a text of 1000001 characters"),
        (lambda e: e.certify(["win"], edits="swap"), InputError, "`edits` must be made of add, remove, replace"),
        (lambda e: e.certify(["win"], edits=()), InputError, "`edits` must be some of"),
        (lambda e: e.certify(["win"], protected=["wim"]), InputError, "`protected` must be words that the model knows"),
        (lambda e: clone(e).predict(["win"]), NotFittedError, "not fitted"),
        (lambda e: clone(e).fit([], []), ValueError, "0 sample"),
        (lambda e: clone(e).fit(TEXTS, LABELS[:-1]), ValueError, "inconsistent numbers of samples"),
        (lambda e: clone(e).fit(["a", "b", "c", "d"], [0, 1, 0, 1]), ValueError, "sensitive"),
        (lambda e: clone(e).set_params(preset="tabel").fit(TEXTS, LABELS), InputError, "`preset` must be one of"),
        (lambda e: clone(e).set_params(windows="all").fit(TEXTS, LABELS), InputError, "`windows` must be one of"),
        (lambda e: clone(e).set_params(least_texts=0).fit(TEXTS, LABELS), InputError, "`least_texts` must be"),
        (lambda e: clone(e).set_params(dropout=1.5).fit(TEXTS, LABELS), InputError, "`dropout` must be"),
    ],
)
def test_bad_input_is_refused(fitted, act, error, message):
    with pytest.raises(error, match=message):
        act(fitted)


def test_texts_without_a_word_in_common_are_refused():
    with pytest.raises(InputError, match=r"0\. Provide more texts"):
        TextDetector(**QUICK).fit(["a", "b", "c", "d"], [0, 1, 0, 1])


def test_vectors_of_texts_are_columns_of_the_detector_of_tables():
    old, new = (HashingVectorizer(n_features=384).transform(texts).toarray() for texts in (TEXTS, NEW))  # unit vectors
    quick = {"feature_map": "identity", "hidden": (8,), "min_steps": 150, "random_state": 0}
    of_vectors = FeatureConvexDetector("spam", **quick).fit(old, LABELS)
    assert of_vectors.score(new, TRUTH) > 0.9
    radius = of_vectors.certify(new)  # of the vectors, in l2
    assert (radius[of_vectors.predict(new) == "spam"] > 0).all()


class TestTextDetectorFile(ReaderContract):
    sealed = True

    def good(self, folder):
        detector(epochs=1).fit(TEXTS[:40], LABELS[:40]).save(folder / "good.safetensors")
        return folder / "good.safetensors"

    def read(self, path):
        return TextDetector.load(path)

    def hostile(self, folder):
        tensors, metadata, _ = read_contents(self.good(folder))
        told = metadata["info"]["estimator"]
        changes = [
            {"kind": "FeatureConvexDetector"},
            {"parameters": told["parameters"] | {"command": "rm"}},
            {"classes": ["ham"]},
            {"sensitive": 2},
        ]
        paths = {}
        for number, change in enumerate(changes):
            path = paths[str(change)[:80]] = folder / f"{number}.safetensors"
            write_contents(path, tensors, metadata | {"info": metadata["info"] | {"estimator": told | change}})
        return paths
