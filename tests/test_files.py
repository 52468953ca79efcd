"""Files that are seen whole or not at all, and text from strangers' files."""

import json
import tomllib

import pytest

from asymcert._files import DEEPEST, checked_values, parse_json, replacing


def test_a_file_is_replaced_when_all_is_written(tmp_path):
    path = tmp_path / "file"
    for content in ("old", "new"):
        with replacing(path) as partial:
            partial.write_text(content)
            assert not path.exists() or path.read_text() == "old"
        assert path.read_text() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted():
        with replacing(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_read_as_it_was_written():
    content = {"list": [1, -0.5, None, True, [[]]], "name": "Häm", "odd": [float("inf")], "greatest": 10**300}
    assert parse_json(json.dumps(content)) == parse_json(json.dumps(content).encode()) == content


def test_the_deepest_json_that_is_read():
    assert parse_json("[" * DEEPEST + "]" * DEEPEST)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1",
        b"\xff\xfe\x00",
        '{"a": 1, "a": 2}',
        '["\\ud800"]',
        '{"\\ud800": 1}',
        "1" * 302,
        "-" + "1" * 5000,
        "[" * 100_000,
        "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
        '{"a": ' * 100_000 + "1" + "}" * 100_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_json_of_a_stranger_is_refused_in_one_line(text):
    with pytest.raises(ValueError) as caught:
        parse_json(text)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "{'a': 1e999}".replace("'", '"')])
def test_numbers_that_are_not_finite_are_refused_on_request(text):
    parse_json(text)
    with pytest.raises(ValueError, match=r"a number is (nan|-?inf)"):
        parse_json(text, finite=True)


def test_values_from_another_format_are_checked_alike():
    assert checked_values(tomllib.loads("a.b = [2020-01-01, inf]"))
    with pytest.raises(ValueError, match="deep"):
        checked_values(tomllib.loads(".".join("a" * (DEEPEST + 1)) + " = 1"))
