"""A comparison at several settings and thresholds: folders, resuming, the time it takes, page, picture and file."""

import dataclasses
import json
import math
import re
from dataclasses import replace
from functools import partial

import polars as pl
import pytest

from asymcert import datasets, train
from asymcert.certify import ClosedForm, certifier_for
from asymcert.compare import COMPARED, FOR_TABLES, CompareOptions, Curve, compare, run
from asymcert.compare.estimate import minutes_left
from asymcert.compare.leads import SAME
from asymcert.compare.looks import looks
from asymcert.compare.methods import Minutes, trained
from asymcert.compare.outcome import lines_of
from asymcert.compare.page import write_comparison
from asymcert.compare.settings import AROUND, RATES, multiples
from asymcert.errors import InputError
from asymcert.models.smoothed import SmoothedClassifier
from asymcert.runs.folder import RunFolder
from asymcert.training.cayley import CayleyRecipe, train_cayley
from asymcert.training.models import MODELS

OPTIONS = CompareOptions(samples=30, audited=0, points=2)
SWEPT = len(AROUND) + 1  # digits have too few validation samples to show 1 % of false alarms
OURS = multiples("target_l2", of=(0.5,))
MARGINS = multiples("margin", of=(2.0, 0.5))
MINUTES = {"digits": Minutes(3.0, 100.0)}


def train_ours(data, budget, seed, scaled=None, **options):
    targets = {"target_l2": 0.7 * (scaled or {}).get("target_l2", 1.0)}
    return train(data, hidden=(8,), epochs=6, batch_size=32, seed=seed, **targets, **options)


def train_rival(data, budget, seed, scaled=None, **options):
    recipe = CayleyRecipe(widths=(16,), epochs=4, margin=0.7 * (scaled or {}).get("margin", 1.0))
    return train_cayley(data, recipe=recipe, seed=seed, **options)


CURVES = (Curve("closed form", ClosedForm(), swept=True), Curve("refined", certifier_for("refined", cuts=2), 0.5))
KNOWN = {
    "feature-convex": replace(COMPARED["feature-convex"], train=train_ours, curves=CURVES, knob=OURS, minutes=MINUTES),
    "cayley": replace(COMPARED["cayley"], train=train_rival, knob=MARGINS, minutes=MINUTES),
}


@pytest.fixture(scope="module")
def data():
    return datasets.load("digits-3-8")


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("fronts")
    before = minutes_left(data, out, OPTIONS, KNOWN)
    return out, compare(data, out, OPTIONS, known=KNOWN), before


def test_settings_have_folders_and_quick_certificates_several_thresholds(done):
    out, results, _ = done
    assert RunFolder(out / "cayley").exists
    assert RunFolder(out / "cayley" / "2-times-margin").exists
    assert not (out / "cayley" / "0.5-times-margin").exists()
    counts = {}
    for result in results:
        key = (result.method.name, result.setting.name, result.curve.label)
        counts[key] = counts.get(key, 0) + 1
        assert sorted(result.rows["norm"].unique().to_list()) == [1.0, 2.0, math.inf]
    assert {count for (*_, label), count in counts.items() if label == "refined"} == {1}
    assert all(2 <= count <= SWEPT + 1 for (*_, label), count in counts.items() if label != "refined")
    assert len({key[:2] for key in counts}) == 4


def test_thresholds_keep_to_their_rates_on_validation_data(done, data):
    out, results, _ = done
    model = RunFolder(out / "cayley").load_model()
    scores = model.scores(data.val.x)[~data.val.y]
    for result in results:
        if result.method.name == "cayley" and result.setting.name == "default" and result.rate is not None:
            margins = result.rows.filter(norm=2.0).sort("index")["margin"].to_numpy()
            shifted = model.margin(data.test.x[:1]).item() - margins[0]
            alarms = float((scores > model.threshold + shifted).double().mean())
            assert alarms <= result.rate
            assert result.rate in RATES or result.rate > 0


def test_a_comparison_of_one_point_is_the_first_of_several(done, data, tmp_path):
    out, results, _ = done

    def never(data, budget, **options):
        raise AssertionError("trained again")

    known = {name: replace(method, train=never) for name, method in KNOWN.items()}
    single = compare(data, out, replace(OPTIONS, points=1), known=known)
    assert [result.rows.equals(first.rows) for result, first in zip(single, at_default(results), strict=True)] == [
        True
    ] * len(single)
    again = compare(data, out, OPTIONS, known=known)
    assert all(first.rows.equals(second.rows) for first, second in zip(results, again, strict=True))


def test_validation_data_wait_for_a_certificate_that_is_quick(done, data, monkeypatch):
    """Margins of all of them may take longer than the certificates, by votes over noise."""
    monkeypatch.setattr(run, "operating_points_of", lambda *_: pytest.fail("thresholds that nothing is certified at"))
    slow = replace(KNOWN["feature-convex"], curves=CURVES[1:])
    results = compare(data, done[0], OPTIONS, known={"feature-convex": slow})
    assert [result.curve.label for result in results] == ["refined"] * 2


