"""Asymmetric certified robustness: classifiers whose sensitive verdict provably holds.

The functions `certify` and `train` are the packages' front doors; everything else is reached by its module,
such as ``from asymcert.features import CentreAbsolute``.
"""

import sys

from asymcert import datasets
from asymcert._version import Renamed, __version__
from asymcert.certify import Certificate, certify, certify_each
from asymcert.models import BinaryClassifier, FeatureConvexClassifier
from asymcert.threats.model import ThreatModel
from asymcert.training import TrainConfig, train

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

load = BinaryClassifier.load  # a model of any kind

sys.meta_path.insert(0, Renamed())
