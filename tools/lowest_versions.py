"""Print the lowest versions that pyproject.toml declares, as constraints for pip, to test that they are enough.

    python tools/lowest_versions.py > lowest.txt
    python -m venv lowest && lowest/bin/pip install --constraint lowest.txt '.[test]'
    lowest/bin/python -m pytest

`--extra NAME` takes extras besides `test` and those that it names; `--except NAME` leaves a library to pip.

Last result, Python 3.11, two shared cores: PyTorch left out of it (2.13.0, the only version at hand: its bound is not
tested). tests/report, tests/cli/test_cli_doctor.py, test_cli_tables.py and parts of tests/datasets and tests/export
passed after these bounds were raised: typer 0.26, rich 13.8, matplotlib 3.10.7, pandas 2.2.1. Then polars went from
1.20 to 1.28.1 and scipy to 1.12, tried on 68 tests, from tests/compare/test_compare.py on, without a failure. All
other tests, and the extra `docs`, have not been run with the lowest versions.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extra", action="append", default=["test"])
    parser.add_argument("--except", action="append", default=[], dest="left_out")
    arguments = parser.parse_args()
    for name, version in sorted(lowest(arguments.extra).items()):
        if name not in arguments.left_out:
            print(f"{name}=={version}")


def lowest(extras: list[str]) -> dict[str, str]:
    """Lowest version by name, of what is always needed and of some extras."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    found: dict[str, str] = {}
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    for requirement in map(Requirement, lines):
        if requirement.name == project["name"]:
            found |= lowest(sorted(requirement.extras))
        else:
            found[requirement.name] = re.sub(r"^>=", "", str(requirement.specifier))
    return found


if __name__ == "__main__":
    main()
