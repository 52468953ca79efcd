"""All methods, small and quick, on one data set: rows, resuming, attacks, page, picture and file."""

import json
import math
import shutil
from dataclasses import replace

import polars as pl
import pytest
import torch

from asymcert import datasets, train
from asymcert.attacks import ProjectedGradient, RandomSearch, RoundingAttack
from asymcert.certify import ClosedForm, Exact, certifier_for
from asymcert.compare import COMPARED, CompareOptions, Curve, compare
from asymcert.compare.outcome import lines_of, machine_readable, verdicts
from asymcert.compare.page import write_comparison
from asymcert.errors import InputError, RunError
from asymcert.evaluate import floor_significant
from asymcert.evaluate.beyond import Beyond
from asymcert.training.cayley import CayleyRecipe, train_cayley
from asymcert.training.linf_nets import train_linf
from asymcert.training.relu import EXPONENTS, ReluRecipe, train_relu
from asymcert.training.smoothing import SmoothingRecipe, SplittingRecipe, train_smoothed, train_split

FIT = {"epochs": 4, "batch_size": 32, "learning_rate": 0.01}
LINF = {"width": 16, "depth": 2, "epochs": 6, "epsilon": 0.2, "batch_size": 32, "mix_start": 1.0}
OPTIONS = CompareOptions(samples=20, audited=1)


def quick(train_method, *arguments, **fixed):
    def run(data, budget, **options):
        return train_method(data, *arguments, **fixed, **options)

    return run


def smoothed(noise):
    return quick(train_smoothed, noise, 0.25, recipe=SmoothingRecipe(**FIT))


def bounded(norm):
    return quick(train_relu, recipe=ReluRecipe(loss="crown-ibp", norm=norm, widths=(8,), epsilon=0.05, **FIT))


TRAINS = {
    "feature-convex": quick(train, hidden=(8,), epochs=6, batch_size=32),
    **{
        f"feature-convex-{norm}": quick(train, preset=f"image-{norm}", hidden=(8,), epochs=6, batch_size=32)
        for norm in ("l1", "l2", "linf")
    },
    "linf-convex": quick(train_linf, convex=(4,), features=3, **LINF),
    "linf-net": quick(train_linf, **LINF),
    "smoothing-gaussian": smoothed("gaussian"),
    "smoothing-macer": quick(train_smoothed, recipe=SmoothingRecipe(loss="macer", copies=2, **FIT)),
    "smoothing-laplacian": smoothed("laplacian"),
    "smoothing-uniform": smoothed("uniform"),
    "splitting": quick(train_split, recipe=SplittingRecipe(**FIT)),
    "cayley": quick(train_cayley, recipe=CayleyRecipe(widths=(16,), **FIT)),
    "feature-convex-map": quick(train, preset="image-map", map_width=8, map_depth=1, epochs=6, batch_size=32),
    "sll": quick(train, preset="image-sll", map_width=8, map_depth=1, epochs=6, batch_size=32),
    "crown": quick(train_relu, recipe=ReluRecipe(widths=(8,), attack_steps=2, **FIT)),
    **{f"crown-ibp-{norm}": bounded(norm) for norm in EXPONENTS},
}
CURVES = {
    "feature-convex": (Curve("closed form", ClosedForm()), Curve("exact", Exact(tolerance=0.01), 0.25)),
    **{
        f"smoothing-{n}": (Curve(n, certifier_for("smoothing", n=300)),)
        for n in ("gaussian", "macer", "laplacian", "uniform")
    },
    "crown": (
        Curve("CROWN", certifier_for("crown", steps=6)),
        Curve("bab", certifier_for("branch-and-bound", steps=6, time_limit=0.2), 0.1),
    ),
    **{f"crown-ibp-{norm}": (Curve(norm, certifier_for("interval-bounds", steps=6)),) for norm in EXPONENTS},
}
QUICK = {name: replace(m, train=TRAINS[name], curves=CURVES.get(name, m.curves)) for name, m in COMPARED.items()}


