"""Ablations: rows of variants and seeds, resuming, ready-made studies, picture."""

import math

import polars as pl
import pytest
import torch

from asymcert import datasets, train
from asymcert.certify import certify
from asymcert.errors import InputError, RunError
from asymcert.studies.ablations import STUDIES, Study, ablate, study_of, summarise
from asymcert.studies.pictures import write_variants_picture
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat
from asymcert.training.smoothing import SmoothingRecipe

QUICK = {"hidden": (8,), "epochs": 4, "validate_every": 4}
STUDY = Study({"free": {**QUICK, "penalty": "none"}, "absolute": {**QUICK, "feature_map": "centre-absolute"}})


@pytest.fixture(scope="module")
def data():
    return datasets.load("digits-3-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ablation")


@pytest.fixture(scope="module")
def rows(data, folder):
    return ablate(data, STUDY, (0, 1), folder=folder)


def test_rows_say_what_the_trained_classifier_does(data, rows):
    assert list(rows.select("variant", "seed").iter_rows()) == [
        ("free", 0),
        ("free", 1),
        ("absolute", 0),
        ("absolute", 1),
    ]
    model = train(data, seed=1, **STUDY.variants["absolute"])
    x, y = data.test.x, data.test.y
    row = rows.row(3, named=True)
    right = model.predict(x) == y
    assert row["accuracy_sensitive"] == float(right[y].double().mean())
    assert row["accuracy_other"] == float(right[~y].double().mean())
    for name, norm in (("l1", 1.0), ("l2", 2.0), ("linf", math.inf)):
        assert row[f"median_{name}"] == float(certify(model, x[y], ThreatModel(norm)).radius.median())
        assert row[f"lipschitz_{name}"] == model.feature_map.lipschitz(norm)
    assert [round(constant, 9) for constant in rows["lipschitz_l1"]] == [1.0, 1.0, 2.0, 2.0]


def test_an_interrupted_study_goes_on(data, rows, folder):
    (folder / "free-1.json").unlink()
    trained = []

    def counting(data, seed, **overrides):
        trained.append(seed)
        return train(data, seed=seed, **overrides)

    counting.__name__ = "train"
    calls = []
    again = ablate(data, Study(STUDY.variants, counting), (0, 1), folder=folder, progress=lambda *at: calls.append(at))
    assert trained == [1]
    assert calls == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert again.drop("seconds").equals(rows.drop("seconds"))
    other = Study({"free": {**QUICK, "epochs": 5}})
    with pytest.raises(RunError, match="other data or with other options"):
        ablate(data, other, (0,), folder=folder)


def test_summary_averages_seeds(rows):
    found = summarise(rows)
    assert found["variant"].to_list() == ["free", "absolute"]
    assert found["seeds"].to_list() == [2, 2]
    own = rows.filter(pl.col("variant") == "free")
    assert found["median_l2"][0] == pytest.approx(own["median_l2"].mean())
    assert found["spread_balanced"][0] == pytest.approx(own["accuracy_balanced"].std())
    assert summarise(rows.head(1))["spread_balanced"][0] is None


def test_smoothing_counts_abstentions_as_wrong(data):
    """Five draws establish nothing at the usual level: every verdict is an abstention."""
    study = study_of("sigma", data)
    recipe = SmoothingRecipe(epochs=1, batch_size=64, learning_rate=0.01)
    quick = Study({"0.25": {"sigma": 0.25, "recipe": recipe}}, study.train, 3, {"n": 5, "n0": 5})
    row = ablate(data, quick, (0,)).row(0, named=True)
    assert (row["accuracy_sensitive"], row["accuracy_other"], row["median_l2"]) == (0.0, 0.0, 0.0)
    assert row["lipschitz_l2"] is None


@pytest.mark.parametrize("name", STUDIES)
def test_ready_made_studies_differ_in_every_variant(data, name):
    study = study_of(name, data)
    assert len({study.describe(variant) for variant in study.variants}) == len(study.variants) >= 5


def test_shared_fields_reach_every_variant(data):
    for name in ("feature-map", "regularisation", "augmentation", "target"):
        for arguments in study_of(name, data, epochs=3).variants.values():
            assert arguments["config"].epochs == 3


def test_picture(rows, tmp_path):
    write_variants_picture(rows, tmp_path / "variants.png")
    assert (tmp_path / "variants.png").read_bytes().startswith(b"\x89PNG")


def test_refusals(data):
    with pytest.raises(InputError, match="`name`"):
        study_of("colour", data)
    with pytest.raises(InputError, match="`colour` must be left out for model 'feature-convex'"):
        study_of("feature-map", data, colour=1)
    with pytest.raises(InputError, match="`epochs` must be left out for the study of sigma"):
        study_of("sigma", data, epochs=3)
    with pytest.raises(InputError, match="at least one variant"):
        ablate(data, Study({}))
    x, y = torch.rand(20, 3), torch.arange(20) % 2 == 0
    split = datasets.Split(x, y)
    table = datasets.BinaryData("table", split, split, split, "a", "b")
    with pytest.raises(InputError, match="images for the study of augmentation"):
        study_of("augmentation", table)
    assert len(study_of("feature-map", table).variants) == 8


def test_targets_of_a_table_are_columns_and_columns_are_counted(tmp_path):
    data = datasets.load("breast-cancer")
    study = study_of("target", data, epochs=3)
    rows = ablate(data, Study(dict(list(study.variants.items())[:2]), certify=study.certify, columns=True), (0,))
    assert rows["variant"].to_list() == ["1 columns", "2 columns"]
    model = train(data, seed=0, **study.variants["2 columns"])
    threat = TableThreat(data.scaling).counting(lower=0.0, upper=1.0)
    radius = certify(model, data.test.x[data.test.y], threat, method="tangent").radius
    assert rows["median_columns"][1] == float(radius.median())
    write_variants_picture(rows, tmp_path / "variants.png")
    assert (tmp_path / "variants.png").stat().st_size > 10_000
