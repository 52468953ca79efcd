"""The Ray engine does what processes do."""

import pytest

from asymcert import lake
from contracts.lakes import THREATS, outputs

pytest.importorskip("ray", reason="the package ray is not installed")


def test_tasks_write_the_same_bytes(model, source, tmp_path, undisturbed):
    found = lake.certify(model, source, tmp_path / "dest", THREATS, keep=["id"], engine="ray", workers=2)
    assert (found.done, found.failed) == (5, 1)
    assert outputs(tmp_path / "dest") == undisturbed