@pytest.fixture(scope="module", autouse=True)
def _short_attacks():
    """Whether and what is attacked is asked here; certifiers have tests of their own, with long attacks."""
    attacks = [ProjectedGradient(10, 2), RandomSearch(20), RoundingAttack(5, 5, 5), Beyond()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asymcert.evaluate.audit.default_attacks", lambda: attacks)
        yield


@pytest.fixture(scope="module")
def data():
    return datasets.load("digits-3-8")


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("compare")
    return out, compare(data, out, OPTIONS, known=QUICK)


def test_every_method_is_there_with_every_norm(done):
    _, results = done
    assert [result.method.name for result in results if result.curve is result.method.curves[0]] == list(COMPARED)
    for result in results:
        assert sorted(result.rows["norm"].unique().to_list()) == [1.0, 2.0, math.inf]
        expected = max(2, math.ceil(20 * result.curve.share))
        assert result.rows.group_by("norm").len()["len"].to_list() == [expected] * 3
        assert result.rows.filter("label", "prediction").height > 0, result.curve.label


def test_all_saw_the_same_samples_of_the_same_data(done, data):
    _, results = done
    for result in results:
        own = result.rows.filter(pl.col("norm") == 2.0).sort("index")
        assert own["index"].to_list() == list(range(len(own)))
        assert own["label"].to_list() == data.test.y[: len(own)].tolist()
        assert own["data_digest"].unique().to_list() == [data.digest]


def test_attacks_fail_on_all_but_the_randomised_which_are_not_attacked(done):
    _, results = done
    for result in results:
        assert (len(result.audit) > 0) == result.method.deterministic, result.curve.label
        if len(result.audit):
            assert not result.audit["success"].any()


class ProvesNothing(ClosedForm):
    """Every radius is 0."""

    def certify(self, model, x, threats):
        return [replace(c, radius=torch.zeros_like(c.radius)) for c in super().certify(model, x, threats)]


@pytest.mark.parametrize(("certifier", "audited"), [(ProvesNothing(), 5), (ClosedForm(), 0), (ClosedForm(), 5)])
def test_what_was_not_attacked_is_said(done, data, tmp_path, certifier, audited):
    curves = (Curve("only", certifier),)
    only_model = shutil.ignore_patterns("audit", "certificates")
    shutil.copytree(done[0] / "feature-convex", tmp_path / "feature-convex", ignore=only_model)
    known = {"feature-convex": replace(QUICK["feature-convex"], curves=curves)}
    options = replace(OPTIONS, methods=("feature-convex",), samples=15, audited=audited)
    results = compare(data, tmp_path, options, known=known)
    text = write_comparison(data, results, tmp_path, options).read_text(encoding="utf-8")
    lines = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["lines"]
    attacked = len(results[0].audit)
    assert ("Nothing was attacked." in text) == (attacked == 0) == (type(certifier) is ProvesNothing or not audited)
    assert (f"0 of {attacked} attacks" in text) == (attacked > 0)
    assert {(line["attacked"] > 0, line["attacks_won"]) for line in lines} == {(attacked > 0, 0 if attacked else None)}


def test_what_is_finished_is_not_done_again(done, data):
    out, results = done

    def never(data, budget, **options):
        raise AssertionError("trained again")

    known = {name: replace(method, train=never) for name, method in QUICK.items()}
    again = compare(data, out, OPTIONS, known=known)
    for first, second in zip(results, again, strict=True):
        assert second.rows.equals(first.rows)  # times too: nothing was certified again
        assert len(second.audit) == len(first.audit)


def test_another_seed_in_the_same_folder_is_refused(done):
    out, _ = done
    with pytest.raises(RunError, match="was begun with another data, seed"):
        compare(datasets.load("digits-3-8", seed=1), out, replace(OPTIONS, seed=1), known=QUICK)


def test_the_page_the_picture_and_the_file(done, data):
    out, results = done
    published = {"published: x": pl.DataFrame({"norm": [2.0, 2.0], "radius": [0.0, 1.0], "accuracy": [1.0, 0.2]})}
    page = write_comparison(data, results, out, OPTIONS, published)
    text = page.read_text(encoding="utf-8")
    for method in COMPARED.values():
        assert method.label in text
        assert method.deviations["cpu"].split(";")[0] in text
    assert "published: x" in text
    assert "http-equiv" in text
    assert (out / "certified_accuracy.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert len(record["lines"]) == 3 * len(results)
    line = record["lines"][0]
    own = results[0].rows.filter(pl.col("norm") == 1.0, "label")
    assert line["radius_at_half"] == own.select(pl.col("radius").median()).item()
    assert line["curve"][0][0] == 0.0
    assert line["seed"] == 0
    assert record["lines"] == machine_readable(data, lines_of(results), OPTIONS)["lines"]


def test_other_seeds_are_shown_by_their_radii(data, done, tmp_path):
    _, results = done
    options = replace(OPTIONS, methods=("feature-convex", "cayley"), seed=3)
    first = [result for result in results if result.method.name in options.methods]
    second = compare(datasets.load("digits-3-8", seed=3), tmp_path, options, known=QUICK)
    assert [line.seed for line in lines_of(second)] == [3] * 9
    single = write_comparison(data, first, tmp_path, OPTIONS).read_text(encoding="utf-8")
    assert "<h2>Seeds</h2>" not in single
    page = write_comparison(data, first, tmp_path, OPTIONS, others=[second]).read_text(encoding="utf-8")
    radii = [
        floor_significant(own.half) for part in (first, second) for own in lines_of(part) if "cayley" in label(own)
    ]
    assert f"{radii[1]} / {radii[4]}" in page  # l2 of both
    won = sum(verdicts(lines_of(part))[0].won for part in (first, second))
    assert f"Ours leads with {won} of 2 seeds." in page
    record = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert [line["seed"] for line in record["lines"]] == [0] * 9 + [3] * 9


def label(line):
    return line.result.method.name


def test_rivals_are_compared_on_the_samples_that_they_saw(done):
    _, results = done
    lines = lines_of(results)
    for norm in (1.0, 2.0, math.inf):
        here = [line for line in lines if line.norm == norm]
        ours = [line for line in here if line.result.method.ours and line.whole]
        rivals = [line for line in here if not line.result.method.ours]
        first, *others = [verdict for verdict in verdicts(lines) if verdict.norm == norm]
        assert first.radii == (max(line.half for line in ours), max(line.half for line in rivals if line.whole))
        assert [verdict.rival for verdict in others] == [line for line in rivals if not line.whole]
        assert others
        for verdict in others:
            assert verdict.rival is not None
            count = len(verdict.rival.series.rows)
            assert count < 20
            assert verdict.radii == (max(median_of_first(line, count) for line in ours), verdict.rival.half)
            assert verdict.won == (verdict.radii[0] > verdict.radii[1])


def median_of_first(line, count):
    rows = line.series.rows.filter(pl.col("index") < count, "label")
    return rows.select(pl.when("prediction").then("radius").otherwise(0.0).median()).item()


def test_a_certifier_that_refuses_the_model_is_left_out_and_named(data, tmp_path):
    bent = quick(train, hidden=(4,), epochs=1, feature_map="centre-absolute")
    curves = (Curve("closed form", ClosedForm()), Curve("exact", Exact(), 0.1, optional=True))
    known = {"feature-convex": replace(QUICK["feature-convex"], train=bent, curves=curves)}
    options = replace(OPTIONS, methods=("feature-convex",), audited=0)
    results = compare(data, tmp_path, options, known=known)
    assert [len(result.rows) for result in results] == [60, 0]
    assert len(lines_of(results)) == 3
    page = write_comparison(data, results, tmp_path, options)
    text = page.read_text(encoding="utf-8")
    assert "left out: `model` must be one whose margin is convex" in text
    assert "Nothing was attacked." in text
    strict = replace(QUICK["feature-convex"], train=bent, curves=(Curve("exact", Exact(), 0.1),))
    with pytest.raises(InputError, match="convex in the input"):
        compare(data, tmp_path, options, known={"feature-convex": strict})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ("magic",)}, "`methods` must be one of"),
        ({"methods": ()}, "`methods` must be at least one"),
        ({"budget": "tpu"}, "`budget` must be one of"),
        ({"points": 0}, "`points` must be an integer of at least 1"),
        ({"levels": (62.0,)}, "`levels` must be a number in"),
        ({"samples": 1}, "`samples` must be an integer of at least 2"),
    ],
)
def test_options_are_checked(change, message):
    with pytest.raises(InputError, match=message):
        CompareOptions(**change)
