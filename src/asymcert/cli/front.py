"""The way in: who asks for help or for the version waits for neither torch nor tables."""

from __future__ import annotations

import os
import sys

from asymcert.cli.overview import overview

LIGHT = ([], ["--help"], ["--version"])
COMPLETE = "_ASYMCERT_COMPLETE"  # set by a shell that asks what could follow


def main() -> None:
    """Run the command line.

    Exits with 0 on success, 1 on a broken certificate or a weaker model, 2 on a mistake, 130 on an interrupt.
    """
    if sys.argv[1:] in LIGHT and COMPLETE not in os.environ:
        overview()()
        return
    from asymcert.cli import app

    app.main()
