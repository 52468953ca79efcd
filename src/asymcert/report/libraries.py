"""The optional libraries of reports, with an error that names the remedy."""

from __future__ import annotations

import importlib
from types import ModuleType

from asymcert.errors import DependencyError


def optional(module: str) -> ModuleType:
    """Import a module that only reports need.

    Raises
    ------
    DependencyError
        It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise DependencyError(f'Reports need {package}. Install it with: pip install "asymcert[report]"') from error