def test_votes_are_counted_once_for_all_points(data, tmp_path, monkeypatch):
    counts, noisy = [], SmoothedClassifier.noisy
    monkeypatch.setattr(SmoothedClassifier, "noisy", lambda *args: counts.append(args[2]) or noisy(*args))
    curves = (Curve("votes", certifier_for("smoothing", n0=20, n=200), swept=True),)
    method = replace(COMPARED["smoothing-gaussian"], train=partial(trained, "smoothing", epochs=3), curves=curves)
    results = compare(data, tmp_path, replace(OPTIONS, points=2), known={"smoothing-gaussian": method})
    assert len(results) > 4
    assert counts.count(200) == 2 * OPTIONS.samples  # two settings
    digests = {result.rows["model_digest"][0] for result in results}
    assert len(digests) == len(results)
    alerts = [(result.rows.filter(norm=2.0)["margin"] > 0).sum() for result in results]
    assert min(alerts) < max(alerts)


def at_default(results):
    return [result for result in results if result.as_it_is]


def test_time_is_said_for_what_is_left(done, data):
    out, _, before = done
    assert before == {"feature-convex": pytest.approx(2 * (3 + 0.03 * 100)), "cayley": pytest.approx(2 * (3 + 3))}
    assert minutes_left(data, out, OPTIONS, KNOWN) == {"feature-convex": 0.0, "cayley": 0.0}
    more = minutes_left(data, out, replace(OPTIONS, points=3, samples=60), KNOWN)
    assert more["cayley"] == pytest.approx(2 * 0.5 * 6 + 3 + 6)  # half the rows of two settings, all of the third
    fresh = out / "another"
    heavy = {"feature-convex": replace(KNOWN["feature-convex"], curves=(CURVES[0], replace(CURVES[1], weight=6.0)))}
    ours = replace(OPTIONS, methods=("feature-convex",), points=1)
    assert minutes_left(data, fresh, ours, heavy)["feature-convex"] == pytest.approx(3 + 0.03 * 100)
    less = minutes_left(data, fresh, replace(ours, without=("refined",)), heavy)
    assert less["feature-convex"] == pytest.approx(3 + 0.03 * 100 * 30 / (30 + 15 * 6))
    unknown = {name: replace(method, minutes={}) for name, method in KNOWN.items()}
    assert minutes_left(data, out, OPTIONS, unknown) == {}


def test_a_certifier_that_is_left_out_is_added_later(done, data, tmp_path):
    _, results, _ = done
    only = replace(OPTIONS, methods=("feature-convex",), points=1)
    known = {"feature-convex": KNOWN["feature-convex"]}
    first = compare(data, tmp_path, replace(only, without=("refined",)), known=known)
    assert {result.curve.label for result in first} == {"closed form"}
    later = compare(data, tmp_path, only, known=known)
    whole = [result for result in at_default(results) if result.method.name == "feature-convex"]
    drop = ("seconds",)  # of another run
    assert [result.curve.label for result in later] == ["closed form", "refined"]
    assert all(one.rows.drop(drop).equals(two.rows.drop(drop)) for one, two in zip(later, whole, strict=True))


def test_rivals_on_a_part_of_the_samples_have_a_page_without_others(done, data, tmp_path):
    _, results, _ = done
    rows = [result for result in results if result.curve.label == "refined"]
    part = [replace(each, method=replace(each.method, ours=False)) for each in rows]
    text = write_comparison(data, part, tmp_path, OPTIONS).read_text(encoding="utf-8")
    assert "refined (15 samples)" in text
    assert (tmp_path / "fronts.png").exists()


@pytest.mark.parametrize(("without", "said"), [(("refine",), "without"), (("closed-form", "refined"), "Leave the")])
def test_certifiers_that_are_none_or_all_are_not_left_out(without, said, data, tmp_path):
    with pytest.raises(InputError, match=said):
        compare(data, tmp_path, replace(OPTIONS, methods=("feature-convex",), without=without), known=KNOWN)


