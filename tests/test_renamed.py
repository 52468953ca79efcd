"""Names of the version before are found for one more version, as the same modules."""

import importlib
import subprocess
import sys

import pytest

import asymcert
from asymcert._version import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_a_module_is_found_under_its_old_name(old):
    new = importlib.import_module(f"asymcert.{MOVED[old]}")
    specification = new.__spec__
    sys.modules.pop(f"asymcert.{old}", None)
    with pytest.warns(FutureWarning, match=f"asymcert.{MOVED[old]} now"):
        assert importlib.import_module(f"asymcert.{old}") is new
    assert new.__spec__ is specification


def test_the_checker_runs_under_its_old_name():
    done = subprocess.run(
        [sys.executable, "-m", "asymcert.certify.checker", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage")


def test_a_name_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("asymcert.nothing")
    assert asymcert.load == asymcert.models.BinaryClassifier.load
