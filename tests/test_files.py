"""Files that are seen whole or not at all, and text from strangers' files."""

import json
import os
import tomllib

import pytest

from asymcert._files import DEEPEST, checked_values, parse_json, replacing
from asymcert.errors import InputError


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


def test_what_a_link_points_to_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("old", "new"):
        (tmp_path / name).symlink_to(tmp_path / "there" / name)
    (tmp_path / "there" / "old").write_text("old")
    for name in ("old", "new"):
        with replacing(tmp_path / name) as partial:
            partial.write_text("content")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "there" / name).read_text() == "content"
    assert len(list((tmp_path / "there").iterdir())) == 2


def test_what_is_no_plain_file_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(os.devnull)
    before = sorted(tmp_path.iterdir())
    for path in before:
        with pytest.raises(InputError, match="must be a plain file or a new name"), replacing(path):
            raise AssertionError("begun")
    assert sorted(tmp_path.iterdir()) == before


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
