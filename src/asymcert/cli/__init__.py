"""The command line: ``asymcert --help``."""

from asymcert.cli.app import main

__all__ = ["main"]
