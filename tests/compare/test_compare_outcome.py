"""Who wins, and published curves."""

import json
import math

import polars as pl
import pytest

from asymcert.compare.outcome import published_half, read_published
from asymcert.errors import InputError


def write(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_published_curves_are_read_by_method_and_norm(tmp_path):
    curves = {"a-b": {"l1": {"x": [[0, 1], [2, 0.5]]}, "linf": {"x": [[0, 0.9]], "y": [[0.1, 0.2]]}}}
    found = read_published(write(tmp_path / "curves.json", {"curves": curves}), "a-b")
    assert sorted(found) == ["published: x", "published: y"]
    assert found["published: x"].rows() == [(1.0, 0.0, 1.0), (1.0, 2.0, 0.5), (math.inf, 0.0, 0.9)]
    assert found["published: y"].rows() == [(math.inf, 0.1, 0.2)]


@pytest.mark.parametrize(
    ("points", "half"),
    [
        ([(0.0, 1.0), (2.0, 0.5), (2.0, 0.4), (3.0, 0.0)], 2.0),  # a step
        ([(0.0, 0.9), (1.0, 0.6), (2.0, 0.4)], 1.5),  # between points
        ([(0.0, 0.4), (1.0, 0.3)], None),
        ([(0.0, 0.9), (1.0, 0.8)], None),  # ends above
    ],
)
def test_where_a_published_curve_comes_down_to_one_half(points, half):
    curve = pl.DataFrame({"norm": 1.0, "radius": [p[0] for p in points], "accuracy": [p[1] for p in points]})
    assert published_half(curve, 1.0) == (None if half is None else pytest.approx(half))
    assert published_half(curve, 2.0) is None


@pytest.mark.parametrize(
    "content",
    [{}, {"curves": {}}, {"curves": {"a-b": {"l1": {"x": [[0]]}}}}, {"curves": {"a-b": {"three": {"x": []}}}}],
)
def test_other_files_are_refused(content, tmp_path):
    with pytest.raises(InputError, match="`published` must be a file with curves of 'a-b'"):
        read_published(write(tmp_path / "curves.json", content), "a-b")


def test_percentages_and_missing_files_are_refused(tmp_path):
    percent = {"curves": {"a-b": {"l1": {"x": [[0, 99.0]]}}}}
    with pytest.raises(InputError, match="as fractions"):
        read_published(write(tmp_path / "curves.json", percent), "a-b")
    with pytest.raises(InputError, match="`published`"):
        read_published(tmp_path / "none.json", "a-b")