def test_the_page_shows_fronts_above_the_methods_as_they_are(done, data):
    out, results, _ = done
    second = [replace(result, rows=result.rows.with_columns(seed=pl.lit(1, pl.Int64))) for result in results]
    text = write_comparison(data, results, out, OPTIONS, others=[second]).read_text(encoding="utf-8")
    for name in KNOWN:
        assert f'data-method="{name}"' in text
    assert text.index("<h2>Who leads where</h2>") < text.index("<h2>Fronts</h2>") < text.index("<h2>Radii</h2>")
    assert "with each of the 2 seeds" in text
    assert text.count('<div class="plot tall" id="front-') == 3
    assert (out / "fronts.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert len(record["points"]) == 2 * 3 * len(results)
    assert len(record["lines"]) == 2 * len(lines_of(results)) == 2 * 3 * 3
    for point in record["points"]:
        for figure in (point["balanced_accuracy"], point["median_radius"], point["caught"], *point["certified"]):
            assert figure["lower"] <= figure["value"] <= figure["upper"]
    for lead in record["leads"]:
        assert (lead["leader"] == "ours") == (lead["ratio"]["value"] in ("inf",) or lead["ratio"]["value"] > 1 + SAME)
    single = write_comparison(data, at_default(results), out, replace(OPTIONS, points=1)).read_text(encoding="utf-8")
    assert "<h2>Fronts</h2>" not in single
    assert "points" not in json.loads((out / "comparison.json").read_text(encoding="utf-8"))


def test_the_page_is_drawn_and_its_switches_work(done, data, tmp_path, browse):
    _, results, _ = done
    page = write_comparison(data, rated(results), tmp_path, OPTIONS)
    document, console = browse(page)
    panels = document.count('data-drawn="yes"')
    assert console == []
    assert panels == 3 + 3 + 3  # fronts, alarms, certified accuracy
    clicks = (
        "document.querySelector('[data-method=cayley]').click();document.querySelector('[data-logarithmic]').click()"
    )
    switched = tmp_path / "switched.html"
    text = page.read_text(encoding="utf-8").replace(
        "</body>", f"<script>setTimeout(() => {{{clicks}}}, 3000)</script></body>"
    )
    switched.write_text(text, encoding="utf-8")
    after, console = browse(switched)
    assert console == []
    assert after.count('data-drawn="yes"') == panels
    assert 0 < lines_drawn(after) < lines_drawn(document)


def lines_drawn(document):
    """Number of traces in all panels."""
    return len(re.findall(r'class="trace scatter', document[document.rindex("</header>") :]))


def test_attacks_are_made_at_the_models_own_thresholds(done, data, monkeypatch):
    out, _, _ = done
    monkeypatch.setattr(run, "_attacked", lambda *arguments: pl.DataFrame({"attacked": [True]}))
    results = compare(data, out, replace(OPTIONS, audited=1), known=KNOWN)
    assert [len(result.audit) for result in results] == [result.rate is None for result in results]
    assert {result.rate is None for result in results} == {True, False}


def rated(results):
    """As if every threshold that is not balanced kept to 1 % of false alarms."""
    return [replace(result, rate=None if result.rate is None else RATES[0]) for result in results]


def test_caught_at_few_false_alarms_is_drawn_where_there_are_such_points(done, data, tmp_path):
    _, results, _ = done
    text = write_comparison(data, rated(results), tmp_path, OPTIONS).read_text(encoding="utf-8")
    assert text.count('id="alarm-') == 3


@pytest.mark.parametrize("method", [*COMPARED.values(), *FOR_TABLES.values()], ids=lambda method: method.label)
def test_every_knob_turns_a_recipe(method):
    assert method.knob[0].options == {}
    assert len({setting.name for setting in method.knob}) == len(method.knob)
    assert len(method.knob) >= 5 or method.name in FOR_TABLES
    assert len(method.knob) == 1 or isinstance(method.train, partial)
    for setting in method.knob[1:]:
        fields = {field.name for field in dataclasses.fields(MODELS[method.train.args[0]].config)}
        assert fields | {"preset"} >= set(setting.options.get("scaled", setting.options))


def test_looks_tell_many_methods_apart():
    found = looks([*COMPARED, *(f"another {number}" for number in range(20))])
    assert len(set(found.values())) == len(found) > 25
    for known in (COMPARED, FOR_TABLES):
        assert len({look.colour for look in looks([*known]).values()}) == len(known)  # lines have no markers


def test_a_star_in_a_preset_is_the_family(data, monkeypatch):
    presets = MODELS["feature-convex"].presets
    monkeypatch.setitem(presets, "digits-small", replace(presets["digits"], epochs=1, hidden=(3,)))  # pyright: ignore
    recipe = trained("feature-convex", data, "cpu", "*-small").info["config"]
    assert (recipe["epochs"], recipe["hidden"]) == (1, [3])


def test_a_scaled_recipe_is_the_budgets_times_the_factor(data):
    recipe = trained("cayley", data, "cpu", scaled={"margin": 2.0}, epochs=1, widths=(4,)).info["config"]
    assert recipe["margin"] == 2 * CayleyRecipe().margin
    plain = trained("linf-convex", data, "cpu", scaled={"epsilon": 0.5}, epochs=1, width=4, features=4, depth=2)
    assert plain.info["config"]["epsilon"] == pytest.approx(0.5 * MODELS["linf-convex"].recipe(data).epsilon)


@pytest.mark.parametrize("family", ["image", "mnist", "fashion", "cifar10"])
def test_the_linear_rival_gets_all_of_ours_on_a_map_but_the_layers(family):
    presets = MODELS["feature-convex"].presets
    ours, rival = (dataclasses.asdict(presets[f"{family}-{name}"]) for name in ("map", "sll"))  # pyright: ignore
    assert ours == rival | {"feature_map": "orthogonal"}
    assert (rival["architecture"], rival["feature_map"]) == ("additive", "sll")
    assert COMPARED["feature-convex-map"].knob == COMPARED["sll"].knob
