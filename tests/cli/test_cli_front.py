"""The way in answers at once, and says what the whole application says."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from asymcert import __version__
from asymcert.cli.app import app
from asymcert.cli.front import LIGHT
from asymcert.cli.overview import overview

HEAVY = ["torch", "polars", "sklearn", "scipy", "numpy"]


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_overview_says_what_the_application_says(arguments):
    whole, light = (CliRunner().invoke(each, arguments) for each in (app, overview()))
    assert light.output == whole.output
    assert light.exit_code == whole.exit_code


@pytest.mark.parametrize(("option", "said"), [("--help", "certify"), ("--version", __version__)])
def test_nothing_heavy_is_imported(option, said):
    code = f"""
import sys
from asymcert.cli import main
sys.argv[1:] = [{option!r}]
try:
    main()
except SystemExit as stop:
    print("exit", stop.code, [name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said in done.stdout
    assert done.stdout.strip().endswith("exit 0 []")


def test_importing_the_package_imports_nothing_heavy_and_offers_all_names():
    code = f"""
import sys
import asymcert
assert not [name for name in {HEAVY} if name in sys.modules]
import asymcert.certify
import asymcert.certify.base
assert asymcert.certify.__name__ == "certify" and callable(asymcert.certify)
assert all(getattr(asymcert, name) is not None for name in asymcert.__all__)
assert set(asymcert.__all__) <= set(dir(asymcert))
assert not hasattr(asymcert, "nonsense")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
