"""The command line: ``asymcert --help``."""

from asymcert.cli.front import main

__all__ = ["main"]
