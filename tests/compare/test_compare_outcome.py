"""Who wins, and published curves."""

import json
import math

import polars as pl
import pytest

from asymcert.compare.outcome import published_half, read_published
from asymcert.errors import InputError
from contracts.readers import ReaderContract


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


class TestPublished(ReaderContract):
    """A file of published curves, in the form that `--published` takes."""

    def good(self, folder):
        return write(
            folder / "good.json", {"curves": {"a-b": {"l1": {"x": [[0, 1], [2, 0.5]]}, "linf": {"y": [[0, 0.9]]}}}}
        )

    def read(self, path):
        return read_published(path, "a-b")

    def hostile(self, folder):
        texts = {f"point {point}": ONE.replace("POINT", point) for point in POINTS}
        texts |= {f"curves {curves}": '{"curves": {"a-b": CURVES}}'.replace("CURVES", curves) for curves in CURVES}
        texts |= {f"text {text[:20]}": text for text in TEXTS}
        paths = {}
        for number, (what, text) in enumerate(texts.items()):
            paths[what] = folder / f"{number}.json"
            paths[what].write_text(text, encoding="utf-8")
        return paths


ONE = '{"curves": {"a-b": {"l2": {"x": [[0, 1], POINT]}}}}'
POINTS = [
    *("[0]", "[]", "[0, 1, 2]", "0", "null", '"01"', '{"a": 1, "b": 2}', '["0", "1"]', "[true, false]", "[null, 0]"),
    *("[NaN, 0.5]", "[0, NaN]", "[-1, 0.5]", "[Infinity, 0.5]", "[0, -0.1]", "[0, 1.1]", "[0, Infinity]", "[1e999, 0]"),
    f"[1{'0' * 400}, 0.5]",
]
CURVES = [
    *("{}", "[]", "null", "0", '"l2"', '{"l2": {}}', '{"l2": {"x": []}}', '{"l2": []}', '{"l2": null}'),
    *('{"l2": {"x": 1}}', '{"three": {"x": [[0, 1]]}}', '{"lnan": {"x": [[0, 1]]}}', '{"l0.5": {"x": [[0, 1]]}}'),
    *('{"l-1": {}}', '{"l": {}}'),
]
TEXTS = ["", "{}", "[]", "null", '{"curves": {}}', '{"curves": []}', "[" * 10**6, '{"curves": ' * 10**5, "9" * 10**6]


def test_what_is_wrong_with_published_curves_is_said(tmp_path):
    for points, said in ([[0, 99.0]], "`share` must be a number in"), ([[-1, 0.5]], "`radius` must be a number in"):
        path = write(tmp_path / "curves.json", {"curves": {"a-b": {"l1": {"x": points}}}})
        with pytest.raises(InputError, match=f"`published` must be a file with curves of 'a-b', got .* \\({said}"):
            read_published(path, "a-b")
    with pytest.raises(InputError, match="no 'c-d' in it"):
        read_published(path, "c-d")
    with pytest.raises(InputError, match="`published`"):
        read_published(tmp_path / "none.json", "a-b")
