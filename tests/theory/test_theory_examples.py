"""The pictures of docs/theory.md can be drawn."""

import pytest

from contracts.examples import printed_by


@pytest.mark.parametrize(
    ("script", "options", "printed"),
    [
        ("decision_region.py", [], "0 training errors"),
        ("random_separability.py", ["--trials", "1"], "12 + 12 points: 0 of 26 intervals lie below the bound"),
    ],
)
def test_picture_is_drawn(tmp_path, script, options, printed):
    path = tmp_path / "picture.png"
    assert printed in printed_by(script, "--out", str(path), *options)
    assert path.read_bytes().startswith(b"\x89PNG")
