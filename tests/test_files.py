"""Files that are seen whole or not at all."""

import pytest

from asymcert._files import replacing


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
