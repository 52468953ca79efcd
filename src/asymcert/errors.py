"""Exceptions that say what was wrong and how to put it right."""


class AsymcertError(Exception):
    """Base of every error that this package raises for a user's mistake; its message is one line."""

    def __str__(self) -> str:
        """The message in one line: names and values out of files may hold line breaks and codes for terminals."""
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().__str__())


class InputError(AsymcertError, ValueError):
    """An argument has the wrong value, shape or type."""


class DataError(AsymcertError, ValueError):
    """A data file is missing, damaged or not what its name promises."""


class ModelFileError(AsymcertError, ValueError):
    """A model file is damaged, tampered with, or not loadable by this version."""


class RunError(AsymcertError, RuntimeError):
    """A run folder lacks what a command needs, or holds something that does not fit."""


class DependencyError(AsymcertError, ImportError):
    """An optional dependency is not installed."""
