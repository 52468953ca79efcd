"""Asymmetric certified robustness: classifiers whose sensitive verdict provably holds.

The functions `certify` and `train` are the packages' front doors; everything else is reached by its module,
such as ``from asymcert.features import CentreAbsolute``.
"""

from asymcert import datasets
from asymcert._version import __version__
from asymcert.certify import Certificate, certify, certify_each
from asymcert.models.feature_convex import FeatureConvexClassifier
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
    "train",
]
