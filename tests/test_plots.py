"""Axes functions: what they draw is what is certified, on the user's axes, without touching anything else."""

import json
import sys

import matplotlib as mpl
import polars as pl
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from asymcert import ThreatModel, plots
from asymcert.certify import Certificate
from asymcert.compare.front_records import recorded_panel
from asymcert.compare.fronts import by_contender, front
from asymcert.errors import InputError
from asymcert.evaluate import certified_accuracy_at
from asymcert.evaluate import surface as surface_of
from asymcert.report.given import panel_of, rows_of
from asymcert.report.series import COLOURS
from compare.test_fronts import make_point
from contracts.readers import ReaderContract
from report.conftest import make_run

METHODS = ("fcnn", "cayley")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Of one model: three norms, two methods in l2."""
    run = make_run(tmp_path_factory.mktemp("plots") / "run")
    return run.read("certificates").filter(run.own)


@pytest.fixture
def l2(rows):
    return rows.filter(pl.col("norm") == 2, pl.col("method") == "closed-form")


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture(autouse=True)
def no_side_effects():
    """No plot changes the style, or shows a figure."""
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before
    plt.close("all")


def certificate(radii=(0.0, 0.3, 0.1, float("inf"), 0.2), **parts):
    radius = torch.tensor(radii, dtype=torch.float64)
    return Certificate(radius, (radius > 0).double(), torch.ones_like(radius), ThreatModel(2), "tangent", **parts)


def height(line, at):
    """Of a step curve."""
    return [y for x, y in zip(*line.get_data(), strict=True) if x <= at][-1]


def test_a_curve_is_the_certified_accuracy(l2, ax):
    assert plots.curve(l2, ax) is ax
    told = certified_accuracy_at(l2, [0.0, 0.01, 0.2])["accuracy"]
    (line,) = ax.lines
    assert [height(line, at) for at in (0.0, 0.01, 0.2)] == pytest.approx([100 * share for share in told])
    assert ax.get_ylabel() == "Certified accuracy, %"
    assert "ℓ₂" in ax.get_xlabel()


def test_a_certificate_is_drawn_as_the_share_of_its_alerts(ax):
    (line,) = plots.curve(certificate(), ax, label="mine").lines
    assert [height(line, at) for at in (0.0, 0.1, 0.25, 0.3)] == [100.0, 75.0, 50.0, 25.0]
    assert line.get_label() == "mine"
    assert ax.get_ylabel() == "Alerts that hold, %"


def test_curves_compose(l2, ax):
    plots.curve(certificate((5.0,)), ax, label="far")
    plots.curve(certificate((1.0,)), ax, label="near")
    assert len({line.get_color() for line in ax.lines}) == 2
    assert ax.get_xlim()[1] > 5
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["far", "near"]


def test_curves_never_run_back():
    """Where axes end before the last radius, as those of words do, and are widened later."""
    (series,) = panel_of(rows_of(certificate((1.0, 50.0))))
    assert series.steps(20.0)["radius"].tolist() == [0.0, 1.0, 50.0, 50.0]


def test_rows_of_several_methods(rows, ax):
    lines = plots.curve(rows.filter(pl.col("norm") == 2), ax).lines
    assert {line.get_label() for line in lines} == {"closed-form", "halved"}
    assert {line.get_color() for line in lines} < set(COLOURS)


def test_a_surface_is_drawn_with_its_bar_or_without(l2, ax):
    assert plots.surface(l2, ax) is ax
    assert len(ax.figure.axes) == 2
    values = surface_of(l2)
    drawn = ax.collections[0].get_array()
    assert drawn.data == pytest.approx(100 * values.certified)
    alone = plots.surface(values, Figure().subplots(), colours=False)
    assert len(alone.figure.axes) == 1
    assert alone.get_ylabel() == "Size of the change"


def points():
    return [
        make_point(name, accuracy, radius + place)
        for place, name in enumerate(METHODS)
        for accuracy, radius in ((0.7, 1.0), (0.8, 0.5), (0.9, 0.2), (0.75, 0.4))
    ]


def comparison(path):
    """As `asymcert compare` writes points."""
    made = points()
    along = [point for own in by_contender(made).values() for point in front(own)]
    records = [
        {
            "seed": 0,
            "norm": 2.0,
            "method": point.result.method.name,
            "certifier": point.result.curve.label,
            "samples": len(point.rows),
            "balanced_accuracy": point.accuracy_estimate._asdict(),
            "median_radius": point.radius_estimate._asdict(),
            "on_front": point in along,
        }
        for point in made
    ]
    path.write_text(json.dumps({"points": records}), encoding="utf-8")
    return path


def test_fronts_of_points_and_of_the_file_are_the_same(tmp_path, ax):
    drawn, read = plots.front(points(), ax), plots.front(comparison(tmp_path / "comparison.json"), norm=2)
    assert read.get_title() == "ℓ₂ norm"
    assert len(drawn.lines) == len(read.lines) == len(METHODS)
    for ours, theirs in zip(drawn.lines, read.lines, strict=True):
        assert len(ours.get_xdata()) == 3  # the fourth point is beaten
        assert ours.get_xydata() == pytest.approx(theirs.get_xydata())
        assert (ours.get_color(), ours.get_marker()) == (theirs.get_color(), theirs.get_marker())


class TestComparisonReader(ReaderContract):
    def good(self, folder):
        return comparison(folder / "comparison.json")

    def read(self, path):
        return recorded_panel(path)

    def hostile(self, folder):
        record = json.loads(self.good(folder).read_text())["points"][0]
        huge = {"value": 10**400, "lower": 0, "upper": 0}
        contents = {
            "a list": "[]",
            "no points": '{"points": []}',
            "points of another type": '{"points": "points"}',
            "null": '{"points": [null]}',
            "a norm that is a list": json.dumps({"points": [record | {"norm": []}]}),
            "no estimate": json.dumps({"points": [record | {"median_radius": 1}]}),
            "a method that is a list": json.dumps({"points": [record | {"method": []}]}),
            "a huge number": json.dumps({"points": [record | {"median_radius": huge}]}),
            "deep": '{"points": ' + "[" * 10**5 + "]" * 10**5 + "}",
        }
        paths = {what: folder / f"{place}.json" for place, what in enumerate(contents)}
        for what, path in paths.items():
            path.write_text(contents[what], encoding="utf-8")
        return paths | {"no file": folder / "nowhere.json"}


def test_a_curve_in_another_unit_is_refused_on_the_same_axes(ax):
    plots.curve(certificate(), ax)
    radius = torch.tensor([0.1]).double()
    other = Certificate(radius, radius, radius, ThreatModel(float("inf")), "tangent")
    with pytest.raises(InputError, match=r"`ax` must be axes of .*Draw each unit on axes of its own"):
        plots.curve(other, ax)
    assert len(plots.curve(certificate(), ax).lines) == 2


@pytest.mark.parametrize("points", [None, 7, [1], {"a": 1}])
def test_points_that_are_none_are_refused(points):
    with pytest.raises(InputError, match="`given` must be a path, or points of a comparison"):
        plots.front(points)


def test_labels_and_names_of_other_kinds(ax):
    with pytest.raises(InputError, match="`label` must be a text"):
        plots.curve(certificate(), label=3)
    plots.alerts(certificate(), ax, count=1, names=(name for name in "abcde"))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["c"]


def test_alerts_are_the_most_fragile(ax):
    upper = torch.tensor([0.0, 0.35, 0.1501, float("inf"), float("inf")], dtype=torch.float64)
    assert plots.alerts(certificate(upper=upper), ax, count=2, names=list("abcde")) is ax
    assert [text.get_text() for text in ax.get_yticklabels()] == ["c", "e"]
    assert [text.get_text() for text in ax.texts] == ["0.100 to 0.151", "0.200"]  # outward
    pale, full = ax.containers
    assert [bar.get_width() for bar in full] == [0.1, 0.2]
    assert [bar.get_width() for bar in pale] == [0.1501, 0.2]
    assert ax.get_ylim() == (1.5, -0.5)


def test_alerts_of_rows(l2):
    least = l2.filter("prediction", pl.col("radius") > 0).sort("radius")["index"]
    shown = plots.alerts(l2, count=3).get_yticklabels()
    assert [text.get_text() for text in shown] == [f"sample {index}" for index in least[:3]]


def test_alerts_without_a_promise_are_counted(ax):
    radius = torch.tensor([0.0, 0.0, 0.0, 0.2]).double()
    margin = torch.tensor([-1.0, 1.0, 2.0, 3.0]).double()
    plots.alerts(Certificate(radius, margin, torch.ones_like(radius), ThreatModel(2), "tangent"), ax)
    assert ax.get_title() == "Besides: 2 alerts of radius 0, without a promise"


def test_no_alerts_are_said():
    assert "no alert" in plots.alerts(certificate((0.0, float("inf")))).texts[0].get_text()
    assert "no alert" in plots.alerts(certificate(())).texts[0].get_text()


def test_names_that_look_like_formulas_are_texts():
    axes = plots.alerts(certificate(), names=["$", "$x$", "_y", "a\nb", "e" * 10**4])
    axes.figure.draw_without_rendering()
    assert axes.get_yticklabels()[0].get_text() == "y"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rows: plots.curve(rows), "`given` must be of sensitive samples, radii in one unit"),
        (lambda rows: plots.curve([1.0]), "`given` must be evaluation rows or a Certificate, got list"),
        (lambda rows: plots.curve(certificate((0.0,))), "got none of them"),
        (lambda rows: plots.curve(rows.filter(pl.col("norm") == 2), label="both"), "and left out for several curves"),
        (lambda rows: plots.curve(certificate(), ax=[1, 2]), "`ax` must be matplotlib axes, got list"),
        (lambda rows: plots.surface(certificate()), "`given` must be closed-form rows"),
        (lambda rows: plots.surface(rows.filter(pl.col("norm") == 2)), "`given` must be closed-form rows"),
        (lambda rows: plots.front([]), "`norm` must be"),
        (lambda rows: plots.front(points(), norm=1), "`norm` must be one of \\[2.0\\], got 1"),
        (lambda rows: plots.alerts(rows), "`given` must be of one model"),
        (lambda rows: plots.alerts(certificate(), names=["a"]), "`names` must be of 5 samples or more"),
        (lambda rows: plots.alerts(certificate(), count=0), "`count` must be"),
    ],
)
def test_mistakes_are_named(call, message, rows):
    with pytest.raises(InputError, match=message):
        call(rows)


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install"):
        plots.curve(certificate())
