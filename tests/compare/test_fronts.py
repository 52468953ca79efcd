"""Fronts: points and their intervals, who leads where; planted samples whose figures are known."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asymcert.certify import ClosedForm
from asymcert.compare import Curve, Method
from asymcert.compare.front_tables import matched_table, sentences
from asymcert.compare.fronts import Point, best, bootstrap, by_contender, front
from asymcert.compare.leads import OURS, RIVALS, Lead, Match, NormFronts, fronts_of, matched_levels, stretches
from asymcert.compare.run import Result
from asymcert.compare.settings import AS_IT_IS, Setting, multiples
from asymcert.evaluate.curves import summary
from asymcert.evaluate.detection import once
from asymcert.runs.rows import SCHEMA

SENSITIVE = 200  # as many others


def method(name, ours=False):
    return Method(name, name.capitalize(), (2.0,), lambda *a, **o: None, (), {}, "", ours=ours)  # pyright: ignore


def make_rows(right, radii, missed=0, norm=2.0, seed=0):
    """`right` of the other class are right, `missed` sensitive ones are not; radii are of the sensitive class."""
    label = np.arange(2 * SENSITIVE) % 2 == 0
    prediction = label.copy()
    prediction[np.flatnonzero(~label)[right:]] = True
    prediction[np.flatnonzero(label)[:missed]] = False
    radius = np.zeros(len(label))
    radius[label] = radii
    constants = {"seed": seed, "norm": norm, "margin": 1.0, "slope": 1.0, "upper": math.inf, "seconds": 0.0}
    texts = ("method", "options", "threat", "split", "model_digest", "data_digest", "version")
    rows = pl.DataFrame(
        {
            "index": np.arange(len(label)),
            "label": label,
            "prediction": prediction,
            "abstained": False,
            "radius": np.where(prediction, radius, 0.0),
            **constants,
            **dict.fromkeys(texts, "x"),
        }
    )
    return rows.select(list(SCHEMA)).cast(dict(SCHEMA))


def make_point(name, accuracy, radius, ours=False, share=1.0, spread=0.1, seed=0):
    """A point of about that accuracy, whose radii are spread evenly around one."""
    radii = radius * np.linspace(1 - spread, 1 + spread, SENSITIVE)
    right = round(SENSITIVE * (2 * accuracy - 1))
    rows = make_rows(right, np.random.default_rng(seed).permutation(radii))
    curve = Curve(f"{name} curve", ClosedForm(), share)
    rows = rows.head(round(share * len(rows)))
    return Point(Result(method(name, ours), curve, rows), 2.0, rows)


CLOUD = st.lists(st.tuples(st.integers(100, 200), st.integers(0, 20)), min_size=1, max_size=12)


@given(CLOUD)
def test_a_front_falls_and_no_point_beats_it(cloud):
    points = [make_point("x", right / SENSITIVE, float(radius)) for right, radius in cloud]
    along = front(points)
    assert all(a.accuracy < b.accuracy and a.radius > b.radius for a, b in itertools.pairwise(along))
    for point in points:
        dominating = [p for p in points if p.accuracy >= point.accuracy and p.radius >= point.radius]
        same = all((p.accuracy, p.radius) == (point.accuracy, point.radius) for p in dominating)
        assert same == any((p.accuracy, p.radius) == (point.accuracy, point.radius) for p in along)
    levels = np.linspace(0.5, 1.0, 26)
    reached = [best(points, level) for level in levels]
    radii = [point.radius if point else -1.0 for point in reached]
    assert radii == sorted(radii, reverse=True)
    assert all(point is None or point.accuracy >= level for point, level in zip(reached, levels, strict=True))


def test_figures_are_those_of_the_summary():
    rows = make_rows(150, np.random.default_rng(0).random(SENSITIVE), missed=20)
    point = Point(Result(method("x"), Curve("x", ClosedForm()), rows), 2.0, rows)
    told = summary(rows).row(0, named=True)
    assert point.accuracy == pytest.approx(told["accuracy_balanced"])
    assert point.radius == pytest.approx(told["median_radius"])
    assert point.caught(once(point.sensitive)) == told["accuracy_sensitive"] == 0.9
    own = rows.filter("label")
    assert point.certified_estimate(0.5).value == len(own.filter(pl.col("radius") > 0.5)) / SENSITIVE
    half = point.first(100)
    assert (len(half.rows), half.sensitive.sum()) == (100, 50)


def test_withheld_verdicts_are_wrong_and_columns_take_the_smaller_middle():
    rows = make_rows(200, np.repeat([1.0, 2.0], SENSITIVE // 2), norm=0.0)
    point = Point(Result(method("x"), Curve("x", ClosedForm()), rows), 0.0, rows)
    assert point.radius == 1.0
    assert point.certified_estimate(1.0).value == 1.0  # a change of as many columns as the radius is ruled out
    assert point.certified_estimate(2.0).value == 0.5
    withheld = rows.with_columns(abstained=~pl.col("label"))
    assert Point(point.result, 0.0, withheld).accuracy == 0.5


def test_intervals_cover_as_often_as_they_say():
    """Of the mean of many draws whose distribution is known, and as wide as theory says."""
    generator = np.random.default_rng(0)
    sensitive = np.arange(400) % 2 == 0
    covered, widths = 0, []
    for _ in range(200):
        values = generator.exponential(size=200)
        found = bootstrap(sensitive, lambda times, v=values: times[0] @ v / 200)
        covered += found.lower <= 1.0 <= found.upper
        widths.append(found.upper - found.lower)
    assert 180 <= covered <= 198
    assert np.mean(widths) == pytest.approx(2 * 1.96 / math.sqrt(200), rel=0.1)


def test_a_method_against_itself_is_a_draw():
    ours, same = make_point("a", 0.8, 1.0, ours=True), make_point("b", 0.8, 1.0)
    lead = Lead(0.7, ours, same)
    assert (lead.ratio, lead.leader, lead.beyond) == ((1.0, 1.0, 1.0), "", False)
    shuffled = Lead(0.7, ours, make_point("b", 0.8, 1.0, spread=0.4, seed=1))
    assert shuffled.ratio.lower < 1 < shuffled.ratio.upper
    assert not shuffled.beyond


@pytest.mark.parametrize(("radius", "leader"), [(1 + 1e-8, ""), (1 + 1e-2, OURS), (1 - 1e-8, ""), (1 - 1e-2, "B")])
def test_two_certificates_of_one_net_are_a_draw(radius, leader):
    lead = Lead(0.7, make_point("a", 0.8, radius, ours=True), make_point("b", 0.8, 1.0))
    assert (lead.leader, lead.beyond) == (leader, bool(leader))


def test_a_planted_better_rival_is_reported_where_it_leads():
    ours = [make_point("a", 0.9, 1.0, ours=True), make_point("a", 0.7, 2.0, ours=True)]
    rivals = [make_point("b", 0.8, 1.5, seed=1), make_point("c", 0.9, 0.5, seed=2), make_point("c", 0.95, 0.4)]
    match = Match(ours, rivals, [0.6, 0.7, 0.75, 0.85, 0.95])
    assert [lead.leader for lead in match.leads] == [OURS, OURS, "B", OURS, "C"]
    assert all(lead.beyond for lead in match.leads)
    assert match.leads[2].ratio.value == pytest.approx(1 / 1.5)
    told = [(round(each.start, 6), round(each.end, 6), each.side, each.rivals) for each in stretches([match])]
    assert told == [
        (0.6, 0.7, OURS, ["B"]),
        (0.7, 0.8, RIVALS, ["B"]),
        (0.8, 0.9, OURS, ["C"]),
        (0.9, 0.95, RIVALS, ["C"]),
    ]
    last = stretches([match])[-1]
    assert last.alone
    assert last.steps[0][0].ratio == (0, 0, 0)  # only the rival reaches it
    assert [each.alone for each in stretches([match])] == [False, False, False, True]


def planted(ours, rival, seed=0):
    """Ours and a rival at 80 %, of such radii."""
    return Match([make_point("a", 0.8, ours, ours=True)], [make_point("b", 0.8, rival, seed=seed)], [0.7, 0.8])


def told(*seeds):
    """What a page says of such matches of seeds."""
    fronts = NormFronts(2.0, [[*match.ours, *match.rivals] for match in seeds], [0.7, 0.8])
    ((_, said),) = sentences(fronts)
    return said


def test_a_lead_is_told_where_it_is_beyond_the_interval_with_every_seed():
    assert told(planted(2.0, 1.0)) == [("good", "70.0 % to 80.0 %: ours leads with 2.00 times the radius of B")]
    both = told(planted(2.0, 1.0), planted(1.5, 1.0))
    assert both == [("good", "70.0 % to 80.0 %: ours leads with 1.50 to 2.00 times the radius of B")]
    lost = told(planted(1.0, 2.0), planted(1.0, 4.0))
    assert lost == [("bad", "70.0 % to 80.0 %: B leads with 2.00 to 4.00 times our radius")]
    mixed = told(planted(2.0, 1.0), planted(1.0, 2.0))
    assert mixed == [("even", "70.0 % to 80.0 %: level, ours has 0.500 to 2.00 times the radius of B")]
    unsure = Match([make_point("a", 0.8, 1.01, ours=True, spread=0.9)], planted(1.0, 1.0, seed=1).rivals, [0.7, 0.8])
    assert told(unsure)[0][0] == "even"
    assert "level" in told(unsure)[0][1]
    assert told(planted(1.0, 1.0)) == [("even", "70.0 % to 80.0 %: both have the same radius")]
    several = Match(planted(2.0, 1.0).ours, [make_point("b", 0.75, 1.0), make_point("c", 0.8, 0.8)], [0.7, 0.8])
    best = "70.0 % to 80.0 %: ours leads with 2.00 to 2.50 times the radius of the best of B and C"
    assert told(several) == [("good", best)]


def test_a_side_that_goes_on_alone_with_some_seeds_still_leads():
    short = Match(planted(1.0, 1.0).ours, [make_point("b", 0.75, 1.0)], [0.7, 0.8])
    (lead,) = stretches([planted(2.0, 1.0), short])[-1:]
    assert (lead.side, lead.alone, lead.ratios) == (OURS, False, [pytest.approx(2.0)])
    (alone,) = stretches([short])[-1:]
    assert (alone.side, alone.alone, alone.ratios) == (OURS, True, [])
    assert told(short)[-1] == ("even", "75.0 % to 80.0 %: reached by ours only")
    outrun = Match([make_point("a", 0.75, 1.0, ours=True)], planted(1.0, 1.0).rivals, [0.7, 0.8])
    assert told(outrun)[-1] == ("even", "75.0 % to 80.0 %: reached by B only")
    assert told(short, outrun)[-1] == ("even", "75.0 % to 80.0 %: with some seeds reached by ours only")


def test_a_rival_on_a_part_of_the_samples_meets_ours_there():
    ours = [make_point("a", 0.9, 1.0, ours=True)]
    part = make_point("b", 0.9, 2.0, share=0.25)
    (norm,) = [NormFronts(2.0, [[*ours, make_point("c", 0.9, 0.9), part]])]
    whole, against_part = norm.matches[0]
    assert (whole.whom, against_part.whom) == ("the best rival", "b curve (100 samples)")
    assert len(whole.ours[0].rows) == 2 * SENSITIVE
    assert [len(point.rows) for point in (*against_part.ours, *against_part.rivals)] == [100, 100]
    assert list(by_contender(norm.seeds[0])) == ["A", "C", "b curve (100 samples)"]


def test_levels_are_those_that_two_contenders_reach():
    points = [make_point("a", accuracy, 1 / accuracy, ours=True) for accuracy in (0.6, 0.7, 0.8, 0.9)]
    points += [make_point("b", accuracy, 2 / accuracy) for accuracy in (0.65, 0.75)]
    levels = matched_levels([points])
    assert levels == sorted(set(levels))
    assert levels[0] >= 0.6
    assert levels[-1] == 0.75
    fewer = matched_levels([points, points[:1] + points[4:5]])
    assert fewer[-1] == 0.6  # with every seed
    part = make_point("c", 0.95, 1.0, share=0.5)
    assert matched_levels([[*points, part]]) == levels
    assert matched_levels([[part]]) == [math.floor(1000 * part.accuracy) / 1000]


def test_fronts_of_results_keep_norms_and_seeds_apart():
    rows = [pl.concat([make_rows(150, 1.0, norm=norm, seed=seed) for norm in (1.0, 2.0)]) for seed in (0, 1)]
    seeds = [[Result(method("x", ours=True), Curve("x", ClosedForm()), each)] for each in rows]
    found = fronts_of(seeds)
    assert [each.norm for each in found] == [1.0, 2.0]
    assert [[len(points) for points in each.seeds] for each in found] == [[1, 1], [1, 1]]
    assert found[0].matches == [[], []]
    assert matched_table(fronts_of(seeds, [0.8, 0.95])[0]).rows == (("X", "1.00 / 1.00", "– / –"),)
    assert fronts_of(seeds, [0.8, 0.6])[0].levels == [0.6, 0.8]


def test_settings_spread_from_the_method_as_it_is(tmp_path):
    knob = multiples("sigma", "width", of=(0.5, 2.0))
    assert knob[0] is AS_IT_IS
    assert knob[1] == Setting("0.5-times-sigma", {"scaled": {"sigma": 0.5, "width": 0.5}})
    assert [setting.folder(tmp_path).relative_to(tmp_path.parent).parts[1:] for setting in knob[:2]] == [
        (),
        ("0.5-times-sigma",),
    ]
