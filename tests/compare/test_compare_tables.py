"""The comparison on a table with a category: columns beside norms, votes, ablation, verified trees."""

import json
import math
from dataclasses import replace
from functools import partial

import polars as pl
import pytest
import torch

from asymcert import datasets, train
from asymcert.certify import certifier_for
from asymcert.compare import COMPARED, FOR_TABLES, CompareOptions, Curve, compare, methods_for
from asymcert.compare.outcome import CHANGED, lines_of, survival, verdicts
from asymcert.compare.page import write_comparison
from asymcert.errors import InputError
from asymcert.training.models import kind_of
from asymcert.training.trees import train_ablation, train_partition, train_trees
from contracts.models import seeded

OPTIONS = CompareOptions(samples=24, audited=2)


def quick(train_method, *arguments, **fixed):
    return lambda data, budget, seed, **options: train_method(data, *arguments, seed=seed, **fixed)


TRAINS = {
    "feature-convex": quick(train, epochs=2, hidden=(4,), batch_size=32),
    "feature-partition": quick(train_partition, 3, max_iter=3),
    "ablation": quick(train_ablation, 1, max_iter=3),
    "trees": quick(train_trees, max_iter=3),
}
CURVES = {"ablation": (Curve("ablation", certifier_for("ablation", n=100), norms=(0.0,)),)}
QUICK = {
    name: replace(FOR_TABLES[name], train=way, curves=CURVES.get(name, FOR_TABLES[name].curves))
    for name, way in TRAINS.items()
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Four numbers and a category, each of which tells something."""
    y = torch.rand(300, generator=seeded(0)) < 0.5
    numbers = torch.rand(300, 4, generator=seeded(1)) + 0.6 * y[:, None]
    columns = {name: numbers[:, index].tolist() for index, name in enumerate("abcd")}
    kind = [("x" if value > 0.8 else "y") for value in (torch.rand(300, generator=seeded(2)) + 0.4 * y).tolist()]
    path = tmp_path_factory.mktemp("table") / "table.csv"
    label = ["bad" if sensitive else "good" for sensitive in y.tolist()]
    pl.DataFrame({**columns, "kind": kind, "label": label}).write_csv(path)
    return path


@pytest.fixture(scope="module")
def done(table, tmp_path_factory):
    data = datasets.load_table(table, label="label", sensitive=["bad"])
    out = tmp_path_factory.mktemp("compare")
    return data, out, compare(data, out, OPTIONS, known=QUICK)


def test_the_kind_of_data_chooses_the_methods(done):
    data, out, _ = done
    assert methods_for(data) is FOR_TABLES
    assert methods_for(datasets.load("digits-3-8")) is COMPARED
    with pytest.raises(InputError, match=r"`methods` must be one of .*'ablation'.* got 'cayley'"):
        compare(data, out, replace(OPTIONS, methods=("cayley",)))


def test_each_certifier_is_run_in_its_own_norms(done):
    _, _, results = done
    for result in results:
        assert sorted(result.rows["norm"].unique().to_list()) == sorted(result.curve.norms)
        assert sorted(result.rows["threat"].unique().to_list()) == sorted(set(result.rows["threat"].to_list()))
        if len(result.audit):
            assert not result.audit["success"].any(), result.curve.label
    counted = [line for line in lines_of(results) if line.norm == 0]
    assert {line.result.method.name for line in counted} == set(QUICK)
    assert max(line.half for line in counted) >= 1
    for line in counted:
        radius = line.series.rows["radius"].to_numpy()
        assert ((radius % 1 == 0) | (radius == math.inf)).all()
        assert radius[radius < math.inf].max(initial=0) <= 5  # a category is one column


def test_survival_counts_missed_ones(done):
    _, _, results = done
    (line,) = [line for line in lines_of(results) if line.name == "Feature partition"]
    own = line.series.rows.filter("label")
    for count, share in survival(line.series.rows).items():
        assert share == len(own.filter(pl.col("radius") >= count)) / len(own)
    found = next(verdict for verdict in verdicts(lines_of(results)) if verdict.norm == 0)
    rivals = [each for each in lines_of(results) if each.norm == 0 and not each.result.method.ours]
    best = max(sum(survival(each.series.rows).values()) / len(CHANGED) for each in rivals)
    assert found.radii[1] == pytest.approx(best)


def test_the_page_and_the_file_speak_of_columns(done):
    data, out, results = done
    page = write_comparison(data, results, out, OPTIONS).read_text(encoding="utf-8")
    assert "<h2>Changed columns</h2>" in page
    assert "of the class stay flagged" in page
    assert "against any change of so" in page
    lines = json.loads((out / "comparison.json").read_text(encoding="utf-8"))["lines"]
    assert all(("survival" in line) == (line["norm"] == 0) for line in lines)
    again = compare(data, out, OPTIONS, known={n: replace(m, train=None) for n, m in QUICK.items()})  # pyright: ignore
    assert [len(result.rows) for result in again] == [len(result.rows) for result in results]


def test_the_number_of_parts_is_chosen_among_those_that_the_columns_allow(done):
    data, _, _ = done
    vote = FOR_TABLES["feature-partition"].train(data, budget="cpu", seed=0)
    assert len(vote.trees.base) == 5
    assert vote.info["data_digest"] == data.digest


def test_every_recipe_is_one(done):
    data, _, _ = done
    recipes = {
        name: kind_of("feature-convex").recipe(data, **method.train.keywords)
        for name, method in FOR_TABLES.items()
        if isinstance(method.train, partial)
    }
    assert recipes["additive-columns"].target_columns == recipes["feature-convex-columns"].target_columns > 0
    assert recipes["logistic-regression"].architecture == recipes["additive"].architecture == "additive"
