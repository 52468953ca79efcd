"""Lipschitz feature maps: the first half of a feature-convex classifier."""

from asymcert.features.base import CoordinatewiseMap, FeatureMap
from asymcert.features.chain import Chain
from asymcert.features.declared import DeclaredMap, check_lipschitz, declared
from asymcert.features.haar import Haar, opponent_colours
from asymcert.features.hinges import Hinges
from asymcert.features.layered import LayeredMap, orthogonal, sll
from asymcert.features.linear import shape_after, split_linear
from asymcert.features.low_pass import LowPass
from asymcert.features.maps import Centre, CentreAbsolute, Identity, Standardise
from asymcert.features.ramps import Ramps
from asymcert.features.soft_threshold import SoftThreshold

__all__ = [
    "Centre",
    "CentreAbsolute",
    "Chain",
    "CoordinatewiseMap",
    "DeclaredMap",
    "FeatureMap",
    "Haar",
    "Hinges",
    "Identity",
    "LayeredMap",
    "LowPass",
    "Ramps",
    "SoftThreshold",
    "Standardise",
    "check_lipschitz",
    "declared",
    "opponent_colours",
    "orthogonal",
    "shape_after",
    "sll",
    "split_linear",
]
