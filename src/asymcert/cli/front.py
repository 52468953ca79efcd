"""The way in: who asks for help or for the version waits for neither torch nor tables."""

from __future__ import annotations

import sys

from asymcert.cli.overview import overview

LIGHT = ([], ["--help"], ["--version"])


def main() -> None:
    """Run the command line.

    Exits with 0 on success, 1 on a broken certificate or a weaker model, 2 on a mistake, 130 on an interrupt.
    """
    if sys.argv[1:] in LIGHT:
        overview()()
        return
    from asymcert.cli import app

    app.main()
