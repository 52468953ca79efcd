"""Print the lowest versions that pyproject.toml declares, as constraints for pip, to test that they are enough.

    python tools/lowest_versions.py > lowest.txt
    python -m venv lowest && lowest/bin/pip install --constraint lowest.txt '.[test]'
    lowest/bin/python -m pytest

`--extra NAME` takes extras besides `test` and those that it names; `--except NAME` leaves a library to pip.

Last result, Python 3.11: RESULT
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
