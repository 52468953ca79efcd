"""Lipschitz feature maps: the first half of a feature-convex classifier."""

from asymcert.features.base import FeatureMap
from asymcert.features.maps import Centre, CentreAbsolute, Chain, Identity, Standardise

__all__ = ["Centre", "CentreAbsolute", "Chain", "FeatureMap", "Identity", "Standardise"]
