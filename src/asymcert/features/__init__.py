"""Lipschitz feature maps: the first half of a feature-convex classifier."""

from asymcert.features.base import CoordinatewiseMap, FeatureMap
from asymcert.features.chain import Chain
from asymcert.features.hinges import Hinges
from asymcert.features.low_pass import LowPass, split_low_pass
from asymcert.features.maps import Centre, CentreAbsolute, Identity, Standardise
from asymcert.features.ramps import Ramps
from asymcert.features.soft_threshold import SoftThreshold

__all__ = [
    "Centre",
    "CentreAbsolute",
    "Chain",
    "CoordinatewiseMap",
    "FeatureMap",
    "Hinges",
    "Identity",
    "LowPass",
    "Ramps",
    "SoftThreshold",
    "Standardise",
    "split_low_pass",
]
