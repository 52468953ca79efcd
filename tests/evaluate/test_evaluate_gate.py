"""Differences of two models on the same samples: by hand, by scikit-learn one resample at a time, and paired."""

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from asymcert.errors import InputError
from asymcert.evaluate import certified, drops, evaluate, summary
from asymcert.evaluate.detection import detection
from asymcert.runs.rows import SCHEMA
from asymcert.threats.model import ThreatModel


def rows_of(label, margin, radius=None, norm=2.0):
    """Evaluation rows of made-up samples."""
    verdict = np.asarray(margin) > 0
    radius = np.where(verdict, np.abs(margin) if radius is None else radius, 0.0)
    constants = {"abstained": False, "upper": np.inf, "slope": 1.0, "method": "closed-form", "options": ""}
    constants |= {"threat": "t", "split": "test", "model_digest": "m", "data_digest": "d", "seed": 0, "version": "0"}
    values = {"index": range(len(label)), "label": label, "prediction": verdict, "margin": margin, "radius": radius}
    frame = pl.DataFrame(values).with_columns(pl.lit(value).alias(name) for name, value in constants.items())
    return frame.with_columns(norm=pl.lit(norm), seconds=pl.lit(0.0)).select(list(SCHEMA)).cast(dict(SCHEMA))


def pair(seed=0, n=80):
    """Labels, and margins of two models, of which the second follows the first but is worse."""
    draws = np.random.default_rng(seed)
    label = draws.random(n) < 0.4
    old = np.round(draws.normal(label * 2.0 - 1.0), 1)
    return label, old, np.round(old + draws.normal(-0.15 * label, 0.3), 1)


def by_name(found):
    return {each.name: each for each in found}


def test_a_drop_is_the_difference_of_the_shares():
    label = np.repeat([True, False], [10, 5])
    old = rows_of(label, np.repeat([2.0, -1.0], [10, 5]))
    new = rows_of(label, np.repeat([2.0, 0.5, -1.0, 1.0, -1.0], [6, 3, 1, 1, 4]))
    found = by_name(drops({"any": new}, {"any": old}, radii=[1.0]))
    assert {name: (each.old, each.new) for name, each in found.items() if "au" not in name and "prec" not in name} == {
        "balanced_accuracy": (1.0, pytest.approx(0.85)),
        "recall": (1.0, 0.9),
        "false_alarms": (0.0, 0.2),
        "recall@1 (any)": (1.0, 0.6),
    }
    assert "caught@0.01" not in found  # five harmless samples do not show 1 %
    assert found["false_alarms"].drop.value == 0.2
    assert found["recall@1 (any)"].drop.value == pytest.approx(0.4)
    assert found["recall@1 (any)"].verdict == "weaker, beyond chance"
    assert [each.weaker for each in drops({"any": new}, {"any": old}, 0.4, radii=[1.0])] == [False] * len(found)


def test_a_model_is_not_weaker_than_itself(rows):
    for each in drops({"l2": rows}, {"l2": rows}, 0.0, strict=True, resamples=50):
        assert each.drop == (0.0, 0.0, 0.0)
        assert each.old == each.new
        assert not each.weaker


def test_figures_are_those_of_evaluate(model, split, run):
    stored = evaluate(model, split, run, [ThreatModel(1)], data_digest="data", seed=0)
    fresh = certified(model, split.x, split.y, [ThreatModel(1)])
    found = {each.figure: each.new for each in drops({"l1": fresh[0]}, {"l1": fresh[0]}, resamples=2)}
    told = detection(stored["label"].to_numpy(), stored["margin"].to_numpy(), resamples=2)
    same = {"recall": "recall", "false_alarms": "false_positive_rate", "auc": "roc_auc"}
    same |= {"average_precision": "average_precision"}
    assert {name: found[name] for name in same} == {name: told[other].value for name, other in same.items()}
    assert found["balanced_accuracy"] == pytest.approx(summary(stored)["accuracy_balanced"][0], abs=1e-15)


def reference(label, margin, radius):
    """Figures of a list of samples, by scikit-learn."""
    alarm = margin > 0
    return {
        "balanced_accuracy": metrics.balanced_accuracy_score(label, alarm),
        "recall": metrics.recall_score(label, alarm),
        "false_alarms": (alarm & ~label).sum() / (~label).sum(),
        "auc": metrics.roc_auc_score(label, margin),
        "average_precision": metrics.average_precision_score(label, margin),
        "recall@0.5 (t)": np.mean([m > 0 and m > radius for m in margin[label]]),
    }


def test_intervals_are_those_of_judging_each_resample_anew():
    label, old, new = pair()
    found = by_name(drops({"t": rows_of(label, new)}, {"t": rows_of(label, old)}, radii=[0.5], resamples=60, seed=3))
    draws = np.random.default_rng(3)
    chosen = [draws.integers(len(own), size=(60, len(own))) for own in map(np.flatnonzero, (label, ~label))]
    differences = {name: [] for name in found}
    for first, second in zip(*chosen, strict=True):
        taken = np.concatenate([np.flatnonzero(label)[first], np.flatnonzero(~label)[second]])
        then, now = (reference(label[taken], margin[taken], 0.5) for margin in (old, new))
        for name in found:
            differences[name].append((now[name] - then[name]) * (1 if name == "false_alarms" else -1))
    for name, each in found.items():
        ends = np.quantile(differences[name], [0.025, 0.975])
        assert (each.drop.lower, each.drop.upper) == pytest.approx(tuple(ends), abs=1e-12), name


