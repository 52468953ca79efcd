"""Asymmetric certified robustness: classifiers whose sensitive verdict provably holds.

The functions `certify` and `train` are the packages' front doors; everything else is reached by its module,
such as ``from asymcert.features import CentreAbsolute``. Importing the package loads nothing: each name is fetched
when it is first used, so that ``asymcert --help`` answers at once.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from asymcert._version import Renamed, __version__

if TYPE_CHECKING:
    from asymcert import datasets
    from asymcert.certify import Certificate, certify, certify_each
    from asymcert.models import BinaryClassifier, FeatureConvexClassifier
    from asymcert.threats.model import ThreatModel
    from asymcert.training import TrainConfig, train

    load = BinaryClassifier.load

__all__ = [
    "Certificate",
    "FeatureConvexClassifier",
    "ThreatModel",
    "TrainConfig",
    "__version__",
    "certify",
    "certify_each",
    "datasets",
    "load",
    "train",
]

_HOMES = {
    "BinaryClassifier": "models",
    "Certificate": "certify",
    "FeatureConvexClassifier": "models",
    "ThreatModel": "threats.model",
    "TrainConfig": "training",
    "certify_each": "certify",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name == "load":
        return __getattr__("BinaryClassifier").load  # a model of any kind
    if name == "datasets":
        return import_module("asymcert.datasets")
    if name not in _HOMES:
        raise AttributeError(f"module 'asymcert' has no attribute {name!r}")
    return getattr(import_module(f"asymcert.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Front(ModuleType):
    """The module, in which `certify` is the function, also after the folder of that name is imported."""

    @property
    def certify(self) -> Any:
        return import_module("asymcert.certify").certify

    @certify.setter
    def certify(self, room: ModuleType) -> None:
        """Importing the folder would put it here."""


sys.modules[__name__].__class__ = _Front
sys.meta_path.insert(0, Renamed())