def test_intervals_of_the_difference_are_narrower_for_being_paired():
    label, old, new = pair(n=400)
    apart = new[np.argsort(np.where(label, -1.0, 1.0) + np.random.default_rng(1).random(400))]
    shuffled = np.empty(400)
    shuffled[label], shuffled[~label] = apart[: label.sum()], apart[label.sum() :]  # the same margins, other samples
    before = {"t": rows_of(label, old)}
    paired, unpaired = (by_name(drops({"t": rows_of(label, m)}, before, resamples=500)) for m in (new, shuffled))
    for name in ("recall", "auc", "balanced_accuracy"):
        assert paired[name].drop.value == pytest.approx(unpaired[name].drop.value)
        width, wider = (each[name].drop.upper - each[name].drop.lower for each in (paired, unpaired))
        assert width < 0.8 * wider


def test_intervals_hold_the_true_difference_as_often_as_they_say():
    """Recall .841 and .691 (normal scores above -1 and -1/2): .150 apart."""
    held = 0
    for trial in range(120):
        label = np.arange(300) % 2 == 0
        score = np.random.default_rng(trial).normal(size=300)
        sides = [{"t": rows_of(label, np.where(label, score + shift, score))} for shift in (0.5, 1.0)]
        drop = by_name(drops(*sides, resamples=200, seed=trial))["recall"].drop
        held += drop.lower <= 0.1499 <= drop.upper
    assert 105 <= held <= 119


def test_the_order_of_rows_does_not_matter():
    label, old, new = pair()
    before, after = {"t": rows_of(label, old)}, rows_of(label, new)
    assert drops({"t": after}, before, resamples=20) == drops({"t": after.reverse()}, before, resamples=20)


def test_a_stricter_gate_fails_what_may_be_weaker():
    label, old, new = pair()
    sides = {"t": rows_of(label, new)}, {"t": rows_of(label, old)}
    loose, strict = (drops(*sides, 0.05, resamples=200, strict=strict) for strict in (False, True))
    assert [each.drop for each in loose] == [each.drop for each in strict]
    assert [each.weaker for each in loose] == [each.drop.value > 0.05 for each in loose]
    assert [each.weaker for each in strict] == [each.drop.upper > 0.05 for each in strict]
    assert {each.verdict for each in strict} - {each.verdict for each in loose} == {"may be weaker"}


def test_a_drop_of_just_what_is_allowed_passes():
    label = np.arange(200) < 100
    sides = [{"t": rows_of(label, np.where(label & (np.arange(200) < caught), 1.0, -1.0))} for caught in (94, 95)]
    assert not by_name(drops(*sides, 0.01, resamples=5))["recall"].weaker  # 0.95 - 0.94 is more in floating point
    assert by_name(drops(*sides, 0.01, {"recall": 0.009}, resamples=5))["recall"].weaker


def test_sizes_are_one_and_three_columns_or_round_ones():
    label, old, new = pair()
    counted = [{"c": rows_of(label, margin, np.ceil(np.abs(margin)), 0.0)} for margin in (new, old)]
    found = by_name(drops(*counted, resamples=5))
    assert [name for name in found if "@" in name] == ["recall@1 (c)", "recall@3 (c)"]
    assert found["recall@1 (c)"].old == found["recall"].old  # a radius of 1 is certified against 1 column
    lengths = drops({"l": rows_of(label, new)}, {"l": rows_of(label, old)}, resamples=5)
    assert [each.figure for each in lengths if each.adversary] == ["recall@0.5", "recall@1.5"]


def test_abstentions_are_no_verdict():
    label = np.arange(8) < 4
    sure = rows_of(label, np.where(label, 1.0, -1.0))
    shy = sure.with_columns(
        abstained=pl.col("index") > 5, margin=pl.when(pl.col("index") > 5).then(0.0).otherwise("margin")
    )
    found = by_name(drops({"t": shy}, {"t": sure}, resamples=5))
    assert found["balanced_accuracy"].drop.value == 0.25
    assert found["false_alarms"].drop.value == 0.0


def test_what_cannot_be_compared_is_refused():
    label, old, new = pair()
    before, after = rows_of(label, old), rows_of(label, new)
    for sides, options, message in (
        (({"t": after.head(70)}, {"t": before}), {}, "`old` must be of the same samples and labels"),
        (({"t": after}, {"t": rows_of(~label, old)}), {}, "`old` must be of the same samples and labels"),
        (({"t": after}, {"u": before}), {}, "`old` must be certified against the adversaries of `new`, ['t']"),
        (({}, {}), {}, "certified against"),
        (({"t": after.filter("label")}, {"t": before.filter("label")}), {}, "of samples of both classes"),
        (({"t": after}, {"t": before}), {"max_drop": -0.1}, "`max_drop` must be a number in [0, 1]"),
        (({"t": after}, {"t": before}), {"overrides": {"auk": 0.1}}, "got 'auk'. Did you mean auc?"),
        (({"t": after}, {"t": before}), {"radii": [np.nan]}, "`radii` must be a number"),
        (({"t": after}, {"t": before}), {"resamples": 0}, "`resamples` must be an integer of at least 1"),
    ):
        with pytest.raises(InputError) as refused:
            drops(*sides, **options)
        assert message in str(refused.value)
